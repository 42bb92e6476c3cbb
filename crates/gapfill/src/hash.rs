//! Reading messages for their GUID, each at most once, in the order of the disk.

use std::cell::RefCell;

use mailstore::volume::{FileMeta, ReadError, message_file_name};
use mailstore_format::{Guid, Timestamp};
use rayon::prelude::*;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use crate::contents::{Contents, FileAt, FileState, Message, Voucher};
use crate::mail::{has_hole, looks_like_mail};
use crate::place::{OpenPlace, Skipped};

/// A file larger than this is not read as a message.
pub(crate) const LARGEST_MESSAGE: u64 = 1 << 30;
/// A thread's buffer keeps at most so much between messages.
const KEPT_BUFFER: usize = 8 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads a file whole and hands over its bytes, with what its inode says.
pub(crate) fn with_file<T>(
    directory: &OpenPlace,
    name: &OsStr,
    use_bytes: impl FnOnce(&[u8], &FileMeta) -> T,
) -> Result<T, ReadError> {
    BUFFER.with_borrow_mut(|buffer| {
        let meta = directory.read_into(name, LARGEST_MESSAGE, buffer)?;
        let result = use_bytes(buffer, &meta);
        buffer.shrink_to(KEPT_BUFFER);
        Ok(result)
    })
}

/// What hashing the files of a mailbox cost, and what it found that is no message.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Files that are no messages.
    pub(crate) not_mail: Vec<(PathBuf, u64)>,
}

/// What was read of one message.
struct Reading {
    message: usize,
    outcome: Result<Read, Skipped>,
}

/// What its bytes tell.
struct Read {
    guid: Guid,
    size: u64,
    /// When the message came, as long as nobody copied its file.
    mtime: Timestamp,
    mail: bool,
    hole: bool,
}

/// Reads the messages whose GUID nothing tells; with `paranoid` all that have a file. What is no
/// message leaves the contents; what cannot be read, with `retry` not once more after all the rest
/// either, stays, without a GUID, and is noted as skipped.
pub(crate) fn hash(contents: &mut Contents, paranoid: bool, retry: bool) -> Hashed {
    let to_read =
        |message: &Message| message.is_unread() || paranoid && message.file == FileState::Listed;
    let mut files: Vec<(usize, FileAt)> = Vec::new();
    for (at, message) in contents.messages.iter().enumerate().filter(|(_, m)| to_read(m)) {
        files.extend(contents.files_of(message.file_uid).next().map(|&file| (at, file)));
    }
    if files.is_empty() {
        return Hashed::default();
    }
    files.sort_unstable_by_key(|(_, file)| (file.place, file.ino));
    let directories: Vec<_> = contents.places.iter().map(|place| place.open().ok()).collect();
    let mut readings: Vec<_> = files
        .par_iter()
        .map(|&(message, file)| Reading { message, outcome: read(contents, &directories, file) })
        .collect();
    if retry {
        for (reading, (_, file)) in readings.iter_mut().zip(&files) {
            if reading.outcome.is_err() {
                reading.outcome = read(contents, &directories, *file);
            }
        }
    }
    settle(contents, readings)
}

fn read(
    contents: &Contents,
    directories: &[Option<OpenPlace>],
    file: FileAt,
) -> Result<Read, Skipped> {
    let place = usize::try_from(file.place).unwrap_or(usize::MAX);
    let name = message_file_name(file.uid);
    let directory = directories.get(place).and_then(Option::as_ref);
    let read = directory.ok_or(ReadError::NotFound).and_then(|directory| {
        with_file(directory, OsStr::new(&name), |bytes, meta| {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Read {
                guid: Guid::of(bytes),
                size,
                mtime: meta.mtime,
                mail: looks_like_mail(bytes),
                hole: has_hole(bytes),
            }
        })
    });
    read.map_err(|error| {
        let path = contents.places.get(place).map(|place| place.entry(&name));
        Skipped::of(path.unwrap_or_default(), error)
    })
}

/// File times within this of one another were set by one copy, not by deliveries.
const COPY_SPAN: Duration = Duration::from_mins(10);
/// Fewer messages than this can have arrived together.
const ENOUGH: usize = 5;

/// Whether the times of these files are when their messages came, as the server sets them, and not
/// when somebody copied them.
fn are_of_deliveries(times: &[Timestamp]) -> bool {
    let (first, last) = (times.iter().min(), times.iter().max());
    let span = first.zip(last).map_or(0, |(first, last)| last.0.abs_diff(first.0));
    times.len() < ENOUGH || u128::from(span) > COPY_SPAN.as_nanos()
}

fn settle(contents: &mut Contents, readings: Vec<Reading>) -> Hashed {
    let read = readings.iter().filter_map(|reading| reading.outcome.as_ref().ok());
    let believed = are_of_deliveries(&read.map(|read| read.mtime).collect::<Vec<_>>());
    let mut hashed = Hashed::default();
    let mut drop_at = Vec::new();
    for Reading { message: at, outcome } in readings {
        let Some(message) = contents.messages.get_mut(at) else { continue };
        match outcome {
            Ok(Read { guid, size, mtime, mail, hole }) => {
                hashed.messages = hashed.messages.saturating_add(1);
                hashed.bytes = hashed.bytes.saturating_add(size);
                if message.guid.is_null() {
                    // A hole is what is left of a message, and no other kind of file.
                    let file = if hole { FileState::Bad } else { FileState::Verified };
                    (message.guid, message.size, message.file) = (guid, size, file);
                    if believed && message.internaldate == Timestamp(0) {
                        message.internaldate = mtime;
                    }
                    if message.voucher == Voucher::File && !mail && !hole {
                        drop_at.push((at, size));
                    }
                } else {
                    let same = message.guid == guid;
                    message.file = if same { FileState::Verified } else { FileState::Bad };
                }
            }
            Err(skipped) => {
                message.file = FileState::Bad;
                contents.skipped.push(skipped);
            }
        }
    }
    drop_at.sort_unstable();
    for &(at, size) in drop_at.iter().rev() {
        let message = contents.messages.remove(at);
        let place = contents.files_of(message.file_uid).next().copied();
        let place = place.and_then(|file| {
            let place = contents.places.get(usize::try_from(file.place).ok()?)?;
            Some(place.entry(message_file_name(file.uid)))
        });
        hashed.not_mail.extend(place.map(|path| (path, size)));
    }
    hashed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_lie_close_together_are_of_a_copy_unless_they_are_few() {
        let at = |minutes: &[i64]| -> Vec<Timestamp> {
            minutes.iter().map(|minute| Timestamp::from_seconds(minute * 60)).collect()
        };
        assert!(are_of_deliveries(&at(&[])));
        assert!(are_of_deliveries(&at(&[0, 1, 2, 3])));
        assert!(!are_of_deliveries(&at(&[0, 1, 2, 3, 10])));
        assert!(are_of_deliveries(&at(&[0, 1, 2, 3, 11])));
        assert!(are_of_deliveries(&at(&[i64::MIN / 60_000_000_000, 1, 2, 3, 11])));
    }
}
