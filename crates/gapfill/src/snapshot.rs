//! What a store on another machine has: its mailboxes and index records, without a single body.
//!
//! A snapshot is JSON lines: one of type `gapfill-snapshot`, then one of type `mailbox` for each
//! mailbox (`docs/json.md`). It is read a mailbox at a time: memory holds the mailboxes' names, and
//! where in the file each begins.

mod lines;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use incident::StoreBinding;
use mailstore::lock::LockWait;
use mailstore::name::InternalName;
use mailstore::namespace::Namespace;

use crate::contents::Contents;
use crate::error::Error;
use crate::live::{LiveMailbox, LiveStore};
use lines::{MailboxLine, MailboxName, Opening, StoredBytes};

/// How a snapshot begins.
const BEGINNING: &[u8] = br#"{"type":"gapfill-snapshot","version":1,"#;
/// A mailbox with more messages than there are UIDs for would have a longer line.
const LONGEST_LINE: u64 = 4 << 30;

/// A snapshot, read where it is asked for.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    /// Where each mailbox's line begins.
    offsets: Vec<u64>,
    /// What an incident knows the store by.
    pub(crate) binding: StoreBinding,
}

/// A snapshot, and what of it is held in memory.
pub(crate) struct Opened {
    pub(crate) snapshot: Snapshot,
    pub(crate) namespace: Namespace,
    pub(crate) mailboxes: Vec<LiveMailbox>,
    pub(crate) tombstones: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Whether a file begins as a snapshot does.
pub(crate) fn begins_as_one(file: &File) -> bool {
    let mut front = Vec::new();
    let length = u64::try_from(BEGINNING.len()).unwrap_or(u64::MAX);
    file.take(length).read_to_end(&mut front).is_ok() && front == BEGINNING
}

/// Writes a snapshot of `live`. The tombstones that only conversations know are among the messages.
pub(crate) fn write(
    live: &LiveStore,
    out: &mut dyn Write,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<(), Error> {
    line(out, &Opening::of(live)?)?;
    for (at, mailbox) in live.mailboxes().iter().enumerate() {
        let mut contents = live.read(at, on_wait)?;
        if let Some(rows) = live.conversations(at) {
            let rows = rows.of_mailbox(&mailbox.uniqueid, mailbox.name.as_bytes());
            contents.add_tombstones(rows.unwrap_or_default());
        }
        line(out, &MailboxLine::of(mailbox, &contents))?;
    }
    out.flush().map_err(Error::WriteSnapshot)
}

fn line(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<(), Error> {
    let written = serde_json::to_writer(&mut *out, value).map_err(std::io::Error::from);
    written.and_then(|()| out.write_all(b"\n")).map_err(Error::WriteSnapshot)
}

/// Opens the snapshot at `path`.
pub(crate) fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |why: String| Error::Snapshot { path: path.to_owned(), why };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut reader = BufReader::new(file);
    let (mut text, mut offset) = (Vec::new(), 0_u64);
    let mut next = |text: &mut Vec<u8>| -> Result<u64, Error> {
        text.clear();
        let begins = offset;
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', text);
        let read = read.map_err(|error| failed(error.to_string()))?;
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(begins)
    };
    next(&mut text)?;
    let opening: Opening = parsed(path, &text)?;
    opening.check().map_err(failed)?;
    let namespace = Namespace::from(opening.rules());
    let (mut offsets, mut mailboxes) = (Vec::new(), Vec::new());
    loop {
        let begins = next(&mut text)?;
        if text.is_empty() {
            break;
        }
        let MailboxName { name, uniqueid, dav, listed_at } = parsed(path, &text)?;
        let name = InternalName::new(name.0);
        mailboxes.push(LiveMailbox {
            dav,
            listed_at,
            ..LiveMailbox::named(&namespace, name, uniqueid.0)
        });
        offsets.push(begins);
    }
    if mailboxes.len() != opening.mailboxes {
        let (found, all) = (mailboxes.len(), opening.mailboxes);
        return Err(failed(format!("it is cut short: {found} of {all} mailboxes")));
    }
    let tombstones = opening.tombstones.iter();
    let tombstones = tombstones.map(|(StoredBytes(name), id)| {
        (name.clone(), id.as_ref().map(|StoredBytes(id)| id.clone()))
    });
    Ok(Opened {
        tombstones: tombstones.collect(),
        snapshot: Snapshot { path: path.to_owned(), offsets, binding: opening.binding() },
        namespace,
        mailboxes,
    })
}

impl Snapshot {
    /// What a mailbox held.
    pub(crate) fn read(&self, mailbox: usize) -> Result<Contents, Error> {
        let Some(&offset) = self.offsets.get(mailbox) else { return Ok(Contents::default()) };
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            BufReader::new(file).take(LONGEST_LINE).read_until(b'\n', &mut text)
        });
        read.map_err(|error| Error::Snapshot { path: self.path.clone(), why: error.to_string() })?;
        Ok(parsed::<MailboxLine>(&self.path, &text)?.contents())
    }
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text)
        .map_err(|error| Error::Snapshot { path: path.to_owned(), why: error.to_string() })
}
