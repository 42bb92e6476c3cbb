//! Why an operation could not be carried out. Damage is no error: see [`crate::Finding`].

use std::io;
use std::path::{Path, PathBuf};

use mailstore::lock::LockError;
use mailstore::replace::{NoSpace, WriteError};
use thiserror::Error;

use crate::finding::{Code, Finding, Remedy};

/// An operation that failed; nothing of the mailbox was changed, unless the variant says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The locks could not be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is not enough room for the new files beside the old.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// A change of the disk failed.
    #[error("{source}{}", if source.is_out_of_space() { "; make room and run again" } else { "" })]
    Write {
        /// The step and the system's answer.
        #[from]
        source: WriteError,
    },
    /// Reading failed where no damage can explain it.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A partition or a mailbox's directory is missing, empty or refuses to be read, as where a file
    /// system is not mounted.
    #[error("{0}")]
    Unavailable(String),
    /// What was written does not read back as planned; the mailbox was not touched.
    #[error("{} does not read back as it was written ({what}); the mailbox is as before", path.display())]
    NotAsWritten {
        /// The new file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The mailbox changed faster than it could be looked at.
    #[error("the mailbox changes faster than it can be repaired; try again at a quieter time")]
    KeepsChanging,
}

impl Error {
    /// The same as damage, where it may be that.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let Self::Unavailable(why) = self else { return None };
        Some(Finding::new(Code::PartitionUnavailable, Remedy::Left, why))
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
