//! What a run remembers: the gaps go into the incident, a mailbox at a time.

use std::collections::HashMap;
use std::time::Duration;

use incident::{
    GapKey, Incident, MailboxGaps, MailboxId, Outcome, RecordedGap, RunEnd, RunId, RunStart,
    RunStatus, StoreId, Wanted, WantedId,
};
use mailstore_format::{Guid, Uid};

use crate::error::Error;
use crate::live::LiveStore;
use crate::report::{MailboxReport, Summary};

/// An incident, and a run in it for each live store.
#[derive(Debug)]
pub struct Memory {
    incident: Incident,
    runs: Vec<(StoreId, RunId)>,
    /// What is still wanted, by store and unique id.
    wanted: HashMap<(StoreId, String), Vec<StillWanted>>,
}

/// A message that an earlier run missed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StillWanted {
    pub(crate) id: WantedId,
    pub(crate) uid: Uid,
    pub(crate) guid: Guid,
}

impl Memory {
    /// Begins a run on each of the stores.
    pub fn begin(
        incident: Incident,
        stores: &[LiveStore],
        start: &RunStart,
    ) -> Result<Self, incident::Error> {
        let mut runs = Vec::new();
        for live in stores {
            let binding = live.binding()?;
            // Who is on another machine cannot be named when the incident is made.
            let store = if live.is_elsewhere() {
                incident.bind(&binding)?
            } else {
                incident.store(&binding)?
            };
            runs.push((store, incident.begin_run(store, start)?));
        }
        let mut wanted = HashMap::<_, Vec<_>>::new();
        for missed in incident.still_wanted() {
            let Wanted { id, store, mailbox, message, .. } = missed?;
            let still = StillWanted { id, uid: message.uid, guid: message.guid };
            wanted.entry((store, mailbox.uniqueid)).or_default().push(still);
        }
        Ok(Self { incident, runs, wanted })
    }

    /// What is still wanted of a mailbox.
    pub(crate) fn wanted(&self, store: usize, uniqueid: &str) -> &[StillWanted] {
        let Some((store, _)) = self.runs.get(store) else { return &[] };
        self.wanted.get(&(*store, uniqueid.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// All that is known of the wanted messages with this GUID.
    pub(crate) fn wanted_with_guid(&self, guid: &Guid) -> Result<Vec<Wanted>, Error> {
        Ok(self.incident.wanted_with_guid(guid)?)
    }

    /// The number of the live store that the incident knows by this id.
    pub(crate) fn number_of(&self, store: StoreId) -> Option<usize> {
        self.runs.iter().position(|(known, _)| *known == store)
    }

    /// Records what is said of a mailbox.
    pub(crate) fn record(&self, report: &MailboxReport) -> Result<(), Error> {
        let (Some((_, run)), Some(mailbox)) = (self.runs.get(report.store), &report.mailbox) else {
            return Ok(());
        };
        let messages = report.counts.0.values().map(|count| count.messages).sum();
        let state = if report.error.is_some() { "failed" } else { "compared" };
        let outcome = Outcome {
            state: state.to_owned(),
            messages,
            messages_read: report.files_read,
            bytes_read: report.bytes_read,
            error: report.error.clone(),
        };
        let MailboxReport { looked_at, .. } = *report;
        let gaps = [report.gaps.as_slice(), report.within.as_slice()].concat();
        let gaps = MailboxGaps { mailbox, outcome: &outcome, gaps: &gaps, looked_at };
        self.incident.record_gaps(*run, &gaps)?;
        if let Some(gone) = &report.gone {
            self.incident.record_gone_mailbox(*run, mailbox, gone)?;
        }
        for of_mailbox in report.closed.chunk_by(|(one, _), (other, _)| one == other) {
            let keys: Vec<_> = of_mailbox.iter().map(|(_, key)| *key).collect();
            if let Some((mailbox, _)) = of_mailbox.first() {
                self.incident.close_gaps(*run, mailbox, &keys)?;
            }
        }
        Ok(self.incident.record_seen_numbers(*run, mailbox, report.seen)?)
    }

    /// Whether earlier runs saw this gap of a mailbox and nobody has closed it.
    pub(crate) fn is_open(
        &self,
        store: usize,
        mailbox: &MailboxId,
        key: &GapKey,
    ) -> Result<bool, Error> {
        let Some((store, _)) = self.runs.get(store) else { return Ok(false) };
        Ok(self.incident.is_open(*store, mailbox, key)?)
    }

    /// A gap of this message that is to be restored.
    pub(crate) fn open_gap_of(&self, guid: &Guid) -> Result<Option<RecordedGap>, Error> {
        Ok(self.incident.open_gap_of(guid)?)
    }

    /// The gaps of a mailbox that earlier runs saw and nobody has closed.
    pub(crate) fn open_gaps(&self, store: usize, id: &MailboxId) -> Result<Vec<GapKey>, Error> {
        let Some((store, _)) = self.runs.get(store) else { return Ok(Vec::new()) };
        Ok(self.incident.open_gaps(*store, id)?)
    }

    /// Notes that the run has come to its end.
    pub fn end(&self, summary: &Summary, took: Duration) -> Result<(), incident::Error> {
        let status = if summary.failed > 0 { RunStatus::Failed } else { RunStatus::Finished };
        for (_, run) in &self.runs {
            let end = RunEnd {
                status,
                mailboxes: summary.mailboxes,
                messages: summary.files_read,
                bytes_read: summary.bytes_read,
                seconds: took.as_secs_f64(),
            };
            self.incident.end_run(*run, &end)?;
        }
        Ok(())
    }
}
