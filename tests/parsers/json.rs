//! JSON that no serialiser would write: wrong types, numbers beyond every type, repeated names,
//! depth.

use proptest::prelude::*;

/// A JSON text. `names` are the field names that the parser under test knows.
pub fn a_json(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        1 => prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
        2 => a_number(),
        8 => a_word().prop_map(|word| quoted(&word)),
        1 => any::<String>().prop_map(|text| quoted(&text)),
        1 => prop::sample::select(vec![r#""\ud800""#, r#""\u0000\u001b[2J""#]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 16, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            4 => an_object(names, inner),
        ]
    })
}

/// Members in any order, with repeated names.
pub fn an_object(
    names: &'static [&'static str],
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => prop::sample::select(names).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec((name, value), 0..9).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{}:{value}", quoted(name)))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn a_number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i64>().prop_map(|n| n.to_string()),
        2 => any::<f64>().prop_map(|n| format!("{n:?}")),
        1 => "-?[0-9]{1,400}",
        1 => "[0-9]{1,20}[eE][+-]?[0-9]{1,6}",
    ]
}

/// Words that parsers compare with.
fn a_word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("OK".to_owned()),
        Just("VERIFIED".to_owned()),
        Just("8613800001234".to_owned()),
        Just("861380000****".to_owned()),
        Just("2026-11-23T12:00:00Z".to_owned()),
        Just("Accepted".to_owned()),
        Just("MTIzNDU2".to_owned()),
        "[A-Za-z.]{1,20}",
        "[0-9]{1,20}",
    ]
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The text with one of its bytes changed, inserted or taken away, or cut: almost JSON.
pub fn damaged(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (text, any::<prop::sample::Index>(), any::<u8>(), 0..5u8).prop_map(|(text, at, byte, how)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len().max(1)).min(bytes.len());
        match how {
            0 => {}
            1 => bytes.insert(at, byte),
            2 => bytes.truncate(at),
            3 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => {}
        }
        bytes
    })
}

#[test]
fn most_of_it_is_json_and_some_of_it_has_a_name_twice() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = an_object(&["Code", "Data"], a_json(&["Code", "Data"]));
    let mut parsed = 0;
    let mut twice = 0;
    for _ in 0..400 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        parsed += usize::from(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        twice += usize::from(text.matches("\"Code\":").count() > 1);
    }
    assert!(parsed > 150 && twice > 50, "{parsed} {twice}");
}
