//! `docs/json.md` names every field and every fixed value that the JSON output can hold.

use std::collections::BTreeSet;

use mailstore_format::Uid;
use reconstruct::{Arrived, Code, Fate, Finding, FollowUp, MailboxReport, Remedy, State, Summary};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/json.md");

/// A report that holds everything a report can hold.
fn full_report(state: State, remedy: Remedy) -> MailboxReport {
    MailboxReport {
        findings: vec![Finding::new(Code::MessageMissing, remedy, "detail").about(Uid(7))],
        arrived: vec![
            Arrived { key: "key".to_owned(), fate: Fate::Delivered { uid: Uid(7) } },
            Arrived { key: "key".to_owned(), fate: Fate::Held { why: "why".to_owned() } },
        ],
        follow_up: vec![FollowUp::Quota, FollowUp::Conversations("alice".to_owned())],
        error: Some("error".to_owned()),
        ..MailboxReport::new("user.alice", state)
    }
}

/// Every object key in `value`, at any depth.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                found.insert(key.clone());
                keys(member, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                keys(item, found);
            }
        }
        _ => {}
    }
}

fn assert_documented(names: impl IntoIterator<Item = impl AsRef<str>>) {
    for name in names {
        let name = name.as_ref();
        let quoted = [format!("`{name}`"), format!("\"{name}\"")];
        let told = quoted.iter().any(|quoted| DOCUMENT.contains(quoted));
        assert!(told, "docs/json.md does not tell of {name}");
    }
}

#[test]
fn every_field_of_a_report_and_a_summary_is_documented() {
    let report = full_report(State::Repaired, Remedy::Left);
    let summary = Summary { run: Some("run".to_owned()), ..Summary::default() };
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(&report).unwrap(), &mut found);
    keys(&serde_json::to_value(&summary).unwrap(), &mut found);
    assert!(found.contains("locked_ms") && found.contains("uid") && found.contains("run"));
    assert_documented(found);
}

#[test]
fn every_state_remedy_and_follow_up_is_documented() {
    use State::{Delivered, Failed, Planned, Repaired, Resumed, Sound};
    let states = [Sound, Repaired, Delivered, Planned, Resumed, Failed];
    let states = states.map(|state| serde_json::to_value(state).unwrap());
    let remedies = [Remedy::Note, Remedy::Repair, Remedy::Left];
    let remedies = remedies.map(|remedy| serde_json::to_value(remedy).unwrap());
    let quota = serde_json::to_value(FollowUp::Quota).unwrap();
    let values = states.iter().chain(&remedies).chain([&quota]);
    assert_documented(values.map(|value| value.as_str().unwrap()));
}

#[test]
fn the_lines_of_the_command_have_the_documented_types_and_fields_and_no_other() {
    let mailbox = tempfile::tempdir().unwrap();
    std::fs::write(mailbox.path().join("1."), b"Subject: x\r\n\r\nbody\r\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_reconstruct"))
        .args(["-n", "--json", "--path"])
        .arg(mailbox.path())
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["mailbox", "summary"]);
    let mut found = BTreeSet::new();
    for line in &lines {
        keys(line, &mut found);
    }
    assert_documented(found);
    assert_documented(types);
}
