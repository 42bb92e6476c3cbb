//! The memory of an outage. It lasts days and many commands; what one finds, the next needs.
//!
//! An [`Incident`] is a directory with one SQLite database, bound to the stores it is about
//! ([`StoreBinding`]). A tool begins a run ([`RunStart`]), records of each mailbox in one
//! transaction what became of it ([`MailboxRecord`]): [`Finding`]s, messages that are lost
//! ([`WantedMessage`]), files that were put away ([`Quarantined`]), what a source has and the store
//! lacks ([`Gap`]), and ends the run ([`RunEnd`]).
//! Later tools ask for what is [`Wanted`], by GUID or one after the other, and how fast the disks
//! were ([`Rate`]). Threads share an incident; processes open one each. The queue of rebuilds is a
//! part of it ([`queue`]).
//!
//! What must be atomic with the spool lies beside the mail, in the files of [`journal`]. The
//! database is an index of them and comes back from them ([`Incident::rebuild`]).
//!
//! ```
//! use incident::{Incident, MailboxId, MailboxRecord, Outcome, RunStart, StoreBinding};
//! use mailstore_format::Timestamp;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("outage");
//! let store = StoreBinding {
//!     config_directory: "/var/imap".into(),
//!     imapd_conf: "/etc/imapd.conf".into(),
//! };
//! let incident = Incident::create(&path, &[store.clone()], "the controller died")?;
//! let run = incident.begin_run(incident.store(&store)?, &RunStart {
//!     name: "20261121T081404Z-32513".into(),
//!     tool: "reconstruct".into(),
//!     version: "0.1.0".into(),
//!     arguments: vec!["--all".into()],
//!     started: Timestamp::from_seconds(1_795_248_844),
//! })?;
//! let mailbox = MailboxId { uniqueid: "3x01yxu0u2cf81mo".into(), name: "user.erin".into() };
//! let outcome = Outcome { state: "repaired".into(), messages: 41, ..Outcome::default() };
//! incident.record(run, &MailboxRecord::new(&mailbox, &outcome))?;
//! assert_eq!(incident.still_wanted().count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod appends;
mod bounded_lines;
mod database;
mod deliveries;
mod directory;
mod error;
mod export;
mod file_system;
mod findings;
mod gaps;
mod gone;
mod incident;
pub mod journal;
mod mailboxes;
mod pages;
mod purge;
mod quarantine;
pub mod queue;
mod rebuild;
mod runs;
mod schema;
mod sql_values;
mod stores;
mod summary;
mod wanted;
mod withdrawals;

#[cfg(test)]
mod tests;

pub use appends::{DeliveredAt, Outgoing, SentAbove, Unconfirmed};
pub use deliveries::{
    Delivery, DeliveryState, GapId, GapToDeliver, MailboxWithGaps, RecordedDelivery, Recovered,
    SeenNumbers,
};
pub use directory::make_for;
pub use error::Error;
pub use findings::{Finding, RecordedFinding};
pub use gaps::{Gap, GapKey, MailboxGaps, RecordedGap};
pub use gone::GoneMailbox;
pub use incident::{About, INCIDENT_VARIABLE, Incident};
pub use mailboxes::{MailboxId, MailboxOutcome, MailboxRecord, Outcome};
pub use pages::Pages;
pub use purge::{Purged, purge};
pub use quarantine::{Quarantined, RecordedFile};
pub use rebuild::Rebuilt;
pub use runs::{Rate, Run, RunEnd, RunId, RunStart, RunStatus};
pub use stores::{BoundStore, StoreBinding, StoreId};
pub use summary::{FindingCount, KeptFiles, Summary, WantedCount};
pub use wanted::{Wanted, WantedAnnotation, WantedId, WantedMessage, Why};
pub use withdrawals::{Sent, Withdrawal};
