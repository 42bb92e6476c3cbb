//! The messages of a database by mailbox.

use std::collections::HashMap;

use super::{Folders, FoldersBy, GuidRow, RowState};
use crate::db::{DbContents, Standing};
use crate::{Guid, ThreadId, Uid};

/// What the rows of a database tell of whole messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRows {
    /// How the mailboxes are named.
    pub by: FoldersBy,
    /// By unique id or name: the rows that tell a state, in order of UID.
    pub mailboxes: HashMap<Vec<u8>, Vec<MessageRow>>,
    /// Whether nothing of the database is damaged, and no row tells less than others.
    pub whole: bool,
}

/// A message in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRow {
    /// Its UID.
    pub uid: Uid,
    /// Its GUID.
    pub guid: Guid,
    /// Its thread.
    pub cid: ThreadId,
    /// Flags and dates as of its last change.
    pub state: RowState,
}

impl MessageRows {
    /// The rows of a database; `None` where it has no table of mailboxes. Rows of MIME parts are
    /// left out: a forwarded message has one with the original's GUID.
    #[must_use]
    pub fn of(contents: &DbContents<'_>) -> Option<Self> {
        let folders = Folders::of(contents)?;
        let mut whole = contents.damage.is_empty();
        let mut mailboxes = HashMap::<Vec<u8>, Vec<MessageRow>>::new();
        for entry in contents.entries.iter().filter(|entry| entry.key.first() == Some(&b'G')) {
            let row = GuidRow::decode(&entry.key, &entry.value);
            let live = entry.standing == Standing::Live;
            let (Ok(row), true) = (row, live) else {
                whole = false;
                continue;
            };
            if row.part.is_some() {
                continue;
            }
            let (Some(mailbox), Some(state)) = (folders.mailbox(row.folder), row.state) else {
                whole = false;
                continue;
            };
            let rows = match mailboxes.get_mut(mailbox) {
                Some(rows) => rows,
                None => mailboxes.entry(mailbox.to_vec()).or_default(),
            };
            rows.push(MessageRow { uid: row.uid, guid: row.guid, cid: row.cid, state });
        }
        for rows in mailboxes.values_mut() {
            rows.sort_by_key(|row| row.uid);
            rows.shrink_to_fit();
        }
        Some(Self { by: folders.by, mailboxes, whole })
    }

    /// The rows of the mailbox with this unique id and internal name, in order of UID.
    #[must_use]
    pub fn of_mailbox(&self, uniqueid: &[u8], name: &[u8]) -> Option<&[MessageRow]> {
        let key = match self.by {
            FoldersBy::Uniqueid => uniqueid,
            FoldersBy::Name => name,
        };
        self.mailboxes.get(key).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db;

    const DATABASE: &[u8] = include_bytes!("../../testdata/conversations-3.6.1.skiplist");

    #[test]
    fn the_rows_of_each_mailbox_come_out_in_order_of_uid_and_without_parts() {
        let contents = db::read(DATABASE).expect("a database");
        let rows = MessageRows::of(&contents).expect("a table of mailboxes");
        assert!(rows.whole);
        let (id, first) = rows.mailboxes.iter().max_by_key(|(_, rows)| rows.len()).expect("rows");
        assert_eq!(rows.of_mailbox(id, b"user.other"), Some(first.as_slice()));
        assert_eq!(rows.of_mailbox(b"user.other", id), None);
        for of_mailbox in rows.mailboxes.values() {
            assert!(of_mailbox.windows(2).all(|pair| pair[0].uid < pair[1].uid));
        }
    }
}
