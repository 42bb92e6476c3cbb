//! Every directory below a root, once, without following anything.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use mailstore::spool::{OddKind, SpoolScan};
use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::header_file::HeaderFile;

use crate::place::{Place, Skipped, Why};

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
    /// Whether it holds files that are named as messages are.
    pub(super) has_messages: bool,
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

/// Walks the tree at `root`.
pub(super) fn walk(root: Place) -> Walked {
    let mut walked = Walked::default();
    let mut seen = HashSet::new();
    let mut left = vec![root];
    while let Some(place) = left.pop() {
        let opened = place.open().and_then(|opened| Ok((SpoolScan::of(&opened)?, opened)));
        let (scan, opened) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                walked.skipped.push(Skipped::of(place.path(), error));
                continue;
            }
        };
        if !seen.insert((scan.directory.dev, scan.directory.ino)) {
            walked.skipped.push(Skipped { path: place.path(), why: Why::SeenBefore });
            continue;
        }
        // The last is taken first: so they come in order.
        left.extend(scan.subdirectories.iter().rev().map(|name| place.join(name)));
        let directory = walked.look_at(place, &opened, scan);
        walked.directories.push(directory);
    }
    walked
}

impl Walked {
    fn look_at(&mut self, place: Place, opened: &GuardedDir, scan: SpoolScan) -> Directory {
        let has = |name: &str| scan.meta_files.iter().any(|file| file == name);
        let header = if has("cyrus.header") { self.read_header(&place, opened) } else { None };
        let has_server_files =
            ["cyrus.header", "cyrus.index", "cyrus.cache"].iter().any(|name| has(name));
        let mut others = Vec::new();
        for odd in scan.odd {
            let path = || place.entry(&odd.name);
            let why = match odd.kind {
                OddKind::BadName => {
                    others.push((odd.name, odd.ino));
                    continue;
                }
                OddKind::NotAFile(kind) => Why::Kind(kind),
                OddKind::Unreadable(errno) => Why::Unreadable(ReadError::Io { errno, read: 0 }),
            };
            self.skipped.push(Skipped { path: path(), why });
        }
        let is_directory = |name: &str| scan.subdirectories.iter().any(|found| found == name);
        Directory {
            is_maildir: is_directory("cur") && is_directory("new"),
            has_server_files,
            header,
            has_messages: !scan.messages.is_empty(),
            others,
            subdirectories: scan.subdirectories,
            place,
        }
    }

    fn read_header(&mut self, place: &Place, opened: &GuardedDir) -> Option<HeaderFile> {
        let (mut bytes, name) = (Vec::new(), OsStr::new("cyrus.header"));
        match opened.read_into(name, LARGEST_HEADER_FILE, &mut bytes) {
            Ok(_) => HeaderFile::decode(&bytes).ok(),
            Err(error) => {
                self.skipped.push(Skipped::of(place.entry(name), error));
                None
            }
        }
    }
}
