//! Why a comparison could not be made.

use std::path::PathBuf;

use mailstore::location::LocationError;
use mailstore::lock::LockError;
use mailstore::store::StoreError;
use mailstore::volume::ReadError;
use thiserror::Error;

/// What kept from comparing. Damage in a source is no error, but a [`crate::Skipped`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A source is not there or no directory.
    #[error("cannot read the source {}: {source}", path.display())]
    Source {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: ReadError,
    },
    /// A live store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A live mailbox has no place on disk.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A live mailbox is locked by somebody else for too long.
    #[error("cannot lock {mailbox} for reading: {source}")]
    Lock {
        /// The mailbox.
        mailbox: String,
        /// By what, and for how long.
        source: LockError,
    },
    /// A live mailbox cannot be read, so that nothing can be said of what it lacks.
    #[error("cannot read the live mailbox {mailbox}: {why}")]
    Live {
        /// The mailbox.
        mailbox: String,
        /// Why.
        why: String,
    },
    /// A verified copy cannot be put into the staging directory.
    #[error("cannot {action} {}: {source}", path.display())]
    Stage {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A snapshot cannot be written.
    #[error("cannot write the snapshot: {0}")]
    WriteSnapshot(std::io::Error),
    /// A snapshot cannot be read.
    #[error("cannot read the snapshot {}: {why}", path.display())]
    Snapshot {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What loose files are cannot be kept in a temporary file.
    #[error("cannot keep in a temporary file what loose files are: {0}; is there room in $TMPDIR?")]
    Loose(#[from] rusqlite::Error),
    /// The incident cannot be written.
    #[error(transparent)]
    Incident(#[from] incident::Error),
}
