//! How the store parses the reply to a list.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_reply_without_items_is_no_empty_list() {
    assert!(page(b"{}").is_err());
    assert!(page(b"<html>").is_err());
    let empty = page(br#"{"metadata": {"continue": ""}, "items": []}"#).unwrap();
    assert!(empty.items.is_empty() && empty.next.is_none());
}

#[test]
fn a_ledger_that_cannot_be_parsed_keeps_its_name() {
    let list = json!({
        "metadata": {"continue": "next"},
        "items": [{"metadata": {"name": "l"}, "entries": 1}],
    });
    let page = page(list.to_string().as_bytes()).unwrap();
    assert_eq!(page.items, [("l".to_owned(), LedgerRead::Unparsable)]);
    assert_eq!(page.next.as_deref(), Some("next"));
}
