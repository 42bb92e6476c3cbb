//! What a rewrite means for the server's conversations, which have a row for each message.
//!
//! A row holds the message's GUID, flags, internal flags and internal date
//! (`conversations_update_record` in `imap/conversations.c`); records without a thread id have none.

use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, InternalFlags, SystemFlags, ThreadId};

use super::{Conversations, Draughtsman, PlannedRecord};

impl Draughtsman<'_> {
    /// What the conversations will lack once these are the mailbox's records.
    pub(super) fn conversations_after(&self, records: &[PlannedRecord]) -> Conversations {
        let index = &self.evidence.index;
        let (mut kept, mut lack_threads) = (0_usize, false);
        for PlannedRecord { record, .. } in records {
            let before = self.evidence.record_of(record.uid);
            kept += usize::from(before.is_some());
            if before.is_some_and(|before| row_of(before) != row_of(record)) {
                return Conversations::OutOfStep;
            }
            lack_threads |=
                before.is_none() && !record.is_expunged() && record.cid == ThreadId::default();
        }
        // Records that were lost may have rows; those that came back without a thread id surely
        // are not theirs.
        let came_back = records.iter().filter(|planned| {
            self.evidence.record_of(planned.record.uid).is_none()
                && planned.record.cid != ThreadId::default()
        });
        if index.slots.len() > kept + came_back.count() {
            Conversations::OutOfStep
        } else if lack_threads {
            Conversations::LackThreads
        } else {
            Conversations::InStep
        }
    }
}

/// What of a record stands in its row.
fn row_of(record: &IndexRecord) -> (Guid, SystemFlags, InternalFlags) {
    // Where the file lies does not matter to a conversation.
    let flags = record.internal_flags.without(InternalFlags::ARCHIVED);
    (record.guid, record.system_flags, flags.without(InternalFlags::NEEDS_CLEANUP))
}
