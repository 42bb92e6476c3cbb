//! Copies that never became messages. Where the owner's conversations have a row for every message
//! of the mailbox, a file without one that has the bytes of another message is no message of its own:
//! whoever copied it was never told that it worked. (The server writes row and record together:
//! `mailbox_update_conversations`, `imap/mailbox.c`.)

use std::collections::{HashMap, HashSet};

use mailstore_format::{Guid, InternalFlags, Uid};

use super::adoption::Found;
use crate::evidence::{Coverage, Evidence};

/// The rows of a mailbox, where these are of all its messages.
pub(super) struct CompleteRows {
    uids: HashSet<Uid>,
    /// Whether any message with these bytes is live.
    live: HashMap<Guid, bool>,
}

/// What a file is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyOf {
    Live,
    Expunged,
}

impl CompleteRows {
    /// `None` where there may be messages without a row: conversations are switched on, restored or
    /// damaged at any time.
    pub(super) fn of<'e>(
        evidence: &Evidence,
        orphans: impl Iterator<Item = (Uid, Found<'e>)>,
    ) -> Option<Self> {
        let witnesses = &evidence.witnesses;
        let whole = witnesses.conversations_coverage == Coverage::Whole;
        let rows = witnesses.conversations.as_deref().filter(|_| whole)?;
        let mut complete = Self { uids: HashSet::new(), live: HashMap::new() };
        for row in rows {
            complete.uids.insert(row.uid);
            let live = !row.internal_flags.contains(InternalFlags::EXPUNGED);
            *complete.live.entry(row.guid).or_default() |= live;
        }
        let index = &evidence.index;
        let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
        let mut live = records.filter(|record| !record.is_expunged());
        let knows_all = live.all(|record| complete.uids.contains(&record.uid));
        let knows = |(uid, found): (Uid, Found<'_>)| {
            complete.uids.contains(&uid) || complete.live.contains_key(&guid_of(found))
        };
        (knows_all && { orphans }.all(knows)).then_some(complete)
    }

    /// What message the file of `uid`, which has no record, is only a copy of.
    pub(super) fn copied_by(&self, uid: Uid, found: Found<'_>) -> Option<CopyOf> {
        if self.uids.contains(&uid) {
            return None;
        }
        let live = self.live.get(&guid_of(found))?;
        Some(if *live { CopyOf::Live } else { CopyOf::Expunged })
    }
}

/// The GUID of the message, its line ends as they must have been.
fn guid_of(found: Found<'_>) -> Guid {
    found.reading.as_crlf.as_deref().unwrap_or(found.reading).fields.guid
}
