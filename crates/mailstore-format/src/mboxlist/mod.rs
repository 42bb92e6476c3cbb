//! The entries of `mailboxes.db` (`imap/mboxlist.c`): which mailboxes there are, where they lie, and
//! who may do what with them. The forms are in `docs/format/mailboxes-db.md`.
//!
//! ```
//! use mailstore_format::mboxlist::{MailboxEntry, RecordKey};
//!
//! let value = b"%(T el I 3x01yxu0u2cf81mo11l7ahm9 P default V 1795236007 M 1795236006 A %(erin lrs))";
//! let entry = MailboxEntry::decode(RecordKey::Name(b"user.erin"), value)?;
//! assert!(entry.mbtype.is_stored_by_name());
//! assert_eq!(entry.encode(), value);
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

mod entry;
mod mbtype;
mod names;

use std::collections::BTreeMap;

use crate::DecodeError;
use crate::db::{DbContents, DbEntry, Standing};

pub use entry::{FormerName, MailboxEntry, RecordKey};
pub use mbtype::{MailboxKind, MailboxType};
pub use names::{name_from_db, name_to_db};

/// How a `mailboxes.db` names its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Up to 3.4: the key is the internal name. All mailboxes lie in directories by name.
    ByName,
    /// Since 3.6: keys begin with what they are: `N` and the name, `I` and the unique id, `A` for
    /// reverse ACLs, `J` for the id of JMAP.
    ByKind,
}

/// An entry of the list, and how sure the database was of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the record says.
    pub entry: MailboxEntry,
    /// Whether the record is proven to be the last one.
    pub standing: Standing,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedEntry {
    /// Its key.
    pub key: Vec<u8>,
    /// What is wrong with its value.
    pub error: DecodeError,
}

/// All of `mailboxes.db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxList {
    /// How its records are named.
    pub generation: Generation,
    /// The records by name, under the internal name; tombstones and intermediates included.
    pub by_name: BTreeMap<Vec<u8>, Listed>,
    /// The records by unique id. Cyrus 3.6.1 leaves one behind when it deletes a name, so one of
    /// these alone does not prove that the mailbox exists; but it has the mailbox's former names,
    /// and where the record by name is lost, all that the other had.
    pub by_uniqueid: BTreeMap<Vec<u8>, Listed>,
    /// Records that could not be read.
    pub malformed: Vec<MalformedEntry>,
}

impl MailboxList {
    /// The list that a database holds, of whichever generation it is.
    #[must_use]
    pub fn from_database(contents: &DbContents<'_>) -> Self {
        let generation = generation(&contents.entries);
        let mut list = Self {
            generation,
            by_name: BTreeMap::new(),
            by_uniqueid: BTreeMap::new(),
            malformed: Vec::new(),
        };
        for record in &contents.entries {
            let key = record.key.as_ref();
            match (generation, key.split_first()) {
                // Reverse ACLs and what is left to do: made from the records proper.
                (Generation::ByName, Some((b'$', _))) => {}
                (Generation::ByName, _) => {
                    if let Some(mut listed) = list.decode(record, RecordKey::Name(key)) {
                        listed.entry.mbtype.set_stored_by_name();
                        list.by_name.insert(key.to_vec(), listed);
                    }
                }
                (Generation::ByKind, Some((b'N', name))) => {
                    let name = name_from_db(name);
                    if let Some(listed) = list.decode(record, RecordKey::Name(&name)) {
                        list.by_name.insert(name, listed);
                    }
                }
                (Generation::ByKind, Some((b'I', id))) => {
                    if let Some(listed) = list.decode(record, RecordKey::Uniqueid(id)) {
                        list.by_uniqueid.insert(id.to_vec(), listed);
                    }
                }
                (Generation::ByKind, _) => {}
            }
        }
        list
    }

    fn decode(&mut self, record: &DbEntry<'_>, key: RecordKey<'_>) -> Option<Listed> {
        match MailboxEntry::decode(key, &record.value) {
            Ok(entry) => Some(Listed { entry, standing: record.standing }),
            Err(error) => {
                self.malformed.push(MalformedEntry { key: record.key.to_vec(), error });
                None
            }
        }
    }
}

/// Records by unique id are the mark of the new generation (as for `mboxlist_upgrade`); where none
/// is left, that all keys begin as they do there.
fn generation(records: &[DbEntry<'_>]) -> Generation {
    let by_id = |record: &DbEntry<'_>| {
        let entry = record
            .key
            .strip_prefix(b"I")
            .and_then(|id| MailboxEntry::decode(RecordKey::Uniqueid(id), &record.value).ok());
        entry.is_some_and(|entry| !entry.name.is_empty())
    };
    let mut keys = records.iter().map(|record| record.key.first());
    if records.iter().any(by_id)
        || keys.all(|first| matches!(first, Some(b'N' | b'I' | b'A' | b'J')))
    {
        Generation::ByKind
    } else {
        Generation::ByName
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db;

    #[test]
    fn a_list_from_before_unique_ids_is_keyed_by_the_name_itself() {
        let file = b"$RACL$U$erin$user.erin\t\nNotes\t0 default anyone\tlrs\t\nuser.erin\t0 default erin\tlrs\t\n";
        let list = MailboxList::from_database(&db::read(file).expect("a flat file"));
        assert_eq!(list.generation, Generation::ByName);
        assert_eq!(list.by_name.len(), 2);
        assert!(list.by_name[&b"Notes"[..]].entry.mbtype.is_stored_by_name());
    }

    #[test]
    fn a_malformed_value_is_listed_and_the_others_come_out() {
        let file = b"Ix\t%(T e N a M 1)\nNa\t%(T e I x M 1)\nNb\t%(T e V minus)\nNc\tnonsense\n";
        let list = MailboxList::from_database(&db::read(file).expect("a flat file"));
        assert_eq!((list.by_name.len(), list.by_uniqueid.len()), (1, 1));
        let keys: Vec<_> = list.malformed.iter().map(|entry| entry.key.as_slice()).collect();
        assert_eq!(keys, [b"Nb", b"Nc"]);
    }
}
