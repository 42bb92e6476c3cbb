//! Several processes and threads at once, and one that is killed. The other processes are this test
//! program again, which does as an environment variable tells it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Outage, binding, lost, mailbox, outcome, rows, start};
use crate::{Finding, Incident, MailboxRecord};

const DIRECTORY: &str = "INCIDENT_TEST_DIRECTORY";
const NAME: &str = "INCIDENT_TEST_NAME";
const ENDLESS: usize = usize::MAX;
/// What is recorded of each mailbox.
const FINDINGS: u32 = 50;

/// Records `count` mailboxes in a run of its own.
fn record(incident: &Incident, name: &str, count: usize) {
    let store = incident.store(&binding()).unwrap();
    let run = incident.begin_run(store, &start(name)).unwrap();
    for number in 0..count {
        let (mailbox, outcome) = (mailbox(&format!("{name}-{number}")), outcome("left"));
        let finding = |uid| Finding {
            uid: Some(mailstore_format::Uid(uid)),
            code: "message-missing".to_owned(),
            remedy: "left".to_owned(),
            detail: String::new(),
        };
        let findings: Vec<_> = (1..=FINDINGS).map(finding).collect();
        let wanted: Vec<_> = (1..=FINDINGS).map(|uid| lost(uid, &format!("{uid}"))).collect();
        let record = MailboxRecord {
            findings: &findings,
            wanted: &wanted,
            ..MailboxRecord::new(&mailbox, &outcome)
        };
        incident.record(run, &record).unwrap();
    }
}

fn child(test: &str, outage: &Outage, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::processes::{test}")])
        .env(DIRECTORY, outage.path())
        .env(NAME, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Where this is one of the other processes: its incident and its name.
fn role() -> Option<(Incident, String)> {
    let directory = std::env::var_os(DIRECTORY)?;
    Some((Incident::open(directory.as_ref()).unwrap(), std::env::var(NAME).unwrap()))
}

/// Asserts that every mailbox was recorded whole or not at all; returns how many were.
fn require_whole(incident: &Incident) -> usize {
    incident.database.check().unwrap();
    let outcomes = rows(incident.outcomes()).len();
    let each = outcomes * FINDINGS as usize;
    assert_eq!(rows(incident.findings()).len(), each);
    assert_eq!(rows(incident.wanted()).len(), each);
    outcomes
}

#[test]
fn processes_and_threads_write_at_once_and_nothing_is_lost() {
    const TEST: &str = "processes_and_threads_write_at_once_and_nothing_is_lost";
    const MAILBOXES: usize = 40;
    if let Some((incident, name)) = role() {
        return record(&incident, &name, MAILBOXES);
    }
    let outage = Outage::new();
    let children = ["p1", "p2", "p3"].map(|name| child(TEST, &outage, name));
    std::thread::scope(|scope| {
        for name in ["t1", "t2"] {
            let incident = &outage.incident;
            scope.spawn(move || record(incident, name, MAILBOXES));
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(require_whole(&outage.incident), 5 * MAILBOXES);
    assert_eq!(rows(outage.incident.runs()).len(), 5);
}

#[test]
fn a_process_killed_in_the_middle_of_its_work_leaves_whole_mailboxes() {
    const TEST: &str = "a_process_killed_in_the_middle_of_its_work_leaves_whole_mailboxes";
    if let Some((incident, name)) = role() {
        return record(&incident, &name, ENDLESS);
    }
    let outage = Outage::new();
    let mut recorded = 0;
    for round in 0..8 {
        let mut child = child(TEST, &outage, &format!("round-{round}"));
        let deadline = Instant::now() + Duration::from_mins(1);
        let is_under_way = || rows(outage.incident.outcomes()).len() > recorded + 3;
        while !is_under_way() {
            assert!(Instant::now() < deadline, "the other process does not get on");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Not always at the same point of its work.
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let again = Incident::open(&outage.path()).unwrap();
        let now = require_whole(&again);
        assert!(now > recorded + 3);
        recorded = now;
    }
}
