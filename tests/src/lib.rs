//! A private, real Cyrus IMAP server for tests, and the clients, populations, snapshots and judges
//! that tests use on it.
//!
//! [`Cyrus`] is an installation: the one that `CYRUS_BIN` names, or Debian's packages unpacked under
//! `target/servers/`. [`Store`] is a configuration with its spool and databases in a temporary
//! directory; [`Server`] is a store being served. Where no Cyrus can be had, a test says so and
//! returns:
//!
//! ```no_run
//! use mailstore_tests::{Cyrus, Layout, Server, ServerOptions};
//!
//! fn a_rebuilt_mailbox_is_served() -> anyhow::Result<()> {
//!     let Some(cyrus) = Cyrus::available_or_skip("a_rebuilt_mailbox_is_served") else {
//!         return Ok(());
//!     };
//!     let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
//!     let mut admin = server.admin()?;
//!     admin.create("user.alice")?;
//!     let mut alice = server.login("alice")?;
//!     alice.append("INBOX", &["\\Seen"], None, b"Subject: hello\r\n\r\nworld\r\n")?;
//!     Ok(())
//! }
//! ```

mod account;
mod browser;
mod certificates;
mod configuration;
mod cyrus;
pub mod damage;
mod deadline;
mod dovecot;
mod fixture;
pub mod generate;
mod imap;
mod imap_value;
mod index_fields;
mod index_image;
pub mod interruption;
mod judge;
mod known_store;
mod line_connection;
mod lmtp;
mod long_form;
pub mod oracle;
pub mod outage;
mod packages;
mod pop3;
mod populate;
mod processes;
mod proxy;
mod server;
mod skipped;
mod snapshot;
mod store;
mod tool;
mod tree;

pub use account::Account;
pub use browser::{Browser, Page, View};
pub use certificates::Certificates;
pub use configuration::{Layout, Ports, ServerOptions};
pub use cyrus::Cyrus;
pub use deadline::run_within;
pub use dovecot::Dovecot;
pub use fixture::Fixture;
pub use imap::{ImapClient, NewMessage, Reply, Selected, Status, quoted};
pub use imap_value::{Fetched, Value};
pub use index_image::IndexImage;
pub use judge::{Verdict, judge};
pub use known_store::{KnownStore, Losses, MailboxFiles, internal_name};
pub use lmtp::LmtpClient;
pub use long_form::long_form;
pub use pop3::Pop3Client;
pub use populate::{MANY_KEYWORDS, USERS, populate, populate_one};
pub use proxy::{Point, Proxy, kill};
pub use server::Server;
pub use skipped::{skip_without_privilege, skipped_tests_dir};
pub use snapshot::{Differences, Expect, MailboxSnapshot, MessageSnapshot, Snapshot};
pub use store::Store;
pub use tool::{
    Reconstruct, ToolRun, cyrus_tools, gapfill_command, incident_command, rebuildq_command,
    redeliver_command,
};
pub use tree::{Entry, Tree};
