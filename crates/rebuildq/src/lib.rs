//! The priority-rebuild queue of an outage, and the pages that tell users how far it is.
//!
//! Jobs, one a user, lie in an incident's queue ([`incident::queue`]). [`enroll::jobs_of`] makes them
//! of a store's mailboxes; a [`runner::Runner`] works on them through `reconstruct`'s library; a
//! [`access::Doorkeeper`] keeps their users from logging in meanwhile; [`intake::Intake`] raises
//! those who ask for it by mail ([`request::Request`]). A [`board::Board`] reads from the queue what
//! [`pages`] show to everybody ([`status::Status`]) and, by a link ([`link::new_token`]), to each
//! user; when all will be done is reckoned by [`estimate`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use incident::queue::{NewJob, Roster, Size};
//! use incident::{Incident, MailboxId, StoreBinding};
//! use rebuildq::board::Board;
//! use rebuildq::clock::now;
//! use rebuildq::status::Phase;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("outage");
//! let binding = StoreBinding {
//!     config_directory: "/var/imap".into(),
//!     imapd_conf: "/etc/imapd.conf".into(),
//! };
//! let incident = Arc::new(Incident::create(&path, &[binding.clone()], "the controller died")?);
//! let store = incident.store(&binding)?;
//! let inbox = MailboxId { uniqueid: "3x01yxu0u2cf81mo".into(), name: "user.erin".into() };
//! let size = Size { mailboxes: 1, messages: 41, to_read: 41, bytes_to_read: 200_000 };
//! let job = NewJob {
//!     user: "erin".into(),
//!     mailboxes: vec![(inbox, size)],
//!     priority: 0,
//!     deny: false,
//! };
//! incident.enqueue(store, &[job])?;
//!
//! let status = Board::new(incident, store).at(now())?;
//! assert_eq!((status.phase, status.users.left()), (Phase::NotBegun, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod access;
pub mod board;
pub mod clock;
pub mod enroll;
pub mod estimate;
mod forecast;
pub mod intake;
pub mod link;
pub mod pages;
pub mod request;
pub mod runner;
pub mod status;
