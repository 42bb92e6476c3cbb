//! What holds for every mailbox, however its files were mixed up.

use mailstore_format::line_ends::{bare_lfs, with_crlf};
use std::collections::BTreeMap;

use mailstore::spool::message_uid;
use proptest::prelude::*;

use super::model::{Mailbox, StoredFile, cut, message};
use super::*;

/// Texts of messages; so few that many mailboxes have copies.
const TEXTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NAMES: [&str; 13] =
    ["1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "12.", "007.", "3", "x.", ".nfs01"];

#[derive(Debug, Clone, Copy)]
enum Content {
    Whole(usize),
    Cut(usize),
    BareLines(usize),
    Blank,
    Empty,
}

fn content() -> impl Strategy<Value = Content> {
    let text = 0..TEXTS.len();
    prop_oneof![
        6 => text.clone().prop_map(Content::Whole),
        1 => text.clone().prop_map(Content::Cut),
        1 => text.prop_map(Content::BareLines),
        1 => Just(Content::Blank),
        1 => Just(Content::Empty),
    ]
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Whole(text) => message(TEXTS[text]),
            Self::Cut(text) => cut(TEXTS[text]),
            Self::BareLines(text) => {
                message(TEXTS[text]).into_iter().filter(|&byte| byte != b'\r').collect()
            }
            Self::Blank => vec![0; 70],
            Self::Empty => Vec::new(),
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Live,
    Expunged,
    Destroyed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Live), 1 => Just(Fate::Expunged), 1 => Just(Fate::Destroyed)]
}

prop_compose! {
    fn mailbox()(
        records in prop::collection::vec((0..TEXTS.len(), fate()), 1..8),
        files in prop::collection::btree_map(0..NAMES.len(), content(), 0..9),
        untouched in any::<u16>(),
    ) -> Mailbox {
        let uid = |at: usize| u32::try_from(at + 1).unwrap();
        let texts: Vec<_> =
            records.iter().enumerate().map(|(at, (text, _))| (uid(at), TEXTS[*text])).collect();
        let mut mailbox = Mailbox::with(&texts);
        for (at, (_, fate)) in records.iter().enumerate() {
            if *fate == Fate::Expunged {
                mailbox.change_record(uid(at), |record| {
                    record.internal_flags = InternalFlags::EXPUNGED;
                    record.last_updated = NOW;
                });
            }
        }
        mailbox.settle();
        for (at, (_, fate)) in records.iter().enumerate() {
            if *fate == Fate::Destroyed {
                mailbox.destroy_record(uid(at));
            }
            if untouched >> at & 1 == 0 {
                mailbox.files.remove(&format!("{}.", uid(at)));
            }
        }
        for (name, content) in files {
            mailbox.store(NAMES[name], content.bytes());
        }
        mailbox
    }
}

fn count<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    counts
}

fn live(mailbox: &Mailbox) -> Vec<IndexRecord> {
    mailbox.records().filter(|record| !record.is_expunged()).copied().collect()
}

fn check(mut mailbox: Mailbox) -> Result<(), TestCaseError> {
    let (files, records) = (mailbox.files.clone(), live(&mailbox));
    let tombstones: Vec<_> =
        mailbox.records().filter(|record| record.is_expunged()).copied().collect();
    let first = mailbox.repair();
    if codes(&first).contains(&Code::LineEndsRestored) {
        // A message that is whole again only now can serve a second record that had the same bytes.
        mailbox.repair();
    }

    let whole = |file: &StoredFile| Guid::of(&with_crlf(&file.bytes, bare_lfs(&file.bytes)));

    // Every byte is still somewhere.
    let kept = mailbox.files.values().chain(&mailbox.quarantine);
    let kept: Vec<_> = kept.map(|file| &file.bytes).collect();
    for file in files.values() {
        prop_assert!(kept.contains(&&file.bytes), "{:?}", String::from_utf8_lossy(&file.bytes));
    }
    // Every live record stays as it was, and has its message if that is anywhere.
    for record in &records {
        let after = mailbox.record(record.uid.0);
        prop_assert_eq!((after.guid, after.is_expunged()), (record.guid, false));
        let is_it = |bytes: &[u8]| Guid::of(bytes) == record.guid;
        let name = format!("{}.", record.uid);
        // Of a file that serves a record its line ends may be put right, but no other is made of it.
        let serves_another = |name: &str, file: &StoredFile| {
            let other = |other: &&IndexRecord| name == format!("{}.", other.uid);
            let other = records.iter().filter(|other| other.uid != record.uid).find(other);
            other.is_some_and(|other| [Guid::of(&file.bytes), whole(file)].contains(&other.guid))
        };
        let exists = files.iter().any(|(name, file)| {
            is_it(&file.bytes) || whole(file) == record.guid && !serves_another(name, file)
        });
        let served = mailbox.files.get(&name).is_some_and(|file| is_it(&file.bytes));
        prop_assert!(served || !exists, "message {} is there and not served", record.uid);
        prop_assert!(served || !mailbox.files.contains_key(&name), "never another's bytes");
    }
    // What was expunged stays so, and nothing is served more often than there were records or files.
    for tombstone in &tombstones {
        prop_assert!(mailbox.record(tombstone.uid.0).is_expunged());
    }
    let before = count(records.iter().map(|record| record.guid.to_string()));
    let stored = count(files.values().flat_map(|file| {
        let (as_it_is, whole) = (Guid::of(&file.bytes), whole(file));
        let also = (whole != as_it_is).then_some(whole);
        std::iter::once(as_it_is).chain(also).map(|guid| guid.to_string())
    }));
    let all_live = live(&mailbox);
    for (guid, times) in count(all_live.iter().map(|record| record.guid.to_string())) {
        let most = before.get(&guid).max(stored.get(&guid)).copied().unwrap_or(0);
        prop_assert!(times <= most.max(1), "{guid} is there {times} times");
    }
    // Every message that is whole somewhere is served, unless a tombstone has it or its name says
    // that somebody holds it open.
    for (name, file) in files.iter().filter(|(name, _)| !name.starts_with(".nfs")) {
        let guid = Guid::of(&file.bytes);
        let is_message = file.bytes.starts_with(b"Subject");
        let restored = whole(file);
        let mut deleted = tombstones.iter().map(|tombstone| tombstone.guid);
        let deleted = deleted.any(|tombstone| [guid, restored].contains(&tombstone));
        let remains_of_deleted = message_uid(name.as_bytes())
            .is_some_and(|uid| tombstones.iter().any(|tombstone| tombstone.uid == uid));
        let served = all_live.iter().any(|record| record.guid == guid || record.guid == restored);
        let superseded = message_uid(name.as_bytes()).is_some_and(|uid| {
            records.iter().any(|record| record.uid == uid)
                && mailbox.files.contains_key(&format!("{uid}."))
        });
        prop_assert!(
            served || !is_message || deleted || remains_of_deleted || superseded,
            "{name} is not served"
        );
    }
    let names = mailbox.records().map(|record| record.uid);
    prop_assert!(names.is_sorted_by(|one, next| one < next), "each UID once");
    let again = mailbox.plan();
    prop_assert!(again.rewrite.is_none(), "a second run has {:?}", again.findings);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_message_is_lost_doubled_or_resurrected_however_files_were_mixed_up(
        mailbox in mailbox()
    ) {
        check(mailbox)?;
    }
}
