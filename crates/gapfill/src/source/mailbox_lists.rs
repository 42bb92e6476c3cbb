//! The lists of mailboxes of a source: which id is called what.

use std::collections::HashMap;
use std::ffi::OsStr;

use mailstore::name::InternalName;
use mailstore_format::db;
use mailstore_format::mboxlist::MailboxList;

use super::walk::Directory;
use crate::place::Skipped;

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// What the lists say of a mailbox.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) uniqueid: Vec<u8>,
    pub(super) name: InternalName,
    pub(super) dav: bool,
    /// When the record was written: seconds since 1970.
    pub(super) written: Option<i64>,
}

/// All lists of a source. The server's own counts before the copies that it keeps of it
/// (`db.backup1`, `db.backup2`).
#[derive(Debug, Default)]
pub(super) struct MailboxLists {
    by_id: HashMap<Vec<u8>, Listed>,
    by_name: HashMap<InternalName, Listed>,
}

impl MailboxLists {
    /// Reads every `mailboxes.db` of the walk.
    pub(super) fn read(directories: &[Directory], skipped: &mut Vec<Skipped>) -> Self {
        let name = OsStr::new("mailboxes.db");
        let has_list = |directory: &&Directory| {
            directory.others.iter().any(|(file, _)| file.as_os_str() == name)
        };
        let is_copy = |directory: &&Directory| {
            let parent = directory.place.below().file_name();
            parent.is_some_and(|parent| parent.as_encoded_bytes().starts_with(b"db.backup"))
        };
        let mut found: Vec<_> = directories.iter().filter(has_list).collect();
        found.sort_by_key(is_copy);
        let mut lists = Self::default();
        for directory in found {
            let mut bytes = Vec::new();
            let opened = directory.place.open();
            let read =
                opened.and_then(|opened| opened.read_into(name, LARGEST_DATABASE, &mut bytes));
            if let Err(error) = read {
                skipped.push(Skipped::of(directory.place.entry(name), error));
            }
            // Of one that was read in part, what is whole counts.
            if let Ok(contents) = db::read(&bytes) {
                lists.add(&MailboxList::from_database(&contents));
            }
        }
        lists
    }

    fn add(&mut self, list: &MailboxList) {
        for (name, listed) in &list.by_name {
            let mbtype = &listed.entry.mbtype;
            if mbtype.is_deleted() || mbtype.is_intermediate() || mbtype.is_reserved() {
                continue;
            }
            let by_name = listed.entry.uniqueid.clone();
            let uniqueid = by_name.or_else(|| id_of(list, name)).unwrap_or_default();
            let listed = Listed {
                uniqueid,
                name: InternalName::new(name.clone()),
                dav: mbtype.is_dav(),
                written: listed.entry.mtime.map(mailstore_format::Timestamp::seconds),
            };
            if !listed.uniqueid.is_empty() {
                self.by_id.entry(listed.uniqueid.clone()).or_insert_with(|| listed.clone());
            }
            self.by_name.entry(listed.name.clone()).or_insert(listed);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What is said of the mailbox with this id; where none is known, of the one with this name.
    pub(super) fn of(&self, uniqueid: &[u8], name: Option<&InternalName>) -> Option<Listed> {
        if !uniqueid.is_empty() {
            return self.by_id.get(uniqueid).cloned();
        }
        self.by_name.get(name?).cloned()
    }
}

fn id_of(list: &MailboxList, name: &[u8]) -> Option<Vec<u8>> {
    let mut records = list.by_uniqueid.iter();
    let found = records.find(|(_, listed)| listed.entry.name == name);
    found.map(|(id, _)| id.clone())
}
