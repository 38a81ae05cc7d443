//! How a control plane starts, survives faults, and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use control_plane::{AuditEntry, ControlPlane, Error, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use rustix::process::{Pid, test_kill_process};
use tokio::time::timeout;

/// Long enough for any answer, short enough to wait for one that never comes.
const ANSWER: Duration = Duration::from_secs(1);

async fn start(dir: &tempfile::TempDir) -> ControlPlane {
    ControlPlane::start(dir.path(), Options::default())
        .await
        .unwrap()
}

async fn configmaps(control_plane: &ControlPlane) -> Api<ConfigMap> {
    Api::namespaced(control_plane.admin_client().await.unwrap(), "default")
}

async fn make(control_plane: &ControlPlane, name: &str) {
    control_plane
        .kubectl_ok(["create", "configmap", name])
        .await
        .unwrap();
}

fn lives(pid: u32) -> bool {
    test_kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()).is_ok()
}

#[tokio::test]
async fn a_restart_of_either_part_keeps_data_address_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let control_plane = start(&dir).await;
    let before = (control_plane.url(), control_plane.pids());
    let configmaps = configmaps(&control_plane).await;
    make(&control_plane, "first").await;

    control_plane.stop_apiserver();
    assert!(!lives(before.1.kube_apiserver.unwrap()));
    assert_eq!(control_plane.pids().kube_apiserver, None);
    configmaps.get("first").await.unwrap_err();
    control_plane.start_apiserver().await.unwrap();
    configmaps.get("first").await.unwrap();

    control_plane.stop_etcd();
    assert!(!lives(before.1.etcd.unwrap()));
    control_plane.start_etcd().await.unwrap();
    control_plane.wait_ready().await.unwrap();
    configmaps.get("first").await.unwrap();
    make(&control_plane, "second").await;

    assert_eq!(control_plane.url(), before.0);
    assert_ne!(control_plane.pids().kube_apiserver, before.1.kube_apiserver);
    assert_ne!(control_plane.pids().etcd, before.1.etcd);
    let again = control_plane.start_apiserver().await.unwrap_err();
    assert!(matches!(again, Error::WrongState { .. }), "{again}");
    let is_create = |e: &&AuditEntry| {
        e.verb == "create" && e.resource == "configmaps" && e.namespace == "default"
    };
    let both = |entries: &[AuditEntry]| entries.iter().filter(is_create).count() == 2;
    let what = "the creates before and after";
    let entries = control_plane.audit_until(what, ANSWER * 10, both).await;
    assert!(entries.unwrap().iter().any(|entry| entry.name == "first"));
}

#[tokio::test]
async fn a_paused_part_does_not_answer_and_goes_on_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let control_plane = start(&dir).await;
    let configmaps = configmaps(&control_plane).await;
    make(&control_plane, "first").await;

    control_plane.pause_apiserver().unwrap();
    timeout(ANSWER, configmaps.get("first")).await.unwrap_err();
    control_plane.resume_apiserver().unwrap();
    configmaps.get("first").await.unwrap();

    control_plane.pause_etcd().unwrap();
    // A write, since reads may be answered from the apiserver's cache.
    let delete = DeleteParams::default();
    timeout(ANSWER, configmaps.delete("first", &delete))
        .await
        .unwrap_err();
    control_plane.resume_etcd().unwrap();
    control_plane.wait_ready().await.unwrap();

    control_plane.stop_etcd();
    let stopped = control_plane.pause_etcd().unwrap_err();
    assert_eq!(stopped.to_string(), "etcd is stopped");
    control_plane.stop_apiserver();
    let alone = control_plane.start_apiserver().await.unwrap_err();
    let says = "etcd is stopped; start it before the apiserver";
    assert_eq!(alone.to_string(), says);
}

#[tokio::test]
async fn a_directory_is_used_by_one_and_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let control_plane = start(&dir).await;
    make(&control_plane, "first").await;
    let token = control_plane.service_account_token("default", "nobody", ANSWER * 600);
    let error = token.await.unwrap_err().to_string();
    let whose = "service account default/nobody";
    assert!(error.contains(whose), "{error}");

    let second = ControlPlane::start(dir.path(), Options::default())
        .await
        .expect_err("started twice in one directory");
    assert!(matches!(second, Error::DirInUse(_)), "{second}");

    let pids = control_plane.pids();
    let ca = |control_plane: &ControlPlane| {
        let kubeconfig = control_plane.admin_kubeconfig().unwrap();
        let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
        cluster.certificate_authority_data.unwrap()
    };
    let old = ca(&control_plane);
    drop(control_plane);
    for pid in [pids.etcd, pids.kube_apiserver] {
        assert!(!lives(pid.unwrap()), "dropped, but still running");
    }

    let control_plane = start(&dir).await;
    configmaps(&control_plane).await.get("first").await.unwrap();
    assert_eq!(ca(&control_plane), old);
}

/// A shared control plane survives the end of a test's runtime and thread.
#[test]
fn it_outlives_the_thread_and_the_runtime_that_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let path = dir.path().to_owned();
    let started = std::thread::spawn(move || {
        runtime().block_on(ControlPlane::start(path, Options::default()))
    });
    let control_plane = started.join().unwrap().unwrap();
    fn can_be_static<T: Send + Sync>(_: &T) {}
    can_be_static(&control_plane);
    runtime().block_on(async {
        make(&control_plane, "first").await;
        control_plane.check_alive().unwrap();
        control_plane.stop_apiserver();
        control_plane.start_apiserver().await.unwrap();
        configmaps(&control_plane).await.get("first").await.unwrap();
    });
}

#[tokio::test]
async fn a_port_that_a_foreign_program_took_is_recognised_and_others_are_tried() {
    let foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = foreign.local_addr().unwrap().port();
    // Every attempt meets the same taken port, so all attempts fail.
    let of_etcd = Options {
        etcd_flags: vec![format!("--listen-client-urls=http://127.0.0.1:{taken}")],
        ..Options::default()
    };
    let of_apiserver = Options {
        apiserver_flags: vec![format!("--secure-port={taken}")],
        ..Options::default()
    };
    for (part, options) in [("etcd", of_etcd), ("kube-apiserver", of_apiserver)] {
        let dir = tempfile::tempdir().unwrap();
        let error = ControlPlane::start(dir.path(), options)
            .await
            .expect_err("started on a taken port");
        let is_its = matches!(&error, Error::Ended { part: name, .. } if *name == part);
        assert!(is_its, "{error}");
        let log = std::fs::read_to_string(dir.path().join(format!("{part}.log"))).unwrap();
        let taken = |line: &&str| line.contains("address already in use");
        let runs = log.lines().filter(taken).count();
        assert!(runs >= 5, "{part} was tried {runs} times:\n{log}");
    }
}
