//! A run: everything that the sources have is compared with the live stores, owner by owner.

mod belongings;
mod group;
mod outcome;
mod placing;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::Error;
use crate::live::LiveStore;
use crate::loose::LooseSet;
use crate::memory::Memory;
use crate::observer::Observer;
use crate::pairing::{Group, pair};
use crate::report::{MailboxReport, Summary};
use crate::source::Source;
use crate::stage::Stage;
use belongings::LazySeen;
use group::GroupRun;

/// How a run works.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Read and hash every file of the sources, also those whose record is intact.
    pub paranoid: bool,
    /// What becomes of messages that may have been deleted and forgotten.
    pub ambiguous: Ambiguous,
    /// Read once more, after the rest, what could not be read.
    pub retry_bad: bool,
    /// Only these owners; all where it is empty.
    pub owners: Vec<Vec<u8>>,
}

/// What becomes of messages that may have been deleted and forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ambiguous {
    /// They are to be restored, and marked.
    #[default]
    Restore,
    /// They are told of, and not to be restored.
    Skip,
}

/// A run over sources and stores. It can read both, and write neither.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    sources: &'a [Source],
    stores: &'a [LiveStore],
    options: &'a Options,
    observer: &'a dyn Observer,
    memory: Option<&'a Memory>,
    stage: Option<&'a Stage>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("options", self.options).finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A run that remembers nothing and stages nothing.
    #[must_use]
    pub fn new(
        sources: &'a [Source],
        stores: &'a [LiveStore],
        options: &'a Options,
        observer: &'a dyn Observer,
    ) -> Self {
        Self { sources, stores, options, observer, memory: None, stage: None }
    }

    /// The same, with its gaps recorded.
    #[must_use]
    pub fn remembered_by(self, memory: &'a Memory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// The same, with a verified copy of each message that is to be restored put there.
    #[must_use]
    pub fn staged_in(self, stage: &'a Stage) -> Self {
        Self { stage: Some(stage), ..self }
    }

    /// Compares everything, in the thread pool of the caller.
    ///
    /// # Errors
    /// Where the incident or the staging directory cannot be written. What keeps a single mailbox
    /// from being compared is in its report.
    pub fn compare(&self) -> Result<Summary, Error> {
        let loose = LooseSet::read(self.sources)?;
        let mut groups = pair(self.sources, self.stores, !loose.is_empty());
        if !self.options.owners.is_empty() {
            groups.retain(|group| {
                group.owner.as_ref().is_some_and(|owner| self.options.owners.contains(owner))
            });
        }
        let mailboxes = groups.iter().map(|group| group.pairs.len()).sum();
        self.observer.started(mailboxes, self.size_up(&groups));
        let summary = Mutex::new(self.passed_over(&loose));
        let seen = LazySeen::of(self.sources, self.stores.first().map(LiveStore::namespace));
        groups.par_iter().try_for_each(|group: &Group| {
            let reports = GroupRun { run: *self, group, loose: &loose, seen: &seen }.compare()?;
            reports.iter().try_for_each(|report| self.tell(report, &summary))
        })?;
        let mut placed = placing::place(self, &loose)?;
        // What belongs to a mailbox that was compared is recorded beside what that lacks.
        placed.retain(|report| {
            !report.gaps.is_empty() || !report.closed.is_empty() || !report.counts.0.is_empty()
        });
        placed.iter().try_for_each(|report| self.tell(report, &summary))?;
        Ok(summary.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// About how many messages the sources have: as many as files.
    fn size_up(&self, groups: &[Group]) -> u64 {
        let parts = groups.iter().flat_map(|group| &group.pairs).flat_map(|pair| &pair.parts);
        let mailboxes =
            parts.filter_map(|&(source, mailbox)| self.sources.get(source)?.mailboxes.get(mailbox));
        let files = mailboxes.map(|mailbox| u64::try_from(mailbox.files).unwrap_or(u64::MAX));
        files.fold(0, u64::saturating_add)
    }

    /// Records what is said of a mailbox, then tells it: what is staged of it is durable by then.
    fn tell(&self, report: &MailboxReport, summary: &Mutex<Summary>) -> Result<(), Error> {
        if let Some(stage) = self.stage {
            stage.sync()?;
        }
        if let Some(memory) = self.memory {
            memory.record(report)?;
        }
        self.observer.finished(report);
        summary.lock().unwrap_or_else(PoisonError::into_inner).add(report);
        Ok(())
    }

    /// What the walks could not look into.
    fn passed_over(&self, loose: &LooseSet<'_>) -> Summary {
        let skipped = self.sources.iter().flat_map(|source| &source.skipped);
        let skipped = skipped.chain(&loose.skipped);
        let (mut unreadable, mut passed_over) = (0_u64, 0_u64);
        for entry in skipped {
            let count = if entry.hides_mail() { &mut unreadable } else { &mut passed_over };
            *count = count.saturating_add(1);
        }
        Summary { unreadable, passed_over, ..Summary::default() }
    }
}
