//! Databases of every kind: `skiplist` and `flat` here, `twoskip` by way of its CRCs.

use std::collections::HashSet;

use mailstore_format::annotations::Annotation;
use mailstore_format::conversations::{Folders, GuidRow, MessageRow, MessageRows};
use mailstore_format::db::{self, DbContents, DbFault, DbKind};
use mailstore_format::mboxlist::MailboxList;
use mailstore_format::seen::SeenEntry;

/// The entries, and what each of the databases of a store would make of them.
pub(crate) fn check(bytes: &[u8]) {
    let recognised = db::recognise(bytes);
    let Ok(contents) = db::read(bytes) else {
        assert!(matches!(recognised, None | Some(DbKind::Twom)));
        return;
    };
    assert!(recognised.is_none_or(|kind| kind == contents.kind));
    entries_are_in_the_file(bytes, &contents);
    damage_is_in_the_file(bytes, &contents);
    decoders_take_the_entries(&contents);
}

fn entries_are_in_the_file(bytes: &[u8], contents: &DbContents<'_>) {
    assert!(contents.entries.is_sorted_by(|a, b| a.key < b.key), "keys ascend, each once");
    let sizes = contents.entries.iter().map(|entry| entry.key.len() + entry.value.len());
    assert!(sizes.sum::<usize>() <= bytes.len(), "no byte is read twice");
    for entry in contents.entries.iter().take(64) {
        assert_eq!(contents.get(&entry.key), Some(entry));
    }
}

fn damage_is_in_the_file(bytes: &[u8], contents: &DbContents<'_>) {
    assert!(contents.damage.is_sorted_by_key(|damage| damage.offset));
    for damage in &contents.damage {
        let end = match damage.fault {
            DbFault::Unreadable { length } => damage.offset + length,
            _ => damage.offset,
        };
        assert!(end <= bytes.len() as u64 + 64, "{damage:?} of {} bytes", bytes.len());
    }
    let places: HashSet<_> = contents.damage.iter().map(|damage| damage.offset).collect();
    assert!(contents.damage.len() <= 4 * places.len(), "the same damage over and over");
}

fn decoders_take_the_entries(contents: &DbContents<'_>) {
    let list = MailboxList::from_database(contents);
    let listed = list.by_name.len() + list.by_uniqueid.len() + list.malformed.len();
    assert!(listed <= contents.entries.len());
    let folders = Folders::of(contents);
    let rows = MessageRows::of(contents);
    assert_eq!(rows.as_ref().map(|rows| rows.by), folders.as_ref().map(|folders| folders.by));
    rows_are_of_the_entries(rows.iter().flat_map(|rows| rows.mailboxes.values()), contents);
    for entry in &contents.entries {
        let (key, value) = (entry.key.as_ref(), entry.value.as_ref());
        if let (Ok(row), Some(folders)) = (GuidRow::decode(key, value), &folders) {
            assert!(GuidRow::is_key(key));
            let mailbox = folders.mailbox(row.folder);
            assert!(mailbox.is_none_or(|mailbox| folders.number(mailbox) <= Some(row.folder)));
        }
        let _ = Annotation::decode_global(key, value);
        let _ = Annotation::decode_of_message(key, value);
        let _ = SeenEntry::decode(value);
    }
}

fn rows_are_of_the_entries<'a>(
    mailboxes: impl Iterator<Item = &'a Vec<MessageRow>>,
    contents: &DbContents<'_>,
) {
    let mut count = 0;
    for rows in mailboxes {
        assert!(rows.is_sorted_by_key(|row| row.uid));
        count += rows.len();
    }
    assert!(count <= contents.entries.len(), "a row of its own for each message");
}
