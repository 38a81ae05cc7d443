//! Names, labels and bounds of the metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::cams::Action;
use crate::cams::sts::StsAction;
use crate::domain::fact::HoldCause;

const REASONS: [&str; 3] = ["Queued", "Verifying", "Verified"];

fn text(metrics: &Metrics) -> String {
    metrics.render(Exposition::PrometheusText)
}

/// The sample lines of a text, without comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// The value of the first sample that begins so.
fn value(text: &str, start: &str) -> f64 {
    let line = samples(text).into_iter().find(|l| l.starts_with(start));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Calls every method that takes a label once.
fn used() -> Metrics {
    let metrics = Metrics::new("default", REASONS);
    let submit = Action::ChatappMigrationVerified;
    let account = &metrics.account;
    account.call(submit, Answer::Code("OK"), Some(Duration::from_millis(300)));
    account.waited(submit, Duration::from_secs(2));
    account.set_queue_depth(submit, 7);
    account.set_limit(Some(10));
    account.set_rate(submit, Some(2.5));
    account.set_hold(Some(HoldCause::Credentials));
    account.note_pause(Duration::from_secs(10), Some(Duration::from_secs(12)));
    account.note_pause(Duration::from_secs(11), Some(Duration::from_secs(12)));
    let now = Timestamp::UNIX_EPOCH;
    account.set_next_expiry(Some(now + Duration::from_secs(90)), now);
    let sts = StsAction::AssumeRoleWithOidc;
    metrics.sign_in.request(sts, "OK");
    metrics
        .sign_in
        .request(sts, "AuthenticationFail.OIDCToken.New");
    metrics.sign_in.request(sts, "Made.Up");
    metrics.sign_in.set_expiry(Some(Duration::from_secs(3540)));
    let resources = &metrics.resources;
    resources.set_running(3);
    resources.set_objects([("Queued", 4), ("Verified", 5)]);
    resources.set_outcome_unknown(UnknownKind::Provisional, 2);
    resources.record_failure(Some(503));
    resources.pre_read_failure();
    resources.task_failure(Task::Observation);
    let took = Duration::from_millis(20);
    metrics.reconcile.set_most(16);
    metrics.reconcile.reconciled(ReconcileResult::Success, took);
    metrics.reconcile.reconciled(ReconcileResult::Error, took);
    metrics.reconcile.reconciled(ReconcileResult::Panic, took);
    metrics.workqueue.added();
    metrics.workqueue.set_depth(7);
    drop(metrics.workqueue.begun(Duration::from_secs(2)));
    let host = "10.96.0.1:443";
    metrics.apiserver.start(host);
    metrics.apiserver.request("PUT", host, Some(409), took);
    metrics.apiserver.request("BREW", host, None, took);
    metrics.set_leader("phone-migration-operator", true);
    metrics
}

#[test]
fn every_metric_begins_with_a_known_prefix_and_has_help() {
    let text = text(&used());
    let prefixes = [
        "phonemigration_",
        "controller_runtime_",
        "workqueue_",
        "rest_client_",
        "leader_election_master_status",
        "process_",
    ];
    let families: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(families.len() > 30, "{families:?}");
    for family in families {
        assert!(prefixes.iter().any(|p| family.starts_with(p)), "{family}");
        let help = format!("# HELP {family} ");
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with(&help)).collect();
        assert_eq!(lines.len(), 1, "{family}");
        assert!(
            lines[0].ends_with('.') && !lines[0].ends_with(".."),
            "{family}"
        );
    }
}

#[test]
fn methods_set_their_samples() {
    let text = text(&used());
    let samples = samples(&text);
    let version = env!("CARGO_PKG_VERSION");
    let expected = r#"
phonemigration_cams_requests_total{SUBMIT,code="OK"} 1
phonemigration_cams_requests_total{SUBMIT,code="Throttling.User"} 0
phonemigration_cams_requests_total{READ,code="NotSent"} 0
phonemigration_cams_request_duration_seconds_bucket{ACCOUNT,le="0.25",ACTION} 0
phonemigration_cams_request_duration_seconds_bucket{ACCOUNT,le="0.5",ACTION} 1
phonemigration_cams_request_duration_seconds_count{SUBMIT} 1
phonemigration_cams_request_duration_seconds_count{READ} 0
phonemigration_cams_requests_in_flight{SUBMIT} 0
phonemigration_rate_limiter_wait_seconds_sum{SUBMIT} 2.0
phonemigration_queue_depth{SUBMIT} 7
phonemigration_queue_depth{READ} 0
phonemigration_next_code_expiry_seconds{ACCOUNT} 90.0
phonemigration_quota_calls_per_second{ACCOUNT} 10.0
phonemigration_quota_target_calls_per_second{SUBMIT} 2.5
phonemigration_account_hold{ACCOUNT,cause="credentials"} 1
phonemigration_account_hold{ACCOUNT,cause="transport"} 0
phonemigration_account_paused{ACCOUNT} 1
phonemigration_account_paused_seconds_total{ACCOUNT} 1.0
phonemigration_sts_requests_total{ACCOUNT,action="AssumeRoleWithOIDC",code="OK"} 1
phonemigration_sts_requests_total{ACCOUNT,action="AssumeRoleWithOIDC",code="AuthenticationFail.OIDCToken"} 1
phonemigration_sts_requests_total{ACCOUNT,action="AssumeRoleWithOIDC",code="other"} 1
phonemigration_sts_requests_total{ACCOUNT,action="AssumeRole",code="NoPermission"} 0
phonemigration_credentials_expiry_seconds{ACCOUNT} 3540.0
phonemigration_running_tasks 3
phonemigration_objects{reason="Queued"} 4
phonemigration_objects{reason="Verifying"} 0
phonemigration_objects{reason="Verified"} 5
phonemigration_outcome_unknown{kind="provisional"} 2
phonemigration_outcome_unknown{kind="final"} 0
phonemigration_record_failures_total{code="5xx"} 1
phonemigration_record_failures_total{code="403"} 0
phonemigration_pre_read_failures_total 1
phonemigration_task_failures_total{task="observation"} 1
phonemigration_task_failures_total{task="attempt"} 0
controller_runtime_reconcile_total{CONTROLLER,result="success"} 1
controller_runtime_reconcile_total{CONTROLLER,result="requeue_after"} 0
controller_runtime_reconcile_total{CONTROLLER,result="error"} 2
controller_runtime_reconcile_errors_total{CONTROLLER} 2
controller_runtime_reconcile_panics_total{CONTROLLER} 1
controller_runtime_reconcile_time_seconds_count{CONTROLLER} 3
controller_runtime_active_workers{CONTROLLER} 0
controller_runtime_max_concurrent_reconciles{CONTROLLER} 16
workqueue_depth{CONTROLLER,name="attempts"} 7
workqueue_adds_total{CONTROLLER,name="attempts"} 1
workqueue_queue_duration_seconds_sum{CONTROLLER,name="attempts"} 2.0
workqueue_work_duration_seconds_count{CONTROLLER,name="attempts"} 1
workqueue_unfinished_work_seconds{CONTROLLER,name="attempts"} 0.0
workqueue_longest_running_processor_seconds{CONTROLLER,name="attempts"} 0.0
rest_client_requests_total{code="409",host="10.96.0.1:443",method="PUT"} 1
rest_client_requests_total{code="<error>",host="10.96.0.1:443",method="other"} 1
rest_client_request_duration_seconds_count{host="10.96.0.1:443",verb="PUT"} 1
rest_client_request_duration_seconds_count{host="10.96.0.1:443",verb="PATCH"} 0
leader_election_master_status{name="phone-migration-operator"} 1
phonemigration_build_info{version="VERSION"} 1
"#;
    let account = r#"account="default""#;
    let expected = expected
        .replace(
            "SUBMIT",
            &format!(r#"{account},action="ChatappMigrationVerified""#),
        )
        .replace(
            "READ",
            &format!(r#"{account},action="GetPhoneNumberVerificationStatus""#),
        )
        .replace("ACTION", r#"action="ChatappMigrationVerified""#)
        .replace("ACCOUNT", account)
        .replace("CONTROLLER", r#"controller="phonemigration""#)
        .replace("VERSION", version);
    for sample in expected.trim().lines() {
        assert!(samples.contains(&sample), "{sample}\n{text}");
    }
}

#[test]
fn what_runs_is_counted_until_it_ends() {
    let metrics = used();
    let read = Action::GetPhoneNumberVerificationStatus;
    let running = (
        metrics.account.in_flight(read),
        metrics.reconcile.worker(),
        metrics.workqueue.begun(Duration::ZERO),
    );
    let value = |name: &str| {
        metrics.workqueue.refresh();
        value(&text(&metrics), name)
    };
    let in_flight = r#"phonemigration_cams_requests_in_flight{account="default",action="GetPhone"#;
    assert_eq!(value(in_flight), 1.0);
    assert_eq!(value("controller_runtime_active_workers"), 1.0);
    assert!(value("workqueue_longest_running_processor_seconds") > 0.0);
    assert!(value("workqueue_unfinished_work_seconds") > 0.0);
    drop(running);
    assert_eq!(value(in_flight), 0.0);
    assert_eq!(value("controller_runtime_active_workers"), 0.0);
    assert_eq!(value("workqueue_longest_running_processor_seconds"), 0.0);
    assert_eq!(value("workqueue_unfinished_work_seconds"), 0.0);
}

#[test]
fn the_process_shows_itself() {
    let metrics = used();
    let text = text(&metrics);
    let value = |name: &str| value(&text, &format!("{name} "));
    let now = Timestamp::now().as_duration().as_secs_f64();
    let started = value("process_start_time_seconds");
    assert!(started <= now && started > now - 3600.0, "{started} {now}");
    assert!(value("process_cpu_seconds_total") > 0.0);
    let resident = value("process_resident_memory_bytes");
    assert!(resident > 100_000.0 && resident < value("process_virtual_memory_bytes"));
    let open = value("process_open_fds");
    assert!(open >= 3.0 && open <= value("process_max_fds"), "{open}");
}

#[test]
fn a_reason_that_is_left_goes_back_to_zero() {
    let metrics = used();
    metrics.resources.set_objects([("Verifying", 1)]);
    let text = text(&metrics);
    assert!(text.contains("phonemigration_objects{reason=\"Queued\"} 0\n"));
    assert!(text.contains("phonemigration_objects{reason=\"Verifying\"} 1\n"));
}

#[test]
fn the_number_of_series_does_not_grow_with_what_others_send() {
    let metrics = used();
    metrics.account.call(
        Action::ChatappMigrationVerified,
        Answer::Code("phone.8613800001234"),
        None,
    );
    let before = samples(&text(&metrics)).len();
    for n in 0..5000 {
        let code = format!("828{n:04}.CANARY");
        metrics.account.call(
            Action::ChatappMigrationVerified,
            Answer::Code(&code),
            Some(Duration::ZERO),
        );
        metrics.resources.set_objects([("CANARY", n)]);
    }
    let after = text(&metrics);
    assert_eq!(samples(&after).len(), before);
    assert!(!after.contains("CANARY"));
    assert!(after.contains("code=\"other\"} 5001\n"));
}

#[test]
fn a_code_has_its_own_label_or_that_of_its_family() {
    for (code, label) in [
        ("OK", "OK"),
        ("Throttling.User", "Throttling.User"),
        ("Throttling.Something.New", "Throttling"),
        ("InvalidTimeStamp.Expired", "InvalidTimeStamp.Expired"),
        ("InvalidSecurityToken.Malformed", "InvalidSecurityToken"),
        (
            "InvalidParameter.PhoneNumberError",
            "InvalidParameter.PhoneNumberError",
        ),
        ("Forbidden.RiskControl", "Forbidden.RiskControl"),
        ("ok", "other"),
        ("", "other"),
        (".", "other"),
        ("OKAY", "other"),
        ("NotSent", "other"),
        ("828798", "other"),
    ] {
        assert_eq!(code_label(code), label, "{code}");
    }
    assert_eq!(code_label(&format!("OK{}", ".x".repeat(100_000))), "other");
}

#[test]
fn answers_without_a_code_have_words_that_no_code_can_take() {
    for (answer, label) in [
        (Answer::NotTheApi, "NotTheApi"),
        (Answer::NoReply, "NoReply"),
        (Answer::NotSent, "NotSent"),
    ] {
        assert_eq!(answer.label(), label);
        assert_eq!(Answer::Code(label).label(), "other");
    }
}

#[test]
fn apiserver_statuses_fall_into_a_closed_set() {
    for (status, label) in [
        (None, "none"),
        (Some(0), "none"),
        (Some(403), "403"),
        (Some(429), "429"),
        (Some(422), "422"),
        (Some(503), "5xx"),
        (Some(418), "other"),
        (Some(65_535), "other"),
    ] {
        assert_eq!(labels::http_status_label(status), label);
        assert!(labels::HTTP_STATUSES.contains(&label));
    }
}

#[test]
fn the_scraper_chooses_the_form() {
    let metrics = used();
    for (accept, form) in [
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            Exposition::OpenMetrics,
        ),
        ("text/plain;version=0.0.4", Exposition::PrometheusText),
        ("*/*", Exposition::PrometheusText),
        ("", Exposition::PrometheusText),
    ] {
        assert_eq!(Exposition::for_accept(accept), form, "{accept}");
    }
    let openmetrics = metrics.render(Exposition::OpenMetrics);
    assert!(openmetrics.ends_with("# EOF\n"));
    assert!(openmetrics.contains("# TYPE phonemigration_cams_requests counter\n"));
    assert!(openmetrics.contains("# UNIT process_cpu_seconds seconds\n"));
    assert!(openmetrics.contains("# UNIT phonemigration_rate_limiter_wait_seconds seconds\n"));
    let prometheus = metrics.render(Exposition::PrometheusText);
    assert!(!prometheus.contains("# EOF") && !prometheus.contains("# UNIT"));
    // These values of the process change between two scrapes.
    let steady = |text: &str| -> Vec<String> {
        let lines = samples(text).into_iter();
        let steady = lines.filter(|line| !line.starts_with("process_"));
        steady.map(str::to_owned).collect()
    };
    assert_eq!(steady(&prometheus), steady(&openmetrics));
}
