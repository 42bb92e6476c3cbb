//! A small blocking IMAP client for putting messages into a server and reading them back.
//!
//! A [`Server`] is where to go and whom to believe ([`Trust`]), a [`Login`] who goes there: a user,
//! or an administrator who acts as one. [`Session::open`] connects, begins TLS, and logs in; it
//! never sends a password in the clear to another machine unless told to. Then mailboxes can be
//! made ([`Session::create`]) and opened ([`Session::examine`]), messages appended
//! ([`Session::append`]), read back ([`Session::bodies`]), and taken back ([`Session::expunge`]). The connection blocks; use one a thread.
//!
//! What a server sends is believed no further than it has to be: every reply is bounded in size and
//! time, what is not understood is passed over, and nothing of it makes this crate panic. A
//! [`ReplyReader`] takes replies out of what comes, [`Reply::parse`] understands them: these two are all
//! that a server's bytes go through, and what is fuzzed.
//!
//! ```
//! use imap_client::{Address, Login, Password};
//!
//! let address: Address = "imaps://mail.example.org".parse()?;
//! assert_eq!((address.tls, address.port), (true, 993));
//! let login = Login {
//!     name: "cyrus".to_owned(),
//!     acting_as: Some("alice".to_owned()),
//!     password: Password::new("never printed"),
//! };
//! assert!(!format!("{login:?}").contains("never printed"));
//! # Ok::<(), imap_client::Error>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod append;
mod change;
mod error;
mod fetch;
mod login;
mod mailboxes;
mod reader;
mod reply;
mod session;
mod text;
mod tls;
mod value;
mod wire;

pub use address::Address;
pub use append::{Appended, NewMessage, Together};
pub use change::Deleted;
pub use error::Error;
pub use fetch::Fetched;
pub use login::{Login, Password};
pub use reader::ReplyReader;
pub use reply::{Code, Condition, Data, Reply, Status};
pub use session::{Examined, Namespace, Server, Session};
pub use text::date_time;
pub use tls::Trust;
pub use value::Value;
