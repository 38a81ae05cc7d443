//! The pod of `helm test`, run as a kubelet would run its container.

use std::time::Duration;

use harness::Operator;
use serde_json::Value;

use super::helm::{NAME, chart, documents};
use super::release::Site;

/// The pod among the release's hooks.
async fn hook(site: &Site) -> Value {
    let hooks = site
        .helm
        .ok(&["get", "hooks", NAME, "--namespace", NAME])
        .await;
    let [pod] = documents(&hooks).try_into().unwrap();
    assert_eq!(pod["kind"], "Pod", "{pod}");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    pod
}

#[tokio::test]
async fn helm_test_checks_with_the_operators_flags_and_says_what_is_wrong() {
    let site = Site::new().await;
    site.install(&chart(), &["--set", "cams.qps=7"]).await;
    let world = site.world("tenant-a").await;
    let pod = hook(&site).await;
    // The API server takes the pod, with every default and bound.
    let file = world.dir().join("check-pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let args = ["create", "--dry-run=server", "-f", file.to_str().unwrap()];
    site.control.kubectl_ok(args).await.unwrap();
    let deployment = site.get("deployment", NAME).await.unwrap();
    let selected = deployment["spec"]["selector"]["matchLabels"].as_object();
    let labels = &pod["metadata"]["labels"];
    assert!(
        selected
            .unwrap()
            .iter()
            .any(|(key, value)| labels[key] != *value),
        "the Service would send scrapes to it: {labels}"
    );
    let flags = |spec: &Value| {
        let args = spec["containers"][0]["args"].as_array().unwrap();
        args[1..].to_vec()
    };
    let operators = &deployment["spec"]["template"]["spec"];
    assert_eq!(flags(&pod["spec"]), flags(operators));

    let launch = site.launch_pod(&world, &pod["spec"]).await;
    let (exit, said) = run(&launch).await;
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.lines().any(|line| line.starts_with("ok")), "{said}");
    assert!(!said.contains("WRONG"), "{said}");

    let args = ["delete", "clusterrolebinding", NAME];
    site.control.kubectl_ok(args).await.unwrap();
    let launch = site.launch_pod(&world, &pod["spec"]).await;
    let (exit, said) = run(&launch).await;
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("WRONG"), "{said}");
}

async fn run(launch: &harness::Launch<'_>) -> (Option<i32>, String) {
    let mut check = Operator::spawn(launch).unwrap();
    let exit = check.ended(Duration::from_secs(60)).await.unwrap();
    (exit, check.log())
}
