//! Looking for messages that are not under their names: files with names that are no message's, and,
//! where a record's message is not where it should be, any file that could be it.
//!
//! Work is proportional to the damage: in a mailbox in which every message is under its name, nothing
//! is read for this.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};

use mailstore::spool::OddKind;
use mailstore::volume::{GuardedDir, Kind, ReadError, message_file_name};
use mailstore_format::{Guid, Uid};
use rayon::prelude::*;

use crate::evidence::{FileEvidence, MessageEvidence, Place, Reading, Stray};
use crate::examine::{Examiner, LARGEST_MESSAGE, Scratch, identity_of};
use crate::places::ScannedPlace;
use crate::staging::CacheSink;

/// So many badly named files of a mailbox are looked at; any further are told of and left.
const MOST_STRAYS: usize = 10_000;
/// Strays whose new cache records wait in memory together.
const BATCH: usize = 256;
/// A message's known header fields begin this early.
const FRONT: u64 = 8 * 1024;
/// After so many rounds that each brought up more to look for, all that is left is read.
const ROUNDS: usize = 8;

/// Header fields by which mail is told from other files that begin with a word and a colon.
const FIELDS_OF_MAIL: &[&[u8]] = &[
    b"return-path",
    b"received",
    b"from",
    b"sender",
    b"to",
    b"date",
    b"subject",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"delivered-to",
    b"x-sieve",
];

/// What is looked for.
struct Sought {
    /// Sizes of messages that are not where they should be.
    sizes: HashSet<u64>,
    /// Messages that were found under no name of theirs: those under it, unread so far, may be
    /// something else.
    displaced: HashSet<Guid>,
}

/// What a stray's bytes are, and their cache record; the same with other line ends, where that may
/// be a message.
struct ReadStray {
    reading: Reading,
    item: Vec<u8>,
    crlf_item: Option<Vec<u8>>,
}

impl Examiner<'_> {
    /// The badly named files. What begins as mail is read.
    pub(crate) fn strays(&self, sink: &mut dyn CacheSink) -> io::Result<Vec<Stray>> {
        let names = self.places.each().flat_map(|(place, scanned)| {
            let odd = scanned.odd().iter().filter(|entry| entry.kind == OddKind::BadName);
            odd.map(move |entry| (place, entry.name.clone()))
        });
        let names = names.take(MOST_STRAYS);
        let mut strays: Vec<_> =
            names.filter_map(|(place, name)| self.stray(place, name)).collect();
        for stray in &mut strays {
            let directory = self.places.at(stray.place).map(ScannedPlace::directory);
            stray.is_mail =
                directory.is_some_and(|at| at.is_ok_and(|at| begins_as_mail(at, &stray.name)));
        }
        self.read_strays(&mut strays, |stray| stray.is_mail, sink)?;
        Ok(strays)
    }

    /// Reads what may be a message that is not under its name, or be believed wrongly to be one
    /// that is.
    pub(crate) fn search(
        &self,
        messages: &mut [MessageEvidence],
        strays: &mut Vec<Stray>,
        sink: &mut dyn CacheSink,
    ) -> io::Result<()> {
        let mut shadows_listed = false;
        for round in 0.. {
            let sought = self.sought(messages, strays);
            if sought.sizes.is_empty() && sought.displaced.is_empty() {
                break;
            }
            if !sought.sizes.is_empty() && !std::mem::replace(&mut shadows_listed, true) {
                strays.extend(self.shadows(messages));
            }
            let everything = round >= ROUNDS;
            let chosen: Vec<_> = (0..messages.len())
                .filter(|&at| {
                    messages
                        .get(at)
                        .is_some_and(|message| self.may_be_sought(message, &sought, everything))
                })
                .collect();
            let wanted = |stray: &Stray| sought.sizes.contains(&stray.identity.size);
            let read = self.read_strays(strays, wanted, sink)?;
            if chosen.is_empty() && read == 0 {
                break;
            }
            self.read_also(messages, &chosen, sink)?;
        }
        Ok(())
    }

    fn sought(&self, messages: &[MessageEvidence], strays: &[Stray]) -> Sought {
        let (mut sizes, mut displaced) = (HashSet::new(), HashSet::new());
        for message in messages {
            let record = message.slot.and_then(|slot| self.index.record(slot));
            let read = message.reading.as_ref();
            let Some(record) = record.filter(|record| !record.is_unlinked()) else {
                displaced.extend(read.map(|reading| reading.fields.guid));
                continue;
            };
            let made_whole = read.is_some_and(|reading| reading.with_crlf);
            if record.guid.is_null() || made_whole || message.is_message_of(record) {
                continue;
            }
            displaced.extend(read.map(|reading| reading.fields.guid));
            let unknown = matches!(message.file, FileEvidence::Unreadable(_));
            if !unknown && (!record.is_expunged() || read.is_some()) {
                sizes.insert(record.size);
            }
        }
        let strays = strays.iter().filter_map(|stray| stray.reading.as_ref());
        displaced.extend(strays.map(|reading| reading.fields.guid));
        Sought { sizes, displaced }
    }

    fn may_be_sought(&self, message: &MessageEvidence, sought: &Sought, everything: bool) -> bool {
        let FileEvidence::Regular { identity, .. } = message.file else { return false };
        let record = message.slot.and_then(|slot| self.index.record(slot));
        let doubted = record.is_some_and(|record| sought.displaced.contains(&record.guid));
        let of_size = sought.sizes.contains(&identity.size);
        message.reading.is_none() && identity.size > 0 && (everything || of_size || doubted)
    }

    /// Files that have a message's name and were not looked at: behind one in the other place, or
    /// of a record with a delete order.
    fn shadows(&self, messages: &[MessageEvidence]) -> Vec<Stray> {
        let looked_at = |place: Place, uid: Uid| {
            let message = messages.binary_search_by_key(&uid, |message| message.uid).ok();
            let file = message.and_then(|at| messages.get(at)).map(|message| message.file);
            file.is_some_and(|file| match file {
                FileEvidence::Regular { place: its, .. } => its == place,
                FileEvidence::Absent => false,
                FileEvidence::Odd | FileEvidence::Unreadable(_) => true,
            })
        };
        let files = self
            .places
            .each()
            .flat_map(|(place, scanned)| scanned.files().iter().map(move |file| (place, file.uid)));
        files
            .filter(|&(place, uid)| !looked_at(place, uid))
            .filter_map(|(place, uid)| self.stray(place, message_file_name(uid).into()))
            .collect()
    }

    fn stray(&self, place: Place, name: OsString) -> Option<Stray> {
        let directory = self.places.at(place)?.directory().ok()?;
        let meta = directory.stat(&name).ok().filter(|meta| meta.kind == Kind::Regular)?;
        let identity = identity_of(&meta);
        let before = self.previous.into_iter().flat_map(|previous| &previous.strays);
        let mut same = before
            .filter(|known| (known.place, &known.name, known.identity) == (place, &name, identity));
        let reading = same.next().and_then(|known| known.reading.clone());
        Some(Stray { place, name, identity, is_mail: false, reading })
    }

    /// Reads those of `strays` that are not read and that `choice` holds for; tells how many.
    fn read_strays(
        &self,
        strays: &mut [Stray],
        choice: impl Fn(&Stray) -> bool + Sync,
        sink: &mut dyn CacheSink,
    ) -> io::Result<usize> {
        let mut count = 0;
        for batch in strays.chunks_mut(BATCH) {
            let read: Vec<_> = self.pool.install(|| {
                let read = |scratch: &mut Scratch, stray: &Stray| {
                    let chosen = stray.identity.size > 0 && stray.reading.is_none();
                    if chosen && choice(stray) { self.read_stray(stray, scratch) } else { None }
                };
                batch.par_iter().with_min_len(4).map_init(|| self.scratch(), read).collect()
            });
            for (stray, read) in batch.iter_mut().zip(read) {
                let Some(ReadStray { mut reading, item, crlf_item }) = read else { continue };
                reading.staged = Some(sink.keep(&item)?);
                if let (Some(as_crlf), Some(item)) = (&mut reading.as_crlf, crlf_item) {
                    as_crlf.staged = Some(sink.keep(&item)?);
                }
                self.observer.progressed(0, reading.fields.size);
                stray.reading = Some(reading);
                count += 1;
            }
        }
        Ok(count)
    }

    /// What a stray's bytes are, where they can be read and it is still the file that was listed.
    fn read_stray(&self, stray: &Stray, scratch: &mut Scratch) -> Option<ReadStray> {
        let directory = self.places.at(stray.place)?.directory().ok()?;
        let read = directory.read_into(&stray.name, LARGEST_MESSAGE, &mut scratch.message);
        let same = read.is_ok_and(|meta| identity_of(&meta) == stray.identity);
        let read = same.then(|| {
            let mut item = Vec::new();
            let mut reading = scratch.understand(self.dialect, &mut item);
            let crlf_item = scratch.note_other_line_ends(self.dialect, &mut reading);
            ReadStray { reading, item, crlf_item }
        });
        scratch.shrink();
        read
    }
}

/// Whether a badly named file is mail: it begins with header fields, and one of them is mail's.
fn begins_as_mail(directory: &GuardedDir, name: &OsStr) -> bool {
    let front = || -> Result<Vec<u8>, ReadError> {
        let (file, _) = directory.open_file(name)?;
        let mut front = Vec::new();
        let _ = file.take(FRONT).read_to_end(&mut front);
        Ok(front)
    };
    front().is_ok_and(|front| has_fields_of_mail(&front))
}

fn has_fields_of_mail(front: &[u8]) -> bool {
    let mut lines = front.split(|&byte| byte == b'\n').enumerate();
    lines
        .by_ref()
        .map_while(|(number, line)| {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let is_field = name.len() < line.len()
                && !name.is_empty()
                && name.iter().all(u8::is_ascii_graphic);
            let continues = number > 0 && matches!(line.first(), Some(b' ' | b'\t'));
            let mailbox_line = number == 0 && line.starts_with(b"From ");
            (is_field || continues || mailbox_line).then_some(name)
        })
        .any(|name| FIELDS_OF_MAIL.iter().any(|field| field.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_told_from_other_files_that_begin_with_words_and_colons() {
        for mail in [
            "Subject: a\r\n\r\n",
            "Received: from a\r\n\tby b\r\n",
            "From alice Thu Jan  1\nX-Unknown: 1\nFrom: bob\n",
            "Return-Path: <>\r\nX: 1\r\n",
        ] {
            assert!(has_fields_of_mail(mail.as_bytes()), "{mail}");
        }
        for other in
            ["", "\0\0\0", "TODO: buy milk\n", "a: 1\nb: 2\n\nfrom: x\n", "\x7fELF", "From "]
        {
            assert!(!has_fields_of_mail(other.as_bytes()), "{other}");
        }
    }
}
