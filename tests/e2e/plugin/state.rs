//! `status`, `explain`, `retry` and `generate` against real resources.

use kube::api::{Patch, PatchParams};

use super::*;

#[tokio::test]
async fn a_wait_ends_with_what_came_of_the_batch() {
    let (world, desk) = desk("desk-wait", "good", "8613800005401").await;
    waiting(&world, "late", "8613800005402", "407182").await;
    let _operator = world.start(&[]).await;
    assert_eq!(desk.run("code good", "407182").await.code, 0);
    reason(&world, "late", "SecretNotFound").await;
    let said = desk.run("status --wait -o csv", "").await;
    assert_eq!(said.code, 3, "one has no code: {said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert_says(
        lines[1],
        &[",good,861380000****,Verified,id-8613800005401,"],
    );
    assert_says(lines[2], &[",late,861380000****,SecretNotFound,,"]);
    assert_eq!(desk.run("code late", "407182").await.code, 0);
    let said = desk.run("status --wait", "").await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("100 % done"), "{said:?}");
    assert!(!said.out.contains('\u{1b}'), "{said:?}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn an_explanation_names_what_is_missing() {
    let (world, desk) = desk("desk-why", "store-1", "8613800005403").await;
    let _operator = world.start(&[]).await;
    reason(&world, "store-1", "SecretNotFound").await;
    let said = desk.run("explain store-1", "").await;
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        "store-1 (861380000****): SecretNotFound",
        "cannot be told: no right to get leases",
        "store-1-code does not exist",
        "Do: kubectl phmig code store-1",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert_eq!(desk.run("code store-1", "407182").await.code, 0);
    let said = desk.run("explain store-1", "").await;
    said.hides(["407182"]);
    assert!(said.out.contains("has a code, written"), "{}", said.out);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_retry_is_answered_unless_git_owns_the_field() {
    let (world, desk) = desk("desk-retry", "store-2", "8613800005404").await;
    let _operator = world.start(&[]).await;
    assert_eq!(desk.run("code store-2", "999999").await.code, 2);
    let said = desk.run("retry store-2", "").await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("(1 of 5 codes spent)"), "{said:?}");

    let manifest = json!({"apiVersion": "phonemigration.dev/v1alpha1", "kind": "PhoneMigration",
        "metadata": {"name": "store-2"}, "spec": {"retryToken": "from-git"}});
    let flux = PatchParams::apply("kustomize-controller").force();
    let api = world.migrations();
    let patched = api.patch("store-2", &flux, &Patch::Apply(&manifest)).await;
    patched.unwrap();
    let said = desk.run("retry store-2", "").await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("kustomize-controller (Flux)"), "{said:?}");
    assert!(said.err.contains("    retryToken: \""), "{said:?}");
    let object = world.get("store-2").await.unwrap();
    assert_eq!(object.data["spec"]["retryToken"], "from-git");
    world.finish().await.unwrap();
}

/// The API server accepts the written manifests.
#[tokio::test]
async fn generated_manifests_are_admitted() {
    let world = World::new(OPERATOR, "desk-make").await.unwrap();
    let desk = Desk::of(&world).await;
    let table = format!(
        "name,namespace,custSpaceId,phoneNumber,labels\n\
         a,{0},29348393884,8613800005405,wave=3\ntrue,{0},cams-1,8613800005406,\n",
        world.namespace
    );
    let out = world.dir().join("generated");
    let args = format!("generate -f - --out {}", out.display());
    let said = desk.run(&args, &table).await;
    assert_eq!(said.code, 0, "{said:?}");
    let folder = out.join(&world.namespace);
    let applied = ["apply", "-k", &folder.to_string_lossy()];
    world.plane.control.kubectl_ok(&applied).await.unwrap();
    let names: Vec<Value> = world.list().await.unwrap();
    assert_eq!(names.len(), 2);
    let said = desk.run(&format!("{args} --check"), &table).await;
    assert_eq!(said.code, 0, "{said:?}");
    world.finish().await.unwrap();
}
