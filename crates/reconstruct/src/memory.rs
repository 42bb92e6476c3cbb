//! What later commands of the same outage must know of a run: kept in the incident's database.
//!
//! Nothing of a repair waits for it or depends on it; what cannot be remembered is told as
//! something that could not be brought in step.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use incident::{
    Finding as RememberedFinding, Incident, MailboxRecord, Outcome, Quarantined, RunEnd, RunId,
    RunStart, RunStatus, StoreBinding, WantedAnnotation, WantedMessage, Why,
};
use mailstore_format::{Guid, Uid};

use crate::evidence::{Evidence, FileEvidence};
use crate::finding::Finding;
use crate::journal::{Wanted, WantedBecause};
use crate::manifest;
use crate::report::{MailboxReport, Summary};
use crate::target::Target;

/// The incident that a run belongs to.
#[derive(Debug)]
pub struct Memory {
    incident: Arc<Incident>,
    run: RunId,
    name: String,
    /// Messages that earlier runs missed, by the unique id of their mailbox.
    missed: HashMap<String, Vec<(Uid, Guid)>>,
}

/// What a run has to be remembered of one mailbox.
pub(crate) struct Remembered<'a> {
    pub(crate) target: &'a Target,
    pub(crate) report: &'a MailboxReport,
    pub(crate) wanted: &'a [Wanted],
    pub(crate) evidence: &'a Evidence,
}

impl Memory {
    /// Begins the run in the incident. Fails where this is not about the store.
    pub fn begin(
        incident: impl Into<Arc<Incident>>,
        store: &StoreBinding,
        start: &RunStart,
    ) -> Result<Self, incident::Error> {
        let incident = incident.into();
        let store = incident.store(store)?;
        let run = incident.begin_run(store, start)?;
        let mut missed = HashMap::<_, Vec<_>>::new();
        for wanted in incident.still_wanted() {
            let wanted = wanted?;
            if wanted.store == store {
                let message = (wanted.message.uid, wanted.message.guid);
                missed.entry(wanted.mailbox.uniqueid).or_default().push(message);
            }
        }
        Ok(Self { incident, run, name: start.name.clone(), missed })
    }

    /// The run of this name, as far as the incident knows it; to note that it is undone.
    pub fn of_run(
        incident: impl Into<Arc<Incident>>,
        store: &StoreBinding,
        name: &str,
    ) -> Result<Option<Self>, incident::Error> {
        let incident = incident.into();
        let run = incident.run_named(incident.store(store)?, name)?.map(|run| run.id);
        let name = name.to_owned();
        Ok(run.map(|run| Self { incident, run, name, missed: HashMap::new() }))
    }

    /// The run's number in the incident.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Notes that what the run did to a mailbox is undone, and with it the deliveries of messages that
    /// were taken back.
    pub(crate) fn forget(
        &self,
        target: &Target,
        report: &MailboxReport,
    ) -> Result<(), incident::Error> {
        let id = target.id();
        self.incident.mailbox_undone(self.run, &id)?;
        let taken_back: Vec<Uid> = report.taken_back().collect();
        self.incident.deliveries_undone(self.run, &id, &taken_back)
    }

    /// Notes what became of a mailbox.
    pub(crate) fn remember(&self, what: &Remembered<'_>) -> Result<(), incident::Error> {
        let Remembered { target, report, wanted, evidence } = what;
        let mailbox = target.id();
        let outcome = Outcome {
            state: report.state.as_str().to_owned(),
            messages: report.messages,
            messages_read: report.messages_read,
            bytes_read: report.bytes_read,
            error: report.error.clone(),
        };
        let findings: Vec<_> = report.findings.iter().map(remembered_finding).collect();
        let wanted: Vec<_> = wanted.iter().map(wanted_message).collect();
        let found = self.missed.get(&mailbox.uniqueid).map(|missed| found_again(evidence, missed));
        self.incident.record(
            self.run,
            &MailboxRecord {
                findings: &findings,
                wanted: &wanted,
                found: &found.unwrap_or_default(),
                quarantined: &self.kept(target),
                ..MailboxRecord::new(&mailbox, &outcome)
            },
        )
    }

    /// What the run keeps of the mailbox.
    fn kept(&self, target: &Target) -> Vec<Quarantined> {
        let changes = manifest::of_run(target, OsStr::new(&self.name));
        let kept = changes.iter().filter_map(|change| {
            Some(Quarantined {
                origin: change.origin().to_owned(),
                now: change.now()?.to_owned(),
                reason: change.reason.clone(),
                guid: None,
                mtime: None,
            })
        });
        kept.collect()
    }

    /// Notes that the run has come to its end, after so long.
    pub fn end(&self, summary: &Summary, took: Duration) -> Result<(), incident::Error> {
        let failed = summary.failed > 0;
        self.incident.end_run(
            self.run,
            &RunEnd {
                status: if failed { RunStatus::Failed } else { RunStatus::Finished },
                mailboxes: summary.mailboxes,
                messages: summary.messages_read,
                bytes_read: summary.bytes_read,
                seconds: took.as_secs_f64(),
            },
        )
    }
}

/// Of the messages that were missed, those that are there: an entry that can be the message, and
/// nothing that speaks against it.
fn found_again(evidence: &Evidence, missed: &[(Uid, Guid)]) -> Vec<(Uid, Guid)> {
    let is_there = |&(uid, guid): &(Uid, Guid)| {
        let at = evidence.messages.binary_search_by_key(&uid, |message| message.uid).ok();
        let Some(message) = at.and_then(|at| evidence.messages.get(at)) else { return false };
        let FileEvidence::Regular { identity, .. } = message.file else { return false };
        let record = message.slot.and_then(|slot| evidence.index.record(slot));
        match (message.guid_read(), record) {
            (Some(read), _) => read == guid,
            (None, Some(record)) => record.guid == guid && record.size == identity.size,
            (None, None) => false,
        }
    };
    missed.iter().copied().filter(is_there).collect()
}

fn remembered_finding(finding: &Finding) -> RememberedFinding {
    RememberedFinding {
        uid: finding.uid,
        code: finding.code.to_string(),
        remedy: finding.remedy.as_str().to_owned(),
        detail: finding.detail.clone(),
    }
}

fn wanted_message(wanted: &Wanted) -> WantedMessage {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let record = &wanted.record;
    let annotations = wanted.annotations.iter().map(|note| WantedAnnotation {
        entry: text(&note.entry),
        userid: text(&note.userid),
        value: note.value.clone(),
    });
    WantedMessage {
        uid: record.uid,
        guid: record.guid,
        size: record.size,
        system_flags: record.system_flags,
        internal_flags: record.internal_flags,
        keywords: wanted.keywords.iter().map(|(_, name)| text(name)).collect(),
        internaldate: record.internaldate,
        savedate: record.savedate,
        sentdate: record.sentdate,
        modseq: record.modseq,
        createdmodseq: record.createdmodseq,
        thread_id: record.cid,
        annotations: annotations.collect(),
        why: match wanted.why {
            WantedBecause::Missing => Why::Missing,
            WantedBecause::Damaged => Why::Damaged,
            WantedBecause::Pruned => Why::Pruned,
        },
    }
}
