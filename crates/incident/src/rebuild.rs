//! Filling the tables from what tools left beside the mail.
//!
//! The database is only an index of it, and comes back from it: nothing here takes a row away, and
//! doing it again changes nothing. What lies there is not trusted: no link is followed, only
//! regular files are opened, lines have a limit, and what makes no sense is counted and passed
//! over.

mod folder;
mod runs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use mailstore::config::{ImapdConf, MetaFile};
use mailstore::volume::{GuardedDir, Kind, ReadError};
use rustix::fs::{Dir, Mode, OFlags};

use crate::database::Database;
use crate::directory;
use crate::error::Error;
use crate::incident::Incident;
use crate::journal::RECOVERY_DIRECTORY;
use crate::stores::{StoreBinding, StoreId};

/// What was read, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Directories of runs that were read. One run has one on each partition root it wrote to.
    pub runs: u64,
    /// Mailboxes' folders in them.
    pub folders: u64,
    /// Lines and reports that were taken over.
    pub lines: u64,
    /// Lines and reports that were cut, too long or not understood.
    pub passed_over: u64,
    /// Entries that are no tool's: links, odd names, files where folders belong.
    pub foreign: u64,
    /// Directories and files that could not be read, the first hundred of them.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// So many unreadable places are told by name.
const UNREADABLE: usize = 100;

impl Rebuilt {
    /// Whether there was something that could not be taken over.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.passed_over > 0 || !self.unreadable.is_empty()
    }

    fn add_unreadable(&mut self, path: &Path, error: &impl ToString) {
        if self.unreadable.len() < UNREADABLE {
            self.unreadable.push((path.to_owned(), error.to_string()));
        }
    }
}

impl Incident {
    /// Opens the incident in `directory`, whose database may be missing or damaged: a damaged one
    /// is set aside in the directory, and a new one is made, about `stores`. Returns where a
    /// damaged one lies now.
    pub fn open_or_replace(
        directory: &Path,
        stores: &[StoreBinding],
    ) -> Result<(Self, Option<PathBuf>), Error> {
        let opened = Self::open(directory).and_then(|incident| {
            incident.database.check()?;
            Ok(incident)
        });
        let set_aside = match opened {
            Ok(incident) => return Ok((incident, None)),
            Err(Error::NoIncident { .. }) => None,
            Err(Error::Damaged { .. } | Error::NotAnIncident { .. }) => {
                Some(directory::set_database_aside(&directory::checked(directory)?)?)
            }
            Err(error) => return Err(error),
        };
        let database = directory::make_database_file(&directory::checked(directory)?)?;
        let database =
            Database::open(&database, Some(&|made| crate::incident::fill(made, stores, "")))?;
        Ok((Self::with(database), set_aside))
    }

    /// Takes over what lies beside the mail of a store. Partitions that are not there are told in
    /// the result; what the database knows of them stays.
    pub fn rebuild(&self, store: StoreId, conf: &ImapdConf) -> Result<Rebuilt, Error> {
        let mut rebuilt = Rebuilt::default();
        for root in roots(conf) {
            let opened = GuardedDir::open_trusted(&root).and_then(|opened| {
                match opened.open_below(Path::new(RECOVERY_DIRECTORY)) {
                    Err(ReadError::NotFound) => Ok(None),
                    opened => opened.map(Some),
                }
            });
            match opened {
                Ok(None) => {}
                Ok(Some(recovery)) => self.rebuild_runs(store, &recovery, &mut rebuilt)?,
                Err(error) => rebuilt.add_unreadable(&root, &error),
            }
        }
        self.count_rebuilt_runs()?;
        Ok(rebuilt)
    }
}

/// Every directory at which tools keep what they set aside of a store's files.
fn roots(conf: &ImapdConf) -> BTreeSet<PathBuf> {
    const FILES: [MetaFile; 8] = [
        MetaFile::Header,
        MetaFile::Index,
        MetaFile::Cache,
        MetaFile::Expunge,
        MetaFile::Squat,
        MetaFile::Annotations,
        MetaFile::Dav,
        MetaFile::ArchiveCache,
    ];
    let mut roots = BTreeSet::new();
    for partition in conf.partitions() {
        roots.extend(FILES.map(|file| conf.meta_root(&partition, file)));
        roots.extend(
            [Some(partition.data), partition.meta, partition.archive].into_iter().flatten(),
        );
    }
    roots
}

/// Calls `each` with the name and kind of every entry of a directory, one after the other.
fn for_each_entry(
    directory: &GuardedDir,
    mut each: impl FnMut(OsString, Kind) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |errno: rustix::io::Errno| Error::io("list", directory.path(), errno.into());
    // A descriptor of its own, with a position of its own.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listed = rustix::fs::openat(directory, ".", flags, Mode::empty()).map_err(failed)?;
    for entry in Dir::new(listed).map_err(failed)? {
        let name = OsString::from_vec(entry.map_err(failed)?.file_name().to_bytes().to_vec());
        if name == "." || name == ".." {
            continue;
        }
        // The kind in a directory is not known on every file system, and no file is gone from a
        // folder that only grows.
        let kind = directory.stat(&name).map_or(Kind::Unknown, |meta| meta.kind);
        each(name, kind)?;
    }
    Ok(())
}
