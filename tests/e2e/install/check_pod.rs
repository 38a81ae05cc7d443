//! The pod of `helm test`, run as a kubelet would run its container.

use super::helm::{NAME, chart, documents};
use super::release::Site;
use super::*;

/// The pod among the release's hooks.
async fn hook(site: &Site) -> Value {
    let hooks = site.helm(&format!("get hooks {NAME}")).await;
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
    let file = file.display();
    site.kubectl(&format!("create --dry-run=server -f {file}"))
        .await;
    let deployment = site.get("deployment", NAME).await.unwrap();
    let selected = &deployment["spec"]["selector"]["matchLabels"];
    let labels = &pod["metadata"]["labels"];
    let mut selected = selected.as_object().unwrap().iter();
    // Otherwise the Service would send scrapes to it.
    assert!(
        selected.any(|(key, value)| labels[key] != *value),
        "{labels}"
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

    site.kubectl(&format!("delete clusterrolebinding {NAME}"))
        .await;
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
