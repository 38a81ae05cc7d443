//! Names, labels and bounds of the metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const REASONS: [&str; 3] = ["Queued", "Verifying", "Verified"];

fn text(metrics: &Metrics) -> String {
    metrics.render(Exposition::PrometheusText)
}

/// The sample lines of a text, comments left out.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// One call of every method that takes a label.
fn used() -> Metrics {
    let metrics = Metrics::new(REASONS);
    let submit = Action::ChatappMigrationVerified;
    metrics.call(submit, Answer::Code("OK"), Duration::from_millis(300));
    metrics.rate_limiter_wait(submit, Duration::from_secs(2));
    metrics.set_queue_depth(submit, 7);
    metrics.set_open_attempts(3);
    metrics.set_objects([("Queued", 4), ("Verified", 5)]);
    metrics.set_outcome_unknown(UnknownKind::Provisional, 2);
    metrics.record_failure(Some(409));
    metrics.look_failure();
    metrics.reconcile_error();
    metrics.set_fingerprint_key_ephemeral(true);
    metrics.set_account_hold(Some(HoldCause::Credentials));
    metrics.set_account_paused(true);
    metrics.set_leader("phone-migration-operator", true);
    metrics
}

#[test]
fn every_metric_has_its_documented_name_and_type() {
    let text = text(&used());
    let types: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let expected = [
        "leader_election_master_status gauge",
        "phonemigration_cams_requests_total counter",
        "phonemigration_cams_request_duration_seconds histogram",
        "phonemigration_rate_limiter_wait_seconds histogram",
        "phonemigration_queue_depth gauge",
        "phonemigration_open_attempts gauge",
        "phonemigration_objects gauge",
        "phonemigration_outcome_unknown gauge",
        "phonemigration_account_hold gauge",
        "phonemigration_account_paused gauge",
        "phonemigration_fingerprint_key_ephemeral gauge",
        "phonemigration_build_info gauge",
        "phonemigration_record_failures_total counter",
        "phonemigration_look_failures_total counter",
        "phonemigration_reconcile_errors_total counter",
    ];
    assert_eq!(types, expected);
    for line in text.lines().filter(|line| line.starts_with("# HELP")) {
        assert!(line.ends_with('.') && !line.ends_with(".."), "{line}");
    }
}

#[test]
fn methods_set_their_samples() {
    let text = text(&used());
    let action = "action=\"ChatappMigrationVerified\"";
    for sample in [
        format!("phonemigration_cams_requests_total{{{action},code=\"OK\"}} 1"),
        format!("phonemigration_cams_request_duration_seconds_bucket{{le=\"0.25\",{action}}} 0"),
        format!("phonemigration_cams_request_duration_seconds_bucket{{le=\"0.5\",{action}}} 1"),
        format!("phonemigration_cams_request_duration_seconds_count{{{action}}} 1"),
        format!("phonemigration_rate_limiter_wait_seconds_sum{{{action}}} 2.0"),
        format!("phonemigration_queue_depth{{{action}}} 7"),
        "phonemigration_queue_depth{action=\"GetPhoneNumberVerificationStatus\"} 0".to_owned(),
        "phonemigration_open_attempts 3".to_owned(),
        "phonemigration_objects{reason=\"Queued\"} 4".to_owned(),
        "phonemigration_objects{reason=\"Verifying\"} 0".to_owned(),
        "phonemigration_objects{reason=\"Verified\"} 5".to_owned(),
        "phonemigration_outcome_unknown{kind=\"provisional\"} 2".to_owned(),
        "phonemigration_outcome_unknown{kind=\"final\"} 0".to_owned(),
        "phonemigration_record_failures_total{code=\"409\"} 1".to_owned(),
        "phonemigration_look_failures_total 1".to_owned(),
        "phonemigration_reconcile_errors_total 1".to_owned(),
        "phonemigration_fingerprint_key_ephemeral 1".to_owned(),
        "phonemigration_account_hold{cause=\"credentials\"} 1".to_owned(),
        "phonemigration_account_hold{cause=\"transport\"} 0".to_owned(),
        "phonemigration_account_paused 1".to_owned(),
        "leader_election_master_status{name=\"phone-migration-operator\"} 1".to_owned(),
        format!(
            "phonemigration_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
    ] {
        assert!(
            samples(&text).contains(&sample.as_str()),
            "{sample}\n{text}"
        );
    }
}

#[test]
fn a_reason_that_is_left_goes_back_to_zero() {
    let metrics = used();
    metrics.set_objects([("Verifying", 1)]);
    let text = text(&metrics);
    assert!(text.contains("phonemigration_objects{reason=\"Queued\"} 0\n"));
    assert!(text.contains("phonemigration_objects{reason=\"Verifying\"} 1\n"));
}

#[test]
fn the_number_of_series_does_not_grow_with_what_others_send() {
    let metrics = used();
    metrics.call(
        Action::ChatappMigrationVerified,
        Answer::Code("phone.8613800001234"),
        Duration::ZERO,
    );
    let before = samples(&text(&metrics)).len();
    for n in 0..5000 {
        let code = format!("828{n:04}.CANARY");
        metrics.call(
            Action::ChatappMigrationVerified,
            Answer::Code(&code),
            Duration::ZERO,
        );
        metrics.set_objects([("CANARY", n)]);
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
        (Some(409), "409"),
        (Some(422), "422"),
        (Some(503), "5xx"),
        (Some(418), "other"),
        (Some(65_535), "other"),
    ] {
        assert_eq!(labels::http_status_label(status), label);
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
    assert!(openmetrics.contains("# UNIT phonemigration_rate_limiter_wait_seconds seconds\n"));
    let prometheus = metrics.render(Exposition::PrometheusText);
    assert!(!prometheus.contains("# EOF") && !prometheus.contains("# UNIT"));
    assert_eq!(samples(&prometheus), samples(&openmetrics));
}
