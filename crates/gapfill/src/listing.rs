//! The message files of a directory, listed once: for the walk, and for the comparison after it.

use std::sync::atomic::{AtomicUsize, Ordering};

use mailstore::spool::{SpoolFile, SpoolScan};
use mailstore::volume::ReadError;

use crate::place::OpenPlace;

/// So many files of all listings together are kept in memory: 64 MiB.
const MOST_KEPT: usize = 4 << 20;

/// What a directory holds of a mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// Its message files, in order of UID.
    pub(crate) messages: Vec<SpoolFile>,
    /// Whether it holds `cyrus.header`.
    pub(crate) has_header: bool,
    /// Whether it holds `cyrus.index`.
    pub(crate) has_index: bool,
}

impl Listing {
    /// Lists a directory.
    pub(crate) fn of(directory: &OpenPlace) -> Result<Self, ReadError> {
        directory.scan().map(Self::from)
    }
}

impl From<SpoolScan> for Listing {
    fn from(scan: SpoolScan) -> Self {
        let has = |name: &str| scan.meta_files.iter().any(|file| file == name);
        let (has_header, has_index) = (has("cyrus.header"), has("cyrus.index"));
        Self { messages: scan.messages, has_header, has_index }
    }
}

/// Room for the listings that a walk keeps. A directory whose listing finds none is listed again
/// when its mailbox is compared, so that memory does not grow with the source.
#[derive(Debug)]
pub(crate) struct ListingRoom(AtomicUsize);

impl Default for ListingRoom {
    fn default() -> Self {
        Self(AtomicUsize::new(MOST_KEPT))
    }
}

impl ListingRoom {
    /// The listing, where there is room left for it.
    pub(crate) fn keep(&self, mut listing: Listing) -> Option<Listing> {
        let (files, relaxed) = (listing.messages.len(), Ordering::Relaxed);
        self.0.fetch_update(relaxed, relaxed, |left| left.checked_sub(files)).ok()?;
        listing.messages.shrink_to_fit();
        Some(listing)
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::Uid;

    use super::*;

    #[test]
    fn what_finds_no_room_is_not_kept_and_leaves_the_room_to_smaller_ones() {
        let room = ListingRoom(AtomicUsize::new(5));
        let of = |files: u32| Listing {
            messages: (1..=files).map(|uid| SpoolFile { uid: Uid(uid), ino: 1 }).collect(),
            has_header: false,
            has_index: false,
        };
        let kept = [4, 2, 1, 1, 0].map(|files| room.keep(of(files)).is_some());
        assert_eq!(kept, [true, false, true, false, true]);
    }
}
