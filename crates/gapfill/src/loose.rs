//! Loose messages: read once, then looked for in every mailbox.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

use mailstore_format::Guid;
use rayon::prelude::*;

use crate::place::Skipped;
use crate::source::{LooseFile, Source, read_loose};

/// What is known of a loose message by now; what is higher counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Known {
    /// No record knows it.
    Nothing,
    /// Some mailbox had it, and it was deleted there.
    Deleted,
    /// It is the copy of a message that is a gap.
    Used,
    /// A live mailbox has it.
    Present,
}

/// All loose messages of all sources.
#[derive(Debug, Default)]
pub(crate) struct LooseSet {
    files: Vec<LooseFile>,
    by_guid: HashMap<Guid, Vec<u32>>,
    known: Vec<AtomicU8>,
    /// What could not be read.
    pub(crate) skipped: Vec<Skipped>,
}

impl LooseSet {
    /// Reads every loose file of the sources, in the order of the disk.
    pub(crate) fn read(sources: &[Source]) -> Self {
        let mut all: Vec<_> = sources.iter().flat_map(|source| &source.loose).collect();
        all.sort_by_key(|at| at.ino);
        let read: Vec<_> = all.par_iter().map(|at| read_loose(at)).collect();
        let mut set = Self::default();
        for file in read {
            match file {
                Ok(file) => set.add(file),
                Err(skipped) => set.skipped.push(skipped),
            }
        }
        set
    }

    fn add(&mut self, file: LooseFile) {
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        if file.is_mail {
            for guid in [Some(file.guid), file.guid_with_crlf].into_iter().flatten() {
                self.by_guid.entry(guid).or_default().push(number);
            }
        }
        self.known.push(AtomicU8::new(Known::Nothing as u8));
        self.files.push(file);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files that are this message, as they lie there or with CRLF for LF.
    pub(crate) fn with_guid(&self, guid: &Guid) -> impl Iterator<Item = &LooseFile> {
        let numbers = self.by_guid.get(guid).into_iter().flatten();
        numbers.filter_map(|&number| self.files.get(usize::try_from(number).ok()?))
    }

    /// Notes what is known of the message.
    pub(crate) fn note(&self, guid: &Guid, known: Known) {
        for &number in self.by_guid.get(guid).into_iter().flatten() {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            if let Some(state) = self.known.get(at) {
                state.fetch_max(known as u8, Ordering::Relaxed);
            }
        }
    }

    /// Every file with what is known of it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&LooseFile, Known)> {
        self.files.iter().zip(&self.known).map(|(file, known)| {
            let known = match known.load(Ordering::Relaxed) {
                0 => Known::Nothing,
                1 => Known::Deleted,
                2 => Known::Used,
                _ => Known::Present,
            };
            (file, known)
        })
    }
}

impl LooseFile {
    /// The GUID it has, or would have, in a Cyrus store.
    pub(crate) fn stored_guid(&self) -> Guid {
        self.guid_with_crlf.unwrap_or(self.guid)
    }
}
