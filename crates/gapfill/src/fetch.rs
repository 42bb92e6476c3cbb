//! Reading what is to be restored: only bytes with the right SHA-1 are believed.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use mailstore::volume::{ReadError, message_file_name};
use mailstore_format::{Guid, Timestamp};
use rayon::prelude::*;

use crate::error::Error;
use crate::hash::with_file;
use crate::mail::{Likeness, has_hole, with_crlf};
use crate::place::{Place, Skipped};
use crate::source::LooseAt;
use crate::stage::Stage;

/// A message to be had, and where copies of it may lie, best first.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) guid: Guid,
    pub(crate) size: u64,
    pub(crate) received: Timestamp,
    pub(crate) copies: Vec<Copy>,
}

/// A file that may be the message.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) place: Place,
    pub(crate) name: OsString,
    pub(crate) ino: u64,
}

impl Copy {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.entry(&self.name)
    }
}

impl From<&LooseAt> for Copy {
    fn from(at: &LooseAt) -> Self {
        Self { place: Place::clone(&at.place), name: at.name.clone(), ino: at.ino }
    }
}

/// An intact copy.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) origin: PathBuf,
    pub(crate) staged: Option<PathBuf>,
    pub(crate) likeness: Option<Likeness>,
}

/// Why there is no intact copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// No file of it is known.
    NoFile,
    /// It could not be read.
    Unreadable(Skipped),
    /// So many bytes of so many.
    Cut(u64, u64),
    /// Blocks of it were never written.
    Hole,
    /// Its bytes are others.
    OtherBytes,
    /// Nothing tells what its bytes should be.
    Unproven,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("no file of it is known"),
            Self::Unreadable(skipped) => write!(f, "{skipped}"),
            Self::Cut(left, whole) => write!(f, "cut short: {left} of {whole} bytes"),
            Self::Hole => f.write_str("blocks of it are NULs"),
            Self::OtherBytes => f.write_str("its SHA-1 is another"),
            Self::Unproven => f.write_str("nothing tells what its bytes were"),
        }
    }
}

/// What became of an order.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) result: Result<Fetched, Damage>,
    /// Files that were read, and their bytes.
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// What could not be read on the way.
    pub(crate) skipped: Vec<Skipped>,
}

/// Fetches everything that is ordered, in the order of the disk; the results are in the order of
/// `orders`. With `retry` what could not be read is tried once more, after all the rest.
pub(crate) fn fetch(
    orders: &[Order],
    stage: Option<&Stage>,
    retry: bool,
) -> Result<Vec<Delivered>, Error> {
    let mut by_disk: Vec<usize> = (0..orders.len()).collect();
    let inode = |at: &usize| orders.get(*at).and_then(|order| order.copies.first()).map(|c| c.ino);
    by_disk.sort_by_key(inode);
    let fetched: Vec<_> =
        by_disk.par_iter().filter_map(|&at| Some((at, deliver(orders.get(at)?, stage)))).collect();
    let mut results: Vec<Option<Delivered>> = Vec::new();
    results.resize_with(orders.len(), || None);
    for (at, delivered) in fetched {
        let mut delivered = delivered?;
        if let (true, Err(Damage::Unreadable(_)), Some(order)) =
            (retry, &delivered.result, orders.get(at))
        {
            delivered = deliver(order, stage)?;
        }
        if let Some(slot) = results.get_mut(at) {
            *slot = Some(delivered);
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Tries one copy after the other.
fn deliver(order: &Order, stage: Option<&Stage>) -> Result<Delivered, Error> {
    let mut delivered =
        Delivered { result: Err(Damage::NoFile), files: 0, bytes: 0, skipped: Vec::new() };
    if order.guid.is_null() {
        delivered.result = Err(Damage::Unproven);
        return Ok(delivered);
    }
    if let Some(fetched) = stage.and_then(|stage| staged_before(order, stage)) {
        delivered.result = Ok(fetched);
        return Ok(delivered);
    }
    for copy in &order.copies {
        let read = copy.place.open().and_then(|directory| {
            with_file(&directory, &copy.name, |bytes, _| {
                delivered.files = delivered.files.saturating_add(1);
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                delivered.bytes = delivered.bytes.saturating_add(size);
                accept(order, copy, bytes, stage)
            })
        });
        match read {
            Ok(Ok(result)) => {
                let done = result.is_ok();
                delivered.result = result;
                if done {
                    break;
                }
            }
            Ok(Err(error)) => return Err(error),
            Err(ReadError::NotFound) => {}
            Err(error) => {
                let skipped = Skipped::of(copy.path(), error);
                delivered.result = Err(Damage::Unreadable(skipped.clone()));
                delivered.skipped.push(skipped);
            }
        }
    }
    Ok(delivered)
}

/// The copy that an earlier run has staged, or this one for another mailbox: the volume need not read
/// it once more.
fn staged_before(order: &Order, stage: &Stage) -> Option<Fetched> {
    let origin = order.copies.first()?.path();
    let (staged, message) = stage.get(&order.guid)?;
    Some(Fetched { origin, staged: Some(staged), likeness: Likeness::of(&message) })
}

/// Whether the bytes are the message; then they are staged.
fn accept(
    order: &Order,
    copy: &Copy,
    bytes: &[u8],
    stage: Option<&Stage>,
) -> Result<Result<Fetched, Damage>, Error> {
    let Some(message) = as_ordered(order, bytes) else {
        return Ok(Err(damage_of(order, bytes)));
    };
    let staged = stage.map(|stage| stage.put(&order.guid, &message, order.received)).transpose()?;
    let likeness = Likeness::of(&message);
    Ok(Ok(Fetched { origin: copy.path(), staged, likeness }))
}

/// The bytes, or what they are with CRLF for LF, where that is the message.
fn as_ordered<'a>(order: &Order, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if Guid::of(bytes) == order.guid {
        return Some(Cow::Borrowed(bytes));
    }
    let converted = with_crlf(bytes)?;
    (Guid::of(&converted) == order.guid).then_some(Cow::Owned(converted))
}

fn damage_of(order: &Order, bytes: &[u8]) -> Damage {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if has_hole(bytes) {
        Damage::Hole
    } else if size < order.size {
        Damage::Cut(size, order.size)
    } else {
        Damage::OtherBytes
    }
}

/// The file of a message in a mailbox's directory.
pub(crate) fn message_copy(place: &Place, uid: mailstore_format::Uid, ino: u64) -> Copy {
    Copy { place: place.clone(), name: message_file_name(uid).into(), ino }
}

/// Reads a file for comparison with others.
pub(crate) fn look<T>(copy: &Copy, use_bytes: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let directory = copy.place.open().ok()?;
    with_file(&directory, OsStr::new(&copy.name), |bytes, _| use_bytes(bytes)).ok()
}
