//! Argo CD: the health script of `deploy/argocd`, in a Lua 5.1 interpreter, the language of Argo
//! CD's own interpreter.

use harness::repository;
use mlua::{Function, Lua, LuaSerdeExt, Table};
use phone_migration_operator::api::reason::Kstatus;

use super::states::recorded;
use super::*;

const KEY: &str = "resource.customizations.health.phonemigration.dev_PhoneMigration";

fn script() -> String {
    let path = repository().join("deploy/argocd/argocd-cm-patch.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let patch: Value = serde_yaml_ng::from_str(&text).unwrap();
    patch["data"][KEY].as_str().unwrap().to_owned()
}

/// Status and message, as Argo CD reads them from the script's result.
fn health(script: &str, object: &Value) -> (String, String) {
    // Argo CD offers the base library and tables, and no more.
    let libraries = mlua::StdLib::TABLE;
    let lua = Lua::new_with(libraries, mlua::LuaOptions::default()).unwrap();
    // Absent, as in Argo CD, not a value that represents null.
    let options = mlua::SerializeOptions::new()
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    let object = lua.to_value_with(object, options).unwrap();
    lua.globals().set("obj", object).unwrap();
    let chunk: Function = lua.load(script).into_function().unwrap();
    let said: Table = chunk.call(()).unwrap();
    (said.get("status").unwrap(), said.get("message").unwrap())
}

#[tokio::test]
async fn argo_cd_shows_of_every_state_what_is_designed() {
    let script = script();
    for recorded in recorded().await {
        let wanted = match recorded.wanted {
            Kstatus::Current => "Healthy",
            Kstatus::InProgress => "Progressing",
            Kstatus::Failed => "Degraded",
            Kstatus::Paused => "Suspended",
        };
        let (status, message) = health(&script, &recorded.object);
        println!("{:28} {status}: {message}", recorded.what);
        assert_eq!(status, wanted, "{}", recorded.what);
        assert!(!message.is_empty());
    }
}

#[test]
fn argo_cd_waits_where_there_is_no_status_at_all() {
    let object = json!({"metadata": {"generation": 1}});
    assert_eq!(health(&script(), &object).0, "Progressing");
    let object = json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1}});
    assert_eq!(health(&script(), &object).0, "Progressing");
}
