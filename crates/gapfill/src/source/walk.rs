//! Every directory below a root, once, without following anything.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use mailstore::spool::{OddEntry, OddKind};
use mailstore::volume::ReadError;
use mailstore_format::header_file::HeaderFile;
use rayon::prelude::*;

use crate::listing::{Listing, ListingRoom};
use crate::place::{OpenPlace, Place, Skipped, Why};

/// `cyrus.header` is some kilobytes; this leaves room for very long ACLs.
const LARGEST_HEADER_FILE: u64 = 16 << 20;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The directories, the root first.
    pub(super) directories: Vec<Directory>,
    /// What was passed over.
    pub(super) skipped: Vec<Skipped>,
}

/// A directory, as far as it matters before anything is compared.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) place: Place,
    /// Whether it holds an index, a cache or a header of the server's.
    pub(super) has_server_files: bool,
    /// `cyrus.header`, where it can be read.
    pub(super) header: Option<HeaderFile>,
    /// Whether it is a Maildir: it has `cur` and `new`.
    pub(super) is_maildir: bool,
    /// How many files it holds that are named as messages are.
    pub(super) messages: usize,
    /// These, where there is room to keep them in memory.
    pub(super) listing: Option<Listing>,
    /// Other regular files, with their inodes.
    pub(super) others: Vec<(OsString, u64)>,
    /// Directories in it.
    subdirectories: Vec<OsString>,
}

impl Directory {
    /// Whether fsck has put pieces into it: entries `#12345`.
    pub(super) fn has_numbered_pieces(&self) -> bool {
        let files = self.others.iter().map(|(name, _)| name.as_os_str());
        let all = files.chain(self.subdirectories.iter().map(OsString::as_os_str));
        all.into_iter().any(is_numbered_piece)
    }
}

/// Whether a name is one that fsck gives: `#` and the number of an inode.
pub(super) fn is_numbered_piece(name: &OsStr) -> bool {
    let digits = name.as_encoded_bytes().strip_prefix(b"#");
    digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Walks the tree at `root`, level by level, the directories of a level in the pool of the caller.
pub(super) fn walk(root: Place) -> Walked {
    let mut walked = Walked::default();
    let (mut seen, kept) = (HashSet::new(), ListingRoom::default());
    let mut level = vec![root];
    while !level.is_empty() {
        let looked: Vec<_> = level.into_par_iter().map(|place| look_at(place, &kept)).collect();
        level = Vec::new();
        for looked in looked {
            match looked {
                Ok(Looked { id, directory, skipped }) if seen.insert(id) => {
                    let below = directory.subdirectories.iter();
                    level.extend(below.map(|name| directory.place.join(name)));
                    walked.directories.push(directory);
                    walked.skipped.extend(skipped);
                }
                Ok(again) => {
                    let path = again.directory.place.path();
                    walked.skipped.push(Skipped { path, why: Why::SeenBefore });
                }
                Err(skipped) => walked.skipped.push(skipped),
            }
        }
    }
    walked
}

/// A directory that was looked at.
struct Looked {
    /// Its device and inode.
    id: (u64, u64),
    directory: Directory,
    /// What was passed over in it.
    skipped: Vec<Skipped>,
}

fn look_at(place: Place, kept: &ListingRoom) -> Result<Looked, Skipped> {
    let opened = place.open().and_then(|opened| Ok((opened.scan()?, opened)));
    let (mut scan, opened) = opened.map_err(|error| Skipped::of(place.path(), error))?;
    let mut skipped = Vec::new();
    let has = |name: &str| scan.meta_files.iter().any(|file| file == name);
    let has_server_files =
        ["cyrus.header", "cyrus.index", "cyrus.cache"].iter().any(|name| has(name));
    let header =
        if has("cyrus.header") { read_header(&place, &opened, &mut skipped) } else { None };
    let others = others(&place, std::mem::take(&mut scan.odd), &mut skipped);
    let subdirectories = std::mem::take(&mut scan.subdirectories);
    let is_directory = |name: &str| subdirectories.iter().any(|found| found == name);
    let directory = Directory {
        is_maildir: is_directory("cur") && is_directory("new"),
        has_server_files,
        header,
        messages: scan.messages.len(),
        others,
        subdirectories,
        place,
        listing: kept.keep(Listing::from(scan)),
    };
    Ok(Looked { id: (opened.meta().dev, opened.meta().ino), directory, skipped })
}

/// The regular files among odd entries, with their inodes. All else is passed over.
fn others(place: &Place, odd: Vec<OddEntry>, skipped: &mut Vec<Skipped>) -> Vec<(OsString, u64)> {
    let mut others = Vec::new();
    for OddEntry { name, kind, ino, .. } in odd {
        let why = match kind {
            OddKind::BadName => {
                others.push((name, ino));
                continue;
            }
            OddKind::NotAFile(kind) => Why::Kind(kind),
            OddKind::Unreadable(errno) => Why::Unreadable(ReadError::Io { errno, read: 0 }),
        };
        skipped.push(Skipped { path: place.entry(&name), why });
    }
    others
}

fn read_header(
    place: &Place,
    opened: &OpenPlace,
    skipped: &mut Vec<Skipped>,
) -> Option<HeaderFile> {
    let (mut bytes, name) = (Vec::new(), OsStr::new("cyrus.header"));
    match opened.read_into(name, LARGEST_HEADER_FILE, &mut bytes) {
        Ok(_) => HeaderFile::decode(&bytes).ok(),
        Err(error) => {
            skipped.push(Skipped::of(place.entry(name), error));
            None
        }
    }
}
