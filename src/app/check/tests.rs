//! The lines of the report that need no server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[tokio::test]
async fn a_mistake_in_the_configuration_is_the_only_line() {
    let mut out = Vec::new();
    let error = ConfigError::NoLeaseNamespace;
    let fine = run(Err(error), &mut out).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!fine);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("WRONG    configuration: --lease-namespace"),
        "{text}"
    );
    assert_eq!(lines[1], "1 item is wrong");
}

#[test]
fn a_line_says_how_it_is_what_it_is_about_and_more() {
    let line = |verdict| {
        let item = "CRD";
        Finding { item, verdict }.to_string()
    };
    assert_eq!(line(Verdict::Fine("x".into())), "ok       CRD: x");
    assert_eq!(line(Verdict::Wrong("x".into())), "WRONG    CRD: x");
    assert_eq!(line(Verdict::NotChecked("x".into())), "skipped  CRD: x");
}
