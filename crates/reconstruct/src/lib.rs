//! Rebuilds the index and cache of Cyrus IMAP mailboxes from their message files, losing nothing
//! that is known.
//!
//! A [`Target`] is a mailbox to work on. A [`Run`] looks at many of them: [`Run::survey`] says what
//! is wrong and what would be done, and has nothing to write with; [`Run::repair`] is handed a
//! [`Workshop`] and does it. In between lie the [`evidence`] about a mailbox, gathered read-only,
//! and the [`plan()`], a pure function of it. An [`Observer`] is told of progress, [`Finding`]s are
//! damage as data, and a [`Summary`] ends the run.
//!
//! ```
//! use reconstruct::{Options, Run, Silent, Site, Target};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let targets = [Target::in_directory(directory)];
//! let (options, site) = (Options::default(), Site::none());
//! let summary = Run::new(&options, &site, &Silent).survey(&targets);
//! assert_eq!(summary.mailboxes, 1);
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod aftercare;
mod apply;
mod arrivals;
mod cache_file;
mod dialect;
mod error;
pub mod evidence;
mod examine;
mod finding;
mod gather;
mod index_reader;
mod journal;
mod likeness;
mod manifest;
mod memory;
mod observer;
mod options;
mod path_text;
mod places;
pub mod plan;
mod plan_file;
mod report;
mod resume;
mod run;
mod search;
mod site;
mod staging;
mod store_sample;
mod target;
#[cfg(test)]
mod test_mailbox;
pub mod triage;
pub mod undo;
mod window;
mod witnesses;
mod workshop;

pub use aftercare::{Aftercare, Failure, ServerTools, ToolCall};
pub use arrivals::{Arrival, Arrivals, Arrived, Fate};
pub use error::Error;
pub use finding::{Code, Finding, Remedy};
pub use journal::{Arriving, Journal, Renamed, Wanted, WantedBecause};
pub use likeness::Likeness;
pub use memory::Memory;
pub use observer::{Observer, Silent};
pub use options::{Check, DialectChoice, Options, PrunePolicy};
pub use plan::plan;
pub use plan_file::{PlanFileError, PlanWriter, SavedPlans};
pub use report::{FollowUp, MailboxReport, State, Summary};
pub use resume::Progress;
pub use run::{ArrivalsFor, Permit, Run, Unknown};
pub use site::Site;
pub use target::Target;
pub use workshop::{RECOVERY_DIRECTORY, Workshop};
