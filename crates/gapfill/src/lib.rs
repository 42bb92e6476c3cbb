//! Finds what a rescued volume, a replica or a backup has and the live store lacks.
//!
//! A [`Source`] is a tree that is walked once and read at the pace of its device ([`Devices`]), a
//! [`LiveStore`] what the users live on. A [`Run`] brings their mailboxes together and compares them
//! owner by owner ([`compare`], a pure function);
//! each message of a source gets a [`Class`]. What is to be restored is read and verified, put into
//! a [`Stage`] and remembered by an incident ([`Memory`]) where there is one; an [`Observer`] is told
//! of each mailbox, and a [`Summary`] has the sums. Sources and stores are only ever read.
//!
//! ```
//! use std::num::NonZeroUsize;
//!
//! use gapfill::{Devices, Options, Rate, Run, Silent, Source, SourceKind};
//!
//! # let rescued = tempfile::tempdir()?;
//! # std::fs::write(rescued.path().join("1.eml"), b"Subject: hello\r\n\r\n")?;
//! let devices = Devices::new(NonZeroUsize::MIN, Rate::default());
//! let source = Source::open(rescued.path(), b"DELETED", &devices)?;
//! assert_eq!(source.kind, SourceKind::Files);
//! // Without a live store nobody is known to whom the message could belong.
//! let (sources, options) = ([source], Options::default());
//! let summary = Run::new(&sources, &[], &options, &Silent).compare()?;
//! assert_eq!(summary.exit_status(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod class;
pub mod compare;
mod contents;
mod error;
mod fetch;
mod hash;
mod listing;
mod live;
mod loose;
mod mail;
mod memory;
mod merge;
mod observer;
mod pace;
mod pairing;
mod place;
mod report;
mod run;
mod snapshot;
mod source;
mod stage;

pub use class::Class;
pub use contents::{Contents, FileAt, FileState, IndexState, Message, Voucher};
pub use error::Error;
pub use live::{LiveMailbox, LiveStore};
pub use memory::Memory;
pub use observer::{Observer, Silent};
pub use pace::{Devices, Rate};
pub use place::{OpenPlace, Place, Skipped, Why};
pub use report::{MailboxReport, Summary};
pub use run::{Ambiguous, Options, Run};
pub use source::{Source, SourceKind, SourceMailbox, UserFileAt, UserFileOf};
pub use stage::Stage;
