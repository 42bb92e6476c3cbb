//! `docs/json.md` names every field and every state that the JSON output can hold.

use std::collections::BTreeSet;

use incident::DeliveryState;
use mailstore_format::{Guid, Timestamp, Uid};
use reconstruct::{Code, Finding, FollowUp, Remedy};
use redeliver::{MailboxReport, MessageReport, Summary};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/json.md");

/// What the document says of this command.
fn section() -> &'static str {
    DOCUMENT.split("\n## redeliver\n").nth(1).unwrap_or_default()
}

/// Every object key in `value`, at any depth.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.keys().cloned());
            members.values().for_each(|member| keys(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_field_and_state_is_documented() {
    use DeliveryState::{Delivered, Found, Held, Intended, Verified};
    let message = |state| MessageReport {
        guid: Guid::NULL,
        source_uid: Uid(7),
        class: "missing".to_owned(),
        messages: 1,
        bytes: 9,
        internaldate: Timestamp(0),
        marked: false,
        state,
        uid: Some(Uid(9)),
        note: "why".to_owned(),
    };
    let report = MailboxReport {
        mailbox: "user.alice".to_owned(),
        messages: [Intended, Delivered, Verified, Found, Held].map(message).into(),
        locked_ms: 1,
        findings: vec![Finding::new(Code::IndexMissing, Remedy::Repair, "detail").about(Uid(1))],
        follow_up: vec![FollowUp::Quota],
        error: Some("error".to_owned()),
    };
    let summary = Summary { run: Some("run".to_owned()), ..Summary::default() };
    let mut found = BTreeSet::new();
    let report = serde_json::to_value(&report).unwrap();
    keys(&report, &mut found);
    keys(&serde_json::to_value(&summary).unwrap(), &mut found);
    let states = report["messages"].as_array().unwrap().iter();
    found.extend(states.map(|message| message["state"].as_str().unwrap().to_owned()));
    // A finding's fields are those of `reconstruct`.
    for name in ["code", "remedy", "detail"] {
        found.remove(name);
    }
    for name in found {
        assert!(section().contains(&format!("`{name}`")), "docs/json.md does not tell of {name}");
    }
}
