//! Gaps of earlier runs that the live store lacks no more.

use std::collections::{HashMap, HashSet};

use incident::{Gap, GapKey};
use mailstore_format::{Guid, Uid};

use crate::compare::Pair;
use crate::contents::{Contents, FileState};

/// Which of the `open` gaps of a mailbox are closed, `told` being what this run has to tell. Those
/// of sources that this run did not see stay open, unless the live mailbox has their very record, or
/// this run tells of the same message under another UID.
pub(super) fn closed(open: Vec<GapKey>, pair: &Pair, told: &[Gap]) -> Vec<GapKey> {
    let keys: HashSet<_> = told.iter().map(Gap::key).collect();
    // One source may know the UID of a message, another one not: of several runs, too, the one that
    // has the most copies counts.
    let known: HashSet<_> = open.iter().copied().collect();
    let mut others = HashMap::<Guid, u32>::new();
    for gap in told.iter().filter(|gap| gap.restore && !gap.guid.is_null()) {
        *others.entry(gap.guid).or_default() += u32::from(!known.contains(&gap.key()));
    }
    let mut is_superseded = |key: &GapKey| match others.get_mut(&key.guid) {
        Some(left) if *left > 0 => {
            *left = left.saturating_sub(1);
            true
        }
        _ => false,
    };
    let is_closed = |key: &GapKey| {
        if keys.contains(key) {
            return false;
        }
        match &pair.live {
            // The mailbox itself was missing, or behind.
            Some(_) if key.guid.is_null() => true,
            Some(live) => {
                copies(&pair.source, key) > key.copy || has(live, key) || is_superseded(key)
            }
            // Its messages are all accounted for.
            None if key.guid.is_null() && !pair.source.messages.is_empty() => true,
            None => pair.standing.deleted_live,
        }
    };
    open.into_iter().filter(is_closed).collect()
}

/// How many messages of this UID and GUID a source has.
fn copies(source: &Contents, key: &GapKey) -> u32 {
    let first = source.messages.partition_point(|message| message.uid < key.uid);
    let of_uid = source.messages.iter().skip(first).take_while(|message| message.uid == key.uid);
    u32::try_from(of_uid.filter(|message| message.guid == key.guid).count()).unwrap_or(u32::MAX)
}

fn has(live: &Contents, key: &GapKey) -> bool {
    let found = live.messages.binary_search_by_key(&key.uid, |message| message.uid);
    let message = found.ok().and_then(|at| live.messages.get(at));
    message.is_some_and(|message| {
        let there = matches!(message.file, FileState::Listed | FileState::Verified);
        key.uid != Uid(0) && message.guid == key.guid && !message.expunged && there
    })
}

#[cfg(test)]
mod tests {
    use mailstore_format::index::IndexRecord;
    use mailstore_format::{SystemFlags, ThreadId, Timestamp};

    use super::*;
    use crate::contents::Message;

    fn contents(messages: &[(u32, &str)]) -> Contents {
        let message = |&(uid, text): &(u32, &str)| {
            let guid = Guid::of(text.as_bytes());
            let record = IndexRecord { uid: Uid(uid), guid, ..IndexRecord::default() };
            Message { file: FileState::Listed, ..Message::of_record(&record) }
        };
        Contents { messages: messages.iter().map(message).collect(), ..Contents::default() }
    }

    fn gap(uid: u32, text: &str) -> Gap {
        Gap {
            guid: Guid::of(text.as_bytes()),
            uid: Uid(uid),
            copy: 0,
            class: "missing".to_owned(),
            restore: true,
            evidence: String::new(),
            messages: 1,
            bytes: 1,
            system_flags: SystemFlags::default(),
            keywords: Vec::new(),
            internaldate: Timestamp(0),
            savedate: Timestamp(0),
            thread_id: ThreadId(0),
            origin: None,
            staged: None,
            wanted: None,
            annotations: Vec::new(),
            seen_by: Vec::new(),
        }
    }

    fn key(uid: u32, text: &str, copy: u32) -> GapKey {
        GapKey { guid: Guid::of(text.as_bytes()), uid: Uid(uid), copy }
    }

    fn closed_of(
        open: &[GapKey],
        source: &[(u32, &str)],
        live: Option<&[(u32, &str)]>,
    ) -> Vec<GapKey> {
        let (source, live) = (contents(source), live.map(contents));
        closed(open.to_vec(), &Pair { source, live, ..Pair::default() }, &[])
    }

    #[test]
    fn what_a_source_has_and_this_run_does_not_tell_is_closed() {
        let (seen, unseen) = (key(1, "a", 0), key(2, "b", 0));
        assert_eq!(closed_of(&[seen, unseen], &[(1, "a"), (2, "x")], Some(&[])), [seen]);
        assert_eq!(closed_of(&[seen], &[(1, "a")], None), [], "the mailbox is gone since");
    }

    #[test]
    fn without_its_source_only_the_very_record_closes_a_gap() {
        let gap = key(5, "a", 0);
        assert_eq!(closed_of(&[gap], &[], Some(&[(5, "a")])), [gap]);
        assert_eq!(closed_of(&[gap], &[], Some(&[(6, "a")])), [], "it may be another copy");
    }

    #[test]
    fn of_copies_without_a_uid_as_many_are_closed_as_are_not_told() {
        let (first, second) = (key(0, "a", 0), key(0, "a", 1));
        assert_eq!(closed_of(&[first, second], &[(0, "a")], Some(&[])), [first]);
    }

    #[test]
    fn a_mailbox_that_was_missing_whole_is_closed_when_there_is_one() {
        let whole = GapKey { guid: Guid::NULL, uid: Uid(0), copy: 0 };
        assert_eq!(closed_of(&[whole], &[], Some(&[])), [whole]);
        assert_eq!(closed_of(&[whole], &[], None), []);
        assert_eq!(closed_of(&[whole], &[(1, "a")], None), [whole], "nothing of it is missing");
    }

    #[test]
    fn a_gap_that_this_run_knows_by_another_uid_is_not_there_twice() {
        let told = |uid: u32| gap(uid, "a");
        let closed_by = |open: &[GapKey], told: &[Gap]| {
            let live = Some(contents(&[]));
            closed(open.to_vec(), &Pair { live, ..Pair::default() }, told)
        };
        let (first, second) = (key(7, "a", 0), key(8, "a", 0));
        assert_eq!(closed_by(&[first], &[told(107)]), [first]);
        assert_eq!(closed_by(&[first, second], &[told(107)]), [first], "there were two");
        assert_eq!(closed_by(&[first, second], &[told(8)]), [], "that one is told as it was");
    }
}
