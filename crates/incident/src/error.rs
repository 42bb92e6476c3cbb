//! Why an incident could not be made, opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// An operation on an incident that failed. Nothing of it was done, unless the variant says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no incident of this name.
    #[error("there is no incident at {}: `incident new` makes one", path.display())]
    NoIncident {
        /// The directory.
        path: PathBuf,
    },
    /// An incident is made in a new or an empty directory.
    #[error("{} is not empty: name a directory that does not exist yet", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A link, a file that is none, or a place that others can write to.
    #[error("{} {what}", path.display())]
    Unsafe {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
    /// The directory or a file in it is another account's.
    #[error(
        "{} belongs to user id {owner}, and must belong to the account that uses it, which is user \
         id {process}",
        path.display()
    )]
    NotOurs {
        /// The directory or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who this process is.
        process: u32,
    },
    /// Processes on several machines cannot share the database's memory.
    #[error(
        "{} is on a network file system ({file_system}), on which the database would be damaged: \
         put the incident on a local disk",
        path.display()
    )]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// What it is.
        file_system: &'static str,
    },
    /// A later release of this toolkit made it or has used it.
    #[error(
        "{} has tables of version {found}, and this program knows versions up to {known}: use a \
         program of the newer release",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The highest version that is known here.
        known: i64,
    },
    /// A database of something else, or one whose making was interrupted.
    #[error(
        "{} is not an incident's database; if `incident new` was interrupted, run it again",
        path.display()
    )]
    NotAnIncident {
        /// The file.
        path: PathBuf,
    },
    /// No new work is begun in a closed incident.
    #[error("the incident {} is closed: `incident new` makes another", path.display())]
    Closed {
        /// The directory.
        path: PathBuf,
    },
    /// Only a closed incident is purged, and only after a while.
    #[error("the incident {} {why}", path.display())]
    NotPurged {
        /// The directory.
        path: PathBuf,
        /// What stands against it.
        why: String,
    },
    /// The incident was not made for this store.
    #[error(
        "the incident {} was not made for the store with configdirectory {}: name another with \
         --incident, or make one for it with `incident new`",
        path.display(),
        config_directory.display()
    )]
    OtherStore {
        /// The incident's directory.
        path: PathBuf,
        /// The store's.
        config_directory: PathBuf,
    },
    /// An id that is not, or no longer, in the database.
    #[error("{} has no {what} {id}", path.display())]
    Unknown {
        /// The database.
        path: PathBuf,
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: i64,
    },
    /// Another process writes and does not end.
    #[error("another process keeps {} locked; try again when it is done", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("there is no room for {}; make room and run again", path.display())]
    NoSpace {
        /// The database.
        path: PathBuf,
    },
    /// The database's file is damaged.
    #[error(
        "{} is damaged ({source}): `incident rebuild` sets it aside and makes it anew from what \
         lies beside the mail",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Any other answer of SQLite.
    #[error("cannot use {}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// What SQLite said of the database at `path`.
    pub(crate) fn database(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::NoSpace { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, source }
            }
            _ => Self::Database { path, source },
        }
    }
}
