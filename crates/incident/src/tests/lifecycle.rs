use std::time::Duration;

use crate::{Error, Finding, Incident, MailboxRecord, RunEnd, RunStatus, StoreBinding, purge};

use super::{Outage, binding, lost, mailbox, outcome, rows, start};

fn end(messages: u64, seconds: f64) -> RunEnd {
    let (status, bytes_read) = (RunStatus::Finished, messages * 1000);
    RunEnd { status, mailboxes: 1, messages, bytes_read, seconds }
}

#[test]
fn what_was_made_is_there_when_it_is_opened_again() {
    let outage = Outage::new();
    outage.run("first");
    let again = Incident::open(&outage.path()).unwrap();
    assert_eq!(rows(again.runs()), rows(outage.incident.runs()));
    assert_eq!(again.stores().unwrap()[0].binding, binding());
    assert_eq!(again.about().unwrap(), outage.incident.about().unwrap());
}

#[test]
fn an_incident_is_not_made_over_another_nor_found_where_there_is_none() {
    let outage = Outage::new();
    let again = Incident::create(&outage.path(), &[], "");
    assert!(matches!(again, Err(Error::NotEmpty { .. })), "{again:?}");
    assert_eq!(outage.incident.stores().unwrap().len(), 1);
    let empty = tempfile::tempdir().unwrap();
    let none = Incident::open(empty.path());
    assert!(matches!(none, Err(Error::NoIncident { .. } | Error::Unsafe { .. })), "{none:?}");
}

#[test]
fn an_incident_whose_making_was_interrupted_is_made_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outage");
    crate::directory::make(&path).unwrap();
    assert!(matches!(Incident::open(&path), Err(Error::NotAnIncident { .. })));
    let incident = Incident::create(&path, &[binding()], "note").unwrap();
    assert_eq!(incident.about().unwrap().note, "note");
}

#[test]
fn a_store_that_was_not_named_is_refused_until_it_is_bound() {
    let outage = Outage::new();
    let other = StoreBinding { config_directory: "/rescued/imap".into(), ..binding() };
    let refused = outage.incident.store(&other);
    assert!(matches!(refused, Err(Error::OtherStore { .. })), "{refused:?}");
    let bound = outage.incident.bind(&other).unwrap();
    assert_eq!(outage.incident.store(&other).unwrap(), bound);
    assert_eq!(outage.incident.bind(&other).unwrap(), bound);
    assert_eq!(outage.incident.stores().unwrap().len(), 2);
}

#[test]
fn a_closed_incident_begins_no_run_and_lets_one_end() {
    let outage = Outage::new();
    let run = outage.run("first");
    let closed = outage.incident.close().unwrap();
    let refused = outage.incident.begin_run(outage.store, &start("second"));
    assert!(matches!(refused, Err(Error::Closed { .. })), "{refused:?}");
    let (mailbox, outcome) = (mailbox("a"), outcome("repaired"));
    outage.incident.record(run, &MailboxRecord::new(&mailbox, &outcome)).unwrap();
    outage.incident.end_run(run, &end(1, 1.0)).unwrap();
    assert_eq!(rows(outage.incident.outcomes()).len(), 1);
    assert_eq!(outage.incident.close().unwrap(), closed, "the first time counts");
}

#[test]
fn the_rate_is_that_of_the_latest_finished_runs_together() {
    let outage = Outage::new();
    let rate = |runs| outage.incident.measured_rate("reconstruct", runs).unwrap();
    assert_eq!(rate(5), None);
    for (name, ended) in [
        ("1", Some(end(1_000_000, 1.0))),
        ("2", Some(end(100, 1.0))),
        ("3", Some(end(500, 2.0))),
        ("4", Some(RunEnd { status: RunStatus::Failed, ..end(9_000_000, 1.0) })),
        ("5", None),
    ] {
        let run = outage.run(name);
        if let Some(end) = ended {
            outage.incident.end_run(run, &end).unwrap();
        }
    }
    let rate = rate(2).unwrap();
    assert!((rate.messages_per_second - 200.0).abs() < 1e-9, "{rate:?}");
    assert!((rate.bytes_per_second - 200_000.0).abs() < 1e-6, "{rate:?}");
    assert_eq!(rate.runs, 2);
    assert_eq!(outage.incident.measured_rate("gapfill", 2).unwrap(), None);
}

#[test]
fn a_run_that_is_gone_on_with_stays_one_run_and_adds_up() {
    let outage = Outage::new();
    let run = outage.run("first");
    outage.incident.end_run(run, &end(10, 1.5)).unwrap();
    assert_eq!(outage.run("first"), run);
    let running = outage.incident.run_named(outage.store, "first").unwrap().unwrap();
    assert_eq!((running.end.status, running.ended), (RunStatus::Running, None));
    outage.incident.end_run(run, &end(5, 0.5)).unwrap();
    let ended = rows(outage.incident.runs());
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].end.messages, ended[0].end.mailboxes), (15, 1));
    assert!((ended[0].end.seconds - 2.0).abs() < 1e-9);
}

#[test]
fn what_a_run_says_of_a_mailbox_again_replaces_what_it_said() {
    let outage = Outage::new();
    let run = outage.run("first");
    let found = |code: &str| Finding {
        uid: None,
        code: code.to_owned(),
        remedy: "left".to_owned(),
        detail: String::new(),
    };
    let (one, other) = (mailbox("a"), mailbox("b"));
    for (mailbox, state, codes) in [
        (&one, "failed", &["index-missing", "cache-missing"][..]),
        (&other, "left", &["message-missing"]),
        (&one, "repaired", &["index-missing"]),
    ] {
        let findings: Vec<_> = codes.iter().map(|code| found(code)).collect();
        let outcome = outcome(state);
        let record = MailboxRecord { findings: &findings, ..MailboxRecord::new(mailbox, &outcome) };
        outage.incident.record(run, &record).unwrap();
    }
    outage.incident.record_store_findings(run, &[found("mailbox-list-damaged")]).unwrap();
    outage.incident.record_store_findings(run, &[found("mailbox-list-damaged")]).unwrap();
    let states = rows(outage.incident.outcomes()).into_iter().map(|row| row.outcome.state);
    assert_eq!(states.collect::<Vec<_>>(), ["repaired", "left"]);
    let mut codes: Vec<_> = rows(outage.incident.findings())
        .into_iter()
        .map(|row| (row.mailbox.map(|mailbox| mailbox.uniqueid), row.finding.code))
        .collect();
    codes.sort();
    let of = |mailbox: Option<&str>, code: &str| (mailbox.map(String::from), code.to_owned());
    let expected = [
        of(None, "mailbox-list-damaged"),
        of(Some("a"), "index-missing"),
        of(Some("b"), "message-missing"),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn a_record_of_a_run_that_is_not_there_is_refused_whole() {
    let (outage, other) = (Outage::new(), Outage::new());
    other.run("first");
    let run = other.run("second");
    let (mailbox, outcome, wanted) = (mailbox("a"), outcome("left"), [lost(1, "one")]);
    let record = MailboxRecord { wanted: &wanted, ..MailboxRecord::new(&mailbox, &outcome) };
    let refused = outage.incident.record(run, &record);
    assert!(matches!(refused, Err(Error::Unknown { what: "run", .. })), "{refused:?}");
    assert!(rows(outage.incident.wanted()).is_empty());
    assert!(outage.incident.end_run(run, &end(1, 1.0)).is_err());
}

#[test]
fn only_a_closed_incident_is_purged_and_only_what_is_its_own() {
    let outage = Outage::new();
    let path = outage.path();
    std::fs::write(outage.incident.files().unwrap().join("conversations.dump"), b"").unwrap();
    std::fs::write(path.join("notes.txt"), b"mine").unwrap();
    let refused = purge(&path, Duration::ZERO, true);
    assert!(matches!(refused, Err(Error::NotPurged { .. })), "{refused:?}");
    outage.incident.close().unwrap();
    let refused = purge(&path, Duration::from_hours(24), true);
    assert!(matches!(refused, Err(Error::NotPurged { .. })), "{refused:?}");
    let Outage { incident, directory, .. } = outage;
    drop(incident);
    let asked = purge(&path, Duration::ZERO, false).unwrap();
    assert_eq!(asked.files.len(), 2, "{asked:?}");
    assert_eq!(asked.foreign, [path.join("notes.txt")]);
    assert!(asked.files.iter().all(|file| file.exists()));
    assert_eq!(purge(&path, Duration::ZERO, true).unwrap(), asked);
    let left: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [path.join("notes.txt")]);
    drop(directory);
}
