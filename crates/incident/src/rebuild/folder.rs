//! A mailbox's folder of one run: its report, manifest and journal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;

use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::{Guid, Timestamp, Uid};
use rusqlite::Transaction;

use super::Rebuilt;
use crate::bounded_lines::{NextLine, next_line};
use crate::error::Error;
use crate::findings;
use crate::incident::Incident;
use crate::journal::{JOURNAL, JournalEvent, MANIFEST, ManifestLine, REPORT, ReportLine};
use crate::mailboxes::{MailboxId, MailboxRow, Naming, put_outcome, remember, set_undone};
use crate::quarantine::{self, Quarantined};
use crate::runs::RunId;
use crate::stores::StoreId;
use crate::wanted::{self, WantedMessage, Why};

/// The longest report that is read: some 400,000 findings.
const REPORT_BYTES: u64 = 64 << 20;
/// The longest line that is read. An annotation's value takes four bytes a byte.
const LINE_BYTES: usize = 8 << 20;
/// So many lines, or so many bytes of them, are written in one transaction.
const BATCH_LINES: usize = 2048;
const BATCH_BYTES: usize = 8 << 20;

/// What a line says, for the database.
enum Entry {
    Kept(Quarantined),
    Wanted(WantedMessage),
    Found(Uid, Guid),
    Undone,
}

/// What it is written about.
struct Place {
    store: StoreId,
    run: RunId,
    mailbox: MailboxId,
    seen: Timestamp,
}

impl Incident {
    pub(super) fn rebuild_folder(
        &self,
        store: StoreId,
        run: RunId,
        key: &str,
        folder: &GuardedDir,
        seen: Timestamp,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Error> {
        rebuilt.folders = rebuilt.folders.saturating_add(1);
        let mailbox = MailboxId { uniqueid: identity_of(key), name: String::new() };
        let mut place = Place { store, run, mailbox, seen };
        self.rebuild_report(&mut place, folder, rebuilt)?;
        self.rebuild_lines(&mut place, folder, MANIFEST, rebuilt, |line, place| {
            let line: ManifestLine = serde_json::from_slice(line).ok()?;
            place.mailbox.name.clone_from(&line.mailbox);
            Some((!line.now.as_os_str().is_empty()).then(|| Entry::Kept(line.into_quarantined())))
        })?;
        self.rebuild_lines(&mut place, folder, JOURNAL, rebuilt, |line, _| {
            Some(match serde_json::from_slice(line).ok()? {
                JournalEvent::Pruned(message) => {
                    Some(Entry::Wanted(message.into_wanted(Why::Pruned)?))
                }
                JournalEvent::Wanted(message) => {
                    Some(Entry::Wanted(message.into_wanted(Why::Missing)?))
                }
                JournalEvent::Found { uid, guid } => {
                    Some(Entry::Found(Uid(uid), guid.parse().ok()?))
                }
                JournalEvent::Undone => Some(Entry::Undone),
                JournalEvent::Other => None,
            })
        })
    }

    fn rebuild_report(
        &self,
        place: &mut Place,
        folder: &GuardedDir,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Error> {
        let mut content = Vec::new();
        match folder.read_into(OsStr::new(REPORT), REPORT_BYTES, &mut content) {
            Ok(_) => {}
            Err(ReadError::NotFound) => return Ok(()),
            Err(error) => {
                rebuilt.add_unreadable(&folder.path().join(REPORT), &error);
                return Ok(());
            }
        }
        let Ok(report) = serde_json::from_slice::<ReportLine>(&content) else {
            rebuilt.passed_over = rebuilt.passed_over.saturating_add(1);
            return Ok(());
        };
        drop(content);
        rebuilt.lines = rebuilt.lines.saturating_add(1);
        place.mailbox.name.clone_from(&report.mailbox);
        let (outcome, found) = report.into_parts();
        self.database.write(|transaction| {
            let mailbox = place.row(transaction)?;
            put_outcome(transaction, place.run, mailbox, &outcome)?;
            findings::replace(transaction, place.run, Some(mailbox), &found)
        })
    }

    /// Reads the lines of a file. `understand` says nothing of a line that makes no sense, and no
    /// entry of one that is of no use here.
    fn rebuild_lines(
        &self,
        place: &mut Place,
        folder: &GuardedDir,
        name: &str,
        rebuilt: &mut Rebuilt,
        understand: impl Fn(&[u8], &mut Place) -> Option<Option<Entry>>,
    ) -> Result<(), Error> {
        let mut source = match folder.open_file(OsStr::new(name)) {
            Ok((file, _)) => BufReader::new(file),
            Err(ReadError::NotFound) => return Ok(()),
            Err(error) => {
                rebuilt.add_unreadable(&folder.path().join(name), &error);
                return Ok(());
            }
        };
        let mut line = Vec::new();
        loop {
            let batch = Batch::read(&mut source, &mut line, |line| understand(line, place));
            self.database.write(|transaction| place.write(transaction, &batch.entries))?;
            let taken = u64::try_from(batch.entries.len()).unwrap_or(u64::MAX);
            rebuilt.lines = rebuilt.lines.saturating_add(taken);
            rebuilt.passed_over = rebuilt.passed_over.saturating_add(batch.passed_over);
            if let Some(error) = batch.error {
                rebuilt.add_unreadable(&folder.path().join(name), &error);
            }
            if batch.is_last {
                return Ok(());
            }
        }
    }
}

/// What some lines say.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    passed_over: u64,
    error: Option<std::io::Error>,
    is_last: bool,
}

impl Batch {
    fn read(
        source: &mut BufReader<File>,
        line: &mut Vec<u8>,
        mut understand: impl FnMut(&[u8]) -> Option<Option<Entry>>,
    ) -> Self {
        let (mut batch, mut bytes) = (Self::default(), 0_usize);
        while batch.entries.len() < BATCH_LINES && bytes < BATCH_BYTES {
            match next_line(source, LINE_BYTES, line) {
                Ok(NextLine::Read) => {
                    bytes = bytes.saturating_add(line.len());
                    match understand(line) {
                        Some(entry) => batch.entries.extend(entry),
                        None => batch.passed_over = batch.passed_over.saturating_add(1),
                    }
                }
                Ok(NextLine::TooLong) => batch.passed_over = batch.passed_over.saturating_add(1),
                Ok(NextLine::End) => return Self { is_last: true, ..batch },
                Err(error) => return Self { error: Some(error), is_last: true, ..batch },
            }
        }
        batch
    }
}

impl Place {
    fn row(&self, transaction: &Transaction<'_>) -> rusqlite::Result<MailboxRow> {
        remember(transaction, self.store, &self.mailbox, Naming::Earlier)
    }

    fn write(&self, transaction: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
        let mailbox = self.row(transaction)?;
        for entry in entries {
            match entry {
                Entry::Kept(file) => quarantine::put(transaction, self.run, mailbox, file)?,
                Entry::Wanted(message) => {
                    wanted::put(transaction, self.run, mailbox, message, self.seen)?;
                }
                Entry::Found(uid, guid) => {
                    wanted::found(transaction, mailbox, *uid, *guid, self.seen)?;
                }
                Entry::Undone => set_undone(transaction, self.run, mailbox, self.seen)?,
            }
        }
        Ok(())
    }
}

/// What a folder's name stands for: `%` and two hexadecimal digits are a byte.
fn identity_of(key: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = key.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.split_first_chunk::<2>().filter(|_| first == b'%');
        let byte = escaped.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = byte.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_tells_its_mailbox() {
        assert_eq!(identity_of("3x01yxu0u2cf81mo11l7ahm9"), "3x01yxu0u2cf81mo11l7ahm9");
        assert_eq!(identity_of("user%2ealice%2eSent%20%c3%a9"), "user.alice.Sent é");
        assert_eq!(identity_of("%zz%4"), "%zz%4");
    }
}
