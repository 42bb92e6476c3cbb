//! Why an operation could not be carried out. Damage is no error: see [`crate::Finding`].

use std::io;
use std::path::{Path, PathBuf};

use mailstore::lock::LockError;
use mailstore::replace::{NoSpace, WriteError};
use thiserror::Error;

use crate::finding::{Code, Finding, Remedy};
use crate::run::Unknown;

/// An operation that failed; nothing of the mailbox was changed, unless the variant says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The locks could not be had.
    #[error("{0}; {advice}", advice = advice_on_lock(.0))]
    Lock(#[from] LockError),
    /// There is not enough room for the new files beside the old.
    #[error("{0}; make room and run again")]
    NoSpace(#[from] NoSpace),
    /// A change of the disk failed.
    #[error("{source}{}", if source.is_out_of_space() { "; make room and run again" } else { "" })]
    Write {
        /// The step and the system's answer.
        #[from]
        source: WriteError,
    },
    /// Reading failed where no damage can explain it.
    #[error("cannot {action} {}: {source}{}", path.display(), advice_on_space(source.kind()))]
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
    /// The index is of a version that is not known, and may be sound for a newer server.
    #[error(
        "{} is of version {version}, which this toolkit does not know: it is left alone; use a \
         newer release of the toolkit",
        path.display()
    )]
    UnknownVersion {
        /// The index.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// What was written does not read back as planned; the mailbox was not touched.
    #[error("{} does not read back as it was written ({what}); the mailbox is as before", path.display())]
    NotAsWritten {
        /// The new file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Nobody could say which messages are to come into the mailbox.
    #[error("it is not known what is to come into the mailbox: {0}")]
    ArrivalsUnknown(#[source] Unknown),
    /// Whoever lets the run write does not any more.
    #[error("it may not be written any more: {0}")]
    NotPermitted(#[source] Unknown),
    /// The mailbox changed faster than it could be looked at.
    #[error("the mailbox changes faster than it can be repaired; try again at a quieter time")]
    KeepsChanging,
}

fn advice_on_lock(error: &LockError) -> &'static str {
    match error {
        LockError::Timeout { .. } => "end that process, or wait longer for it (--lock-timeout)",
        _ => "check its owner and mode",
    }
}

fn advice_on_space(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room and run again",
        _ => "",
    }
}

impl Error {
    /// The same as damage, where it may be that.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let code = match self {
            Self::Unavailable(_) => Code::PartitionUnavailable,
            Self::UnknownVersion { .. } => Code::IndexUnreadable,
            _ => return None,
        };
        Some(Finding::new(code, Remedy::Left, self.to_string()))
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
