//! The on-disk formats of a Cyrus IMAP mail store: bytes to values and back. No I/O, no unsafe code.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod annotations;
pub mod cache;
pub mod conversations;
pub mod counters;
pub mod db;
pub mod dlist;
mod error;
pub mod header_file;
pub mod index;
pub mod line_ends;
pub mod mboxlist;
pub mod message;
pub mod quota;
pub mod seen;
mod types;

pub use error::DecodeError;
pub use types::{
    Guid, GuidHasher, InternalFlags, ModSeq, ParseGuidError, SystemFlags, ThreadId, Timestamp, Uid,
    UidValidity, UserFlags,
};
