//! Why an operation could not be carried out.

use thiserror::Error;

/// An operation that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The incident could not be read or written.
    #[error(transparent)]
    Incident(#[from] incident::Error),
}
