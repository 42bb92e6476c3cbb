//! Gaps are remembered once, and what is said of them last counts.

use std::path::PathBuf;

use mailstore_format::{Guid, SystemFlags, ThreadId, Timestamp, Uid};

use super::{Outage, mailbox, outcome, rows};
use crate::{Gap, MailboxGaps, RunId, WantedAnnotation};

/// When the store was looked at.
const LOOKED_AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

pub(super) fn gap(uid: u32, content: &str) -> Gap {
    Gap {
        guid: Guid::of(content.as_bytes()),
        uid: Uid(uid),
        copy: 0,
        class: "missing".to_owned(),
        restore: true,
        evidence: "above the live store's last UID 6".to_owned(),
        messages: 1,
        bytes: 5,
        system_flags: SystemFlags::SEEN,
        keywords: vec!["$Work".to_owned()],
        internaldate: Timestamp::from_seconds(1_700_000_000),
        savedate: Timestamp(1),
        thread_id: ThreadId(0xfedc_ba98_7654_3210),
        origin: Some("/mnt/rescued/7.".into()),
        staged: None,
        wanted: None,
        annotations: vec![WantedAnnotation {
            entry: "/comment".to_owned(),
            userid: String::new(),
            value: b"caf\xe9".to_vec(),
        }],
        seen_by: vec!["bob".to_owned()],
    }
}

pub(super) fn record(outage: &Outage, run: RunId, gaps: &[Gap]) {
    record_at(outage, run, gaps, LOOKED_AT);
}

pub(super) fn record_at(outage: &Outage, run: RunId, gaps: &[Gap], looked_at: Timestamp) {
    let (mailbox, outcome) = (mailbox("a"), outcome("compared"));
    let seen = MailboxGaps { mailbox: &mailbox, outcome: &outcome, gaps, looked_at };
    outage.incident.record_gaps(run, &seen).unwrap();
}

#[test]
fn a_gap_comes_back_as_it_was_recorded() {
    let outage = Outage::new();
    let run = outage.run("first");
    let whole = Gap { guid: Guid::NULL, uid: Uid(0), messages: 1000, origin: None, ..gap(0, "") };
    let gaps = [gap(7, "seven"), whole];
    record(&outage, run, &gaps);
    let recorded = rows(outage.incident.gaps());
    let read: Vec<_> = recorded.iter().map(|recorded| recorded.gap.clone()).collect();
    assert_eq!(read, gaps);
    assert!(recorded.iter().all(|gap| gap.store == outage.store && gap.mailbox == mailbox("a")));
}

#[test]
fn a_rerun_adds_no_gap_twice_and_its_word_counts() {
    let outage = Outage::new();
    let first = outage.run("first");
    let staged = Some(PathBuf::from("/stage/ab/abcd"));
    record(&outage, first, &[Gap { staged: staged.clone(), ..gap(7, "seven") }, gap(8, "eight")]);
    let seen_first = rows(outage.incident.gaps())[0].first_seen;
    let second = outage.run("second");
    record(&outage, second, &[Gap { class: "ambiguous".to_owned(), ..gap(7, "seven") }]);
    let recorded = rows(outage.incident.gaps());
    assert_eq!(recorded.len(), 2);
    let again = &recorded[0];
    assert_eq!((again.gap.class.as_str(), again.run), ("ambiguous", second));
    assert_eq!((again.first_seen, &again.gap.staged), (seen_first, &staged));
    assert_eq!(recorded[1].run, first, "what the second run did not see stays");
}

#[test]
fn a_gap_is_closed_once_and_open_again_when_it_is_seen_again() {
    let outage = Outage::new();
    let first = outage.run("first");
    record(&outage, first, &[gap(7, "seven"), gap(8, "eight")]);
    let second = outage.run("second");
    let (seven, unknown) = (gap(7, "seven").key(), gap(9, "nine").key());
    let close = |run| outage.incident.close_gaps(run, &mailbox("a"), &[seven, unknown]).unwrap();
    close(second);
    let closed = || -> Vec<_> {
        rows(outage.incident.gaps()).iter().map(|gap| gap.closed.map(|(_, run)| run)).collect()
    };
    assert_eq!(closed(), [Some(second), None]);
    let open = || outage.incident.open_gaps(outage.store, &mailbox("a")).unwrap();
    assert_eq!(open(), [gap(8, "eight").key()]);
    assert_eq!(outage.incident.open_gaps(outage.store, &mailbox("b")).unwrap(), []);
    close(outage.run("third"));
    assert_eq!(closed(), [Some(second), None], "the first who says so counts");
    record(&outage, outage.run("fourth"), &[gap(7, "seven")]);
    assert_eq!((closed(), open().len()), (vec![None, None], 2));
}

#[test]
fn two_copies_without_uid_are_two_gaps() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(0, "twice"), Gap { copy: 1, ..gap(0, "twice") }]);
    assert_eq!(rows(outage.incident.gaps()).len(), 2);
}

#[test]
fn a_gap_is_exported_with_its_paths() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven")]);
    let mut out = Vec::new();
    outage.incident.export(&mut out).unwrap().unwrap();
    let lines = String::from_utf8(out).unwrap();
    let line = lines.lines().find(|line| line.contains(r#""type":"gap""#)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["origin"], "/mnt/rescued/7.");
    assert!(line["staged"].is_null());
    assert_eq!((&line["uid"], &line["restore"]), (&7.into(), &true.into()));
}

#[test]
fn an_open_gap_is_found_by_its_key_and_by_its_message() {
    let outage = Outage::new();
    let run = outage.run("first");
    let (seven, told) = (gap(7, "seven"), Gap { restore: false, ..gap(8, "told") });
    record(&outage, run, &[seven.clone(), told.clone()]);
    let store = outage.store;
    let is_open =
        |name: &str| outage.incident.is_open(store, &mailbox(name), &seven.key()).unwrap();
    let of = |gap: &Gap| outage.incident.open_gap_of(&gap.guid).unwrap();
    assert_eq!((is_open("a"), is_open("b")), (true, false));
    let found = of(&seven).unwrap();
    assert_eq!((&found.gap, found.last_seen), (&seven, LOOKED_AT));
    assert!(of(&told).is_none(), "it is not to be restored");
    outage.incident.close_gaps(run, &mailbox("a"), &[seven.key()]).unwrap();
    assert!(!is_open("a") && of(&seven).is_none());
}
