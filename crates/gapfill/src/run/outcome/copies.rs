//! Where else the bytes of a message may be.

use std::collections::{HashMap, HashSet};

use mailstore_format::{Guid, Uid};

use crate::compare::Pair;
use crate::contents::{Contents, FileState, Message};
use crate::fetch::{Copy, look, message_copy};
use crate::mail::is_remains_of;

/// Copies by GUID.
#[derive(Debug, Default)]
pub(super) struct Copies(HashMap<Guid, Vec<Copy>>);

impl Copies {
    /// In any mailbox of the sources.
    pub(super) fn in_sources(pairs: &[Pair], guids: &HashSet<Guid>) -> Self {
        let mut copies = Self::default();
        for pair in pairs {
            copies.add(&pair.source, guids);
        }
        copies
    }

    /// In any mailbox of either side.
    pub(super) fn anywhere(pairs: &[Pair], guids: &HashSet<Guid>) -> Self {
        let mut copies = Self::in_sources(pairs, guids);
        for live in pairs.iter().filter_map(|pair| pair.live.as_ref()) {
            copies.add(live, guids);
        }
        copies
    }

    fn add(&mut self, contents: &Contents, guids: &HashSet<Guid>) {
        let has = |message: &&Message| {
            guids.contains(&message.guid)
                && matches!(message.file, FileState::Listed | FileState::Verified)
        };
        for message in contents.messages.iter().filter(has) {
            let files = files_of(contents, message.file_uid);
            self.0.entry(message.guid).or_default().extend(files);
        }
    }

    pub(super) fn of(&self, guid: &Guid) -> impl Iterator<Item = &Copy> {
        self.0.get(guid).into_iter().flatten()
    }
}

/// The files named by `uid`.
pub(super) fn files_of(contents: &Contents, uid: Uid) -> impl Iterator<Item = Copy> + use<'_> {
    contents.files_of(uid).filter_map(|file| {
        let place = contents.places.get(usize::try_from(file.place).ok()?)?;
        Some(message_copy(place, file.uid, file.ino))
    })
}

/// Whether the source's file is what a crash left of the live message of the same UID.
pub(super) fn is_remains_of_live(pair: &Pair, message: &Message) -> bool {
    let Some(live) = &pair.live else { return false };
    let Some(left) = files_of(&pair.source, message.file_uid).next() else { return false };
    let Some(remains) = look(&left, <[u8]>::to_vec) else { return false };
    let whole = files_of(live, message.uid).next();
    whole.and_then(|whole| look(&whole, |bytes| is_remains_of(&remains, bytes))).unwrap_or(false)
}
