//! What holds of an incident as a whole.

mod appends;
mod deliveries;
mod gaps;
mod lifecycle;
mod processes;
mod queue;
mod rebuilding;
mod values;
mod wanting;

use std::path::Path;

use mailstore_format::{Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid};
use tempfile::TempDir;

use crate::{
    Incident, MailboxId, Outcome, RunId, RunStart, StoreBinding, StoreId, WantedMessage, Why,
};

/// An incident about one store, in a directory that is removed when this is dropped.
struct Outage {
    directory: TempDir,
    incident: Incident,
    store: StoreId,
}

impl Outage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let incident =
            Incident::create(&directory.path().join("outage"), &[binding()], "").unwrap();
        let store = incident.store(&binding()).unwrap();
        Self { directory, incident, store }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("outage")
    }

    fn run(&self, name: &str) -> RunId {
        self.incident.begin_run(self.store, &start(name)).unwrap()
    }
}

fn binding() -> StoreBinding {
    let path = |path| Path::new(path).to_owned();
    StoreBinding { config_directory: path("/var/imap"), imapd_conf: path("/etc/imapd.conf") }
}

fn start(name: &str) -> RunStart {
    RunStart {
        name: name.to_owned(),
        tool: "reconstruct".to_owned(),
        version: "0.1.0".to_owned(),
        arguments: vec!["--all".to_owned()],
        started: Timestamp::from_seconds(1_795_248_844),
    }
}

fn mailbox(uniqueid: &str) -> MailboxId {
    MailboxId { uniqueid: uniqueid.to_owned(), name: format!("user.{uniqueid}") }
}

fn outcome(state: &str) -> Outcome {
    Outcome { state: state.to_owned(), messages: 3, ..Outcome::default() }
}

fn lost(uid: u32, content: &str) -> WantedMessage {
    WantedMessage {
        uid: Uid(uid),
        guid: Guid::of(content.as_bytes()),
        size: 5,
        system_flags: SystemFlags::SEEN,
        internal_flags: InternalFlags::default(),
        keywords: vec!["$Work".to_owned()],
        internaldate: Timestamp::from_seconds(1_700_000_000),
        savedate: Timestamp(1),
        sentdate: Timestamp(2),
        modseq: ModSeq(12),
        createdmodseq: ModSeq(11),
        thread_id: ThreadId(0xfedc_ba98_7654_3210),
        annotations: Vec::new(),
        why: Why::Missing,
    }
}

fn rows<T>(pages: impl Iterator<Item = Result<T, crate::Error>>) -> Vec<T> {
    pages.collect::<Result<_, _>>().unwrap()
}
