//! A Cyrus IMAP mail store on disk: its configuration, names, places, locks, and the careful
//! reading and replacing of its files. What the files hold is decoded by [`mailstore_format`].
//!
//! [`Store`](store::Store) opens a configuration and lists its mailboxes;
//! [`Selection`](store::Selection) picks those an operator means. For each,
//! [`MailboxLocation`](location::MailboxLocation) says where its files lie and
//! [`MailboxLocks`](lock::MailboxLocks) keeps others away. Files of a volume that nobody vouches
//! for are read through [`GuardedDir`](volume::GuardedDir) and listed by
//! [`SpoolScan`](spool::SpoolScan). [`FileOps`](replace::FileOps) is the only way to change
//! anything, and [`StoreAccount`](identity::StoreAccount) is who to be before that.
//!
//! ```
//! use std::path::Path;
//! use mailstore::config::ImapdConf;
//! use mailstore::location::{Layout, MailboxLocation};
//! use mailstore::namespace::Namespace;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("imapd.conf");
//! # std::fs::write(&path, "configdirectory: /var/imap\npartition-default: /var/spool/imap\n")?;
//! let conf = ImapdConf::load(&path)?;
//! let name = Namespace::from(&conf).parse_operator("user/alice/Entwürfe")?;
//! assert_eq!(name.to_string(), "user.alice.Entw&APw-rfe");
//! let location = MailboxLocation::of(&conf, &name, b"", Layout::ByName, "default")?;
//! assert_eq!(location.index, Path::new("/var/spool/imap/user/alice/Entw&APw-rfe/cyrus.index"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod config;
pub mod denials;
mod entries;
pub mod identity;
pub mod latency;
pub mod location;
pub mod lock;
pub mod mutf7;
pub mod name;
pub mod namespace;
pub mod pace;
pub mod pattern;
pub mod quota;
pub mod replace;
pub mod sessions;
pub mod spool;
pub mod stop;
pub mod store;
pub mod sync_log;
pub mod volume;
