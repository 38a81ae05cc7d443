//! The values that the schema accepts and refuses.

use super::helm::{Helm, all_ci, chart, ci, path};
use super::*;

#[tokio::test]
async fn lint_finds_nothing_with_any_values_file() {
    let helm = Helm::without_cluster().await;
    let chart = chart();
    for name in all_ci() {
        let values = ci(&name);
        let args = ["lint", "--strict", path(&chart), "--values", &values];
        let said = helm.ok(&args).await;
        assert!(said.contains("0 chart(s) failed"), "{name}: {said}");
        assert!(!said.contains("[WARNING]"), "{name}: {said}");
    }
}

/// Values, and a piece of Helm's message about them: the place in the values.
const REFUSED: &str = r"
replicas=2 -> replicas
replicaCount=two -> replicaCount
replicaCount=-1 -> replicaCount
image.tag=a tag -> image/tag
image.digest=0123 -> image/digest
image.pullPolicy=Sometimes -> image/pullPolicy
watchNamespaces=tenant-a -> watchNamespaces
watchNamespaces={Tenant} -> watchNamespaces
watchNamespaces={a\,b} -> watchNamespaces
watchNamespaces={a,a} -> watchNamespaces
watchSecrets=yes -> watchSecrets
cams.endpoint=http://cams.ap-southeast-1.aliyuncs.com -> cams/endpoint
cams.endpoint=https://example.com -> cams/endpoint
cams.codeDigits=3 -> cams/codeDigits
cams.codeDigits=4-9 -> cams/codeDigits
cams.qps=0 -> cams/qps
cams.qps=1.5 -> cams/qps
cams.signature=v2 -> cams/signature
credentials.existingSecret= -> credentials/existingSecret
credentials.source=oidc -> credentials/source
credentials.source=rrsa -> credentials/rrsa
credentials.source=rrsa,credentials.rrsa.roleArn=acs:ram::1:role/x -> credentials/rrsa
credentials.source=rrsa,credentials.rrsa.roleName=x,credentials.rrsa.roleArn=acs:ram::1:role/x,credentials.rrsa.oidcProviderArn=acs:ram::1:oidc-provider/x -> credentials/rrsa
credentials.assumeRole.roleArn=arn:aws:iam::1:role/x -> credentials/assumeRole/roleArn
credentials.assumeRole.externalId=acme-7f3c -> credentials/assumeRole/roleArn
credentials.stsEndpoint=sts.example.com -> credentials/stsEndpoint
crds.kept=true -> crds
port=80 -> port
logFormat=xml -> logFormat
tracing.otlpEndpoint=collector:4318 -> tracing/otlpEndpoint
tracing.otlpEndpoint=http://user@collector -> tracing/otlpEndpoint
networkPolicy.dnsPorts={0} -> networkPolicy/dnsPorts
prometheusRule.runbookUrl=docs/runbooks -> prometheusRule/runbookUrl
terminationGracePeriodSeconds=30 -> terminationGracePeriodSeconds
securityContext.runAsUser=0 -> securityContext/runAsUser
serviceMonitor.enabled=true,podMonitor.enabled=true -> not
";

#[tokio::test]
async fn the_schema_refuses_what_would_not_work() {
    let helm = Helm::without_cluster().await;
    let chart = chart();
    for row in REFUSED.trim().lines() {
        let (values, place) = row.split_once(" -> ").unwrap();
        let args = ["template", "x", path(&chart), "--set", values];
        let said = helm.refused(&args).await;
        assert!(said.contains("schema"), "{values}: {said}");
        assert!(said.contains(place), "{values}: {said}");
    }
}

/// Every value is in the schema with a type, so that a misspelt or mistyped one is an error.
#[test]
fn every_value_has_its_place_in_the_schema() {
    let read = |name: &str| std::fs::read_to_string(chart().join(name)).unwrap();
    let values: Value = serde_yaml_ng::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    check(&values, &schema, "");
}

fn check(values: &Value, schema: &Value, at: &str) {
    let Some(known) = schema["properties"].as_object() else {
        assert!(
            ["type", "enum"].iter().any(|key| schema.get(key).is_some()),
            "{at} has no type"
        );
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{at}");
    let values = values.as_object().unwrap();
    for (key, value) in values {
        let schema = known.get(key).unwrap_or_else(|| panic!("{at}/{key}"));
        check(value, schema, &format!("{at}/{key}"));
    }
    for key in known.keys().filter(|key| !values.contains_key(*key)) {
        // A value of a parent chart, and one of Kubernetes' own.
        let no_default = ["/enabled", "/global", "/resources/claims"];
        let place = format!("{at}/{key}");
        assert!(
            no_default.contains(&place.as_str()),
            "{place} has no default"
        );
    }
}
