//! A mailbox before the damage and after the repair.

use super::contents::Mailbox;
use super::damage::Done;

/// What came back of a mailbox, and what should have and did not.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Messages that are back under the UID they had, with the same bytes.
    pub(crate) back: usize,
    /// Of these, how many have the flags and keywords they had.
    pub(crate) with_flags: usize,
    /// Of these, how many have the date they had.
    pub(crate) with_dates: usize,
    /// Messages that had been expunged and are there again, for their tombstone is gone.
    pub(crate) returned: usize,
    /// Faults: evidence was left, and yet it did not come back.
    pub(crate) faults: Vec<String>,
}

impl Comparison {
    pub(crate) fn of(before: &Mailbox, after: &Mailbox, damage: Option<&Done>) -> Self {
        let mut result = Self::default();
        let mut faults = Vec::new();
        let mut check = |right: bool, what: String| {
            if !right {
                faults.push(what);
            }
        };
        let lost = |uid| damage.is_some_and(|done| done.lost_records.contains(uid));

        check(before.uidvalidity == after.uidvalidity, "another UIDVALIDITY".into());
        check(before.last_uid <= after.last_uid, "a lower UIDNEXT".into());
        check(before.highestmodseq <= after.highestmodseq, "a lower HIGHESTMODSEQ".into());
        check(after.checksums_fit, "a checksum that does not fit".into());
        for (uid, was) in &before.messages {
            let Some(is) = after.messages.get(uid) else {
                check(false, format!("no message {uid}"));
                continue;
            };
            let same_bytes = (was.guid, was.size) == (is.guid, is.size);
            check(same_bytes, format!("another message {uid}"));
            result.back += usize::from(same_bytes);
            result.with_flags += usize::from(was.flags == is.flags);
            result.with_dates += usize::from(was.internaldate == is.internaldate);
            if !lost(uid) {
                check(was == is, format!("other facts in the record of message {uid}"));
            }
        }
        for uid in &before.tombstones {
            let returned = after.messages.contains_key(uid);
            result.returned += usize::from(returned);
            check(!returned || lost(uid), format!("the expunged message {uid}"));
        }
        for uid in after.messages.keys() {
            let known = before.messages.contains_key(uid) || before.tombstones.contains(uid);
            check(known, format!("a message {uid} that never was"));
        }
        result.faults = faults;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use mailstore_format::{Guid, ModSeq, SystemFlags, Timestamp, Uid, UidValidity};

    use super::*;
    use crate::demo::indexes::contents::{Flags, Message};

    fn mailbox() -> Mailbox {
        let message = Message {
            guid: Guid::of(b"a message"),
            size: 9,
            internaldate: Timestamp::from_seconds(1),
            flags: Flags { system: SystemFlags::SEEN, keywords: BTreeSet::new() },
            modseq: ModSeq(3),
            thread: 0,
        };
        Mailbox {
            uidvalidity: UidValidity(7),
            last_uid: Uid(2),
            highestmodseq: ModSeq(3),
            messages: BTreeMap::from([(Uid(1), message)]),
            tombstones: BTreeSet::from([Uid(2)]),
            checksums_fit: true,
        }
    }

    fn lost(uids: &[u32]) -> Done {
        let lost_records = uids.iter().copied().map(Uid).collect();
        Done { what: String::new(), lost_records }
    }

    #[test]
    fn lost_flags_are_a_fault_only_where_their_record_survived() {
        let mut after = mailbox();
        after.messages.get_mut(&Uid(1)).unwrap().flags.system = SystemFlags(0);
        let compare = |damage| Comparison::of(&mailbox(), &after, damage);
        assert_eq!(compare(None).faults, ["other facts in the record of message 1"]);
        let excused = compare(Some(&lost(&[1])));
        assert_eq!((excused.back, excused.with_flags, excused.faults.len()), (1, 0, 0));
    }

    #[test]
    fn an_expunged_message_may_return_only_where_its_tombstone_is_gone() {
        let mut after = mailbox();
        let message = after.messages[&Uid(1)].clone();
        after.messages.insert(Uid(2), message);
        let compare = |damage| Comparison::of(&mailbox(), &after, damage);
        assert_eq!(compare(None).faults, ["the expunged message 2"]);
        let excused = compare(Some(&lost(&[2])));
        assert_eq!((excused.returned, excused.faults.len()), (1, 0));
    }

    #[test]
    fn a_missing_message_and_a_falling_number_are_faults() {
        let mut after = mailbox();
        after.messages.clear();
        after.last_uid = Uid(1);
        let faults = Comparison::of(&mailbox(), &after, Some(&lost(&[1, 2]))).faults;
        assert_eq!(faults, ["a lower UIDNEXT", "no message 1"]);
    }
}
