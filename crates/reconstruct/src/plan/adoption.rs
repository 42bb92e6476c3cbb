//! Records for files that have none: whatever witness tells of them, else the documented defaults.

use std::fmt::Write as _;

use mailstore_format::index::IndexRecord;
use mailstore_format::{InternalFlags, SystemFlags, Timestamp, Uid, UserFlags};

use super::keyword_slots::with_keyword;
use super::known::with_derived_fields;
use super::{CacheSource, Draft, Draughtsman};
use crate::evidence::{ConversationRow, FileIdentity, Place, Reading};
use crate::finding::{Code, Remedy};
use crate::journal::{Arriving, Wanted};

/// The keyword of messages of which only a part is left.
const DAMAGED: &[u8] = b"$Damaged";

/// The system flags that clients know; the server keeps more in the same place.
const SHOWN_FLAGS: u16 = SystemFlags::ANSWERED.0
    | SystemFlags::FLAGGED.0
    | SystemFlags::DELETED.0
    | SystemFlags::DRAFT.0
    | SystemFlags::SEEN.0;

/// A message's file, found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) place: Place,
    pub(super) identity: FileIdentity,
    pub(super) reading: &'a Reading,
}

/// What tells of a message that has no record.
#[derive(Debug, Clone)]
pub(super) enum Witness<'w> {
    /// Nothing does.
    None,
    /// It came after all that was recorded: it has no flags yet.
    Newer,
    /// Its own record, whole.
    Proven(Box<IndexRecord>),
    /// Its own record, whole, which the index did not count.
    Uncounted(Box<IndexRecord>),
    /// A run that pruned its record.
    Journal(&'w Wanted),
    /// The owner's conversations.
    Row(ConversationRow),
    /// A run that brings it, or brought it, from outside.
    Arriving(&'w Arriving),
    /// The record of the message of which it is what is left.
    Remains(Box<IndexRecord>),
}

/// The flags that a row tells.
pub(super) fn shown_flags(row: &ConversationRow) -> SystemFlags {
    SystemFlags(row.system_flags.0 & SHOWN_FLAGS)
}

impl Witness<'_> {
    /// Whether it tells of these very bytes.
    pub(super) fn knows_the_bytes(&self) -> bool {
        !matches!(self, Self::None | Self::Newer)
    }

    /// Whether it tells that the message was expunged.
    pub(super) fn is_tombstone(&self) -> bool {
        match self {
            Self::Row(row) => row.internal_flags.contains(InternalFlags::EXPUNGED),
            Self::Proven(record) | Self::Uncounted(record) => record.is_expunged(),
            Self::None | Self::Newer | Self::Journal(_) | Self::Arriving(_) | Self::Remains(_) => {
                false
            }
        }
    }
}

impl Draughtsman<'_> {
    /// Drafts the record of a message under `uid`.
    pub(super) fn adopt(&mut self, found: Found<'_>, uid: Uid, witness: Witness<'_>) {
        let Found { place, reading, .. } = found;
        let now = self.policy.now;
        let fresh = IndexRecord {
            internaldate: self.internaldate_of(found),
            last_updated: now,
            savedate: now,
            ..IndexRecord::default()
        };
        let mut changed = true;
        let known = match witness {
            Witness::None => {
                self.flags_unknown.push(uid);
                fresh
            }
            Witness::Newer => fresh,
            Witness::Proven(record) => {
                changed = false;
                *record
            }
            Witness::Uncounted(record) => IndexRecord {
                internal_flags: record.internal_flags.without(InternalFlags::UNLINKED),
                ..*record
            },
            Witness::Journal(pruned) => {
                let user_flags = self.slots_of_keywords(pruned);
                self.report_restored(pruned);
                IndexRecord { last_updated: now, user_flags, ..pruned.record }
            }
            Witness::Row(row) => IndexRecord {
                internaldate: row.internaldate,
                system_flags: shown_flags(&row),
                internal_flags: InternalFlags(row.internal_flags.0 & InternalFlags::EXPUNGED.0),
                cid: row.cid,
                ..fresh
            },
            Witness::Arriving(arriving) => IndexRecord {
                internaldate: arriving.internaldate,
                system_flags: arriving.system_flags,
                user_flags: self.slots_of_arriving(arriving),
                ..fresh
            },
            Witness::Remains(record) => IndexRecord {
                internaldate: record.internaldate,
                system_flags: record.system_flags,
                user_flags: self.marked_damaged(uid, record.user_flags),
                ..fresh
            },
        };
        let internal_flags = match place {
            Place::Archive => known.internal_flags.with(InternalFlags::ARCHIVED),
            Place::Spool => known.internal_flags.without(InternalFlags::ARCHIVED),
        };
        let record = IndexRecord {
            uid,
            internal_flags,
            cache_version: reading.fields.cache_version,
            cache_crc: reading.fields.cache_crc,
            ..known
        };
        let record = with_derived_fields(record, &reading.fields);
        if !record.is_expunged() {
            self.known.live.insert(record.guid, uid);
        }
        let cache = reading.staged.map_or(CacheSource::None, CacheSource::Staged);
        self.stale_cache_of(place);
        // What its own record says of it a client may have seen: no number goes below that.
        self.highestmodseq = self.highestmodseq.max(record.modseq);
        self.drafts.push(Draft { record, cache, changed });
    }

    /// `flags` with the keyword that says that only a part is left.
    fn marked_damaged(&mut self, uid: Uid, flags: UserFlags) -> UserFlags {
        let Some(slot) = self.slot_of_keyword(DAMAGED, None) else {
            let detail = "no slot is left for the keyword $Damaged";
            self.find_about(uid, Code::KeywordUnnamed, Remedy::Left, detail);
            return flags;
        };
        with_keyword(flags, slot)
    }

    /// The internal date of a message of which only the file tells.
    fn internaldate_of(&self, found: Found<'_>) -> Timestamp {
        match found.reading.fields.received {
            Some(received) if self.distrust_files => received,
            _ => found.identity.mtime,
        }
    }

    /// Tells of which messages nobody knows the flags, nor whether they had been deleted.
    pub(super) fn report_unknown_flags(&mut self) {
        let mut uids = std::mem::take(&mut self.flags_unknown);
        if uids.is_empty() {
            return;
        }
        uids.sort_unstable();
        let detail = format!(
            "nothing tells the flags of {} messages, nor whether their owner had deleted them; \
             they have no flags and are there: UIDs {}",
            uids.len(),
            ranges(&uids)
        );
        self.find(Code::FlagsUnknown, Remedy::Note, detail);
    }
}

/// Ascending UIDs as an IMAP sequence set.
fn ranges(uids: &[Uid]) -> String {
    let mut set = String::new();
    for run in uids.chunk_by(|one, next| one.0.checked_add(1) == Some(next.0)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let comma = if set.is_empty() { "" } else { "," };
        let _ = if first == last {
            write!(set, "{comma}{first}")
        } else {
            write!(set, "{comma}{first}:{last}")
        };
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_told_as_ranges() {
        let uids = [1, 2, 3, 7, 9, 10, u32::MAX].map(Uid);
        assert_eq!(ranges(&uids), "1:3,7,9:10,4294967295");
        assert_eq!(ranges(&[]), "");
    }
}
