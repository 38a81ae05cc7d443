//! The rights that the plugin needs, and its messages when the user lacks a right or a field is
//! missing.

use kube::api::{Patch, PatchParams};

use super::*;

#[tokio::test]
async fn a_missing_right_is_named() {
    let world = World::new(OPERATOR, "desk-rights").await.unwrap();
    let desk = Desk::without_rights(&world).await;
    waiting(&world, "store-1", "8613800005301", "407182").await;
    for args in [
        "code store-1",
        "codes -f -",
        "status",
        "status --wait",
        "explain store-1",
    ] {
        let said = desk.run(args, "store-1,407182").await;
        said.hides(["407182"]);
        assert_eq!(said.code, 1, "{args}: {said:?}");
        let text = &said.err;
        assert_says(text, &["cannot ", "phonemigrations"]);
        assert!(text.contains(ROLE), "{args}: {text}");
    }
    world.finish().await.unwrap();
}

/// Every request that the desk made, by the audit log.
#[tokio::test]
async fn it_makes_no_request_beyond_its_role() {
    let (world, desk) = desk("desk-audit", "store-2", "8613800005302").await;
    let _operator = world.start(&[]).await;
    assert_eq!(desk.run("code store-2", "407182").await.code, 0);
    assert_eq!(desk.run("status -o csv", "").await.code, 0);
    let user = format!("system:serviceaccount:{}:desk", world.namespace);
    let made = world.plane.control.audit_entries(|e| e.user == user);
    let made = made.unwrap();
    let of = |resource: &str| -> Vec<String> {
        let mine = made.iter().filter(|entry| entry.resource == resource);
        mine.map(|entry| entry.verb.clone()).collect()
    };
    assert_eq!(of("secrets"), ["get", "create"]);
    let patches = of("phonemigrations");
    let patches = patches.iter().filter(|verb| *verb == "patch");
    assert_eq!(patches.count(), 1);
    let refused = made.iter().find(|entry| entry.code == 403);
    assert!(refused.is_none(), "{refused:?}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_secret_that_another_tool_owns_is_left_alone() {
    let (world, desk) = desk("desk-owned", "store-3", "8613800005303").await;
    let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
    let manifest = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "store-3-code"}, "data": {"code": "MDAwMDAw", "other": "a2VwdA=="}});
    let manager = PatchParams::apply("externalsecrets.external-secrets.io/store-3").force();
    let owned = Patch::Apply(&manifest);
    let patched = secrets.patch("store-3-code", &manager, &owned).await;
    patched.unwrap();

    let refused = desk.run("code store-3 --no-wait", "407182").await;
    refused.hides(["407182"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("External Secrets"), "{refused:?}");
    let there = secret(&world, "store-3").await.unwrap();
    assert_eq!(value(&there, "code").as_deref(), Some("000000"));

    let forced = desk.run("code store-3 --no-wait --force", "407182").await;
    assert_eq!(forced.code, 0, "{forced:?}");
    let there = secret(&world, "store-3").await.unwrap();
    assert_eq!(value(&there, "code").as_deref(), Some("407182"));
    assert_eq!(value(&there, "other").as_deref(), Some("kept"));
    assert_eq!(there.type_.as_deref(), Some("Opaque"));
    world.finish().await.unwrap();
}
