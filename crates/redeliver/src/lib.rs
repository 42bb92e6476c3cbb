//! Puts recovered messages back where they were, exactly once, with new UIDs.
//!
//! What is to be delivered are the gaps of an [`incident::Incident`], which `gapfill` found: a
//! [`Choice`] says which, and [`order()`] makes of the gaps of a mailbox what is asked for, a pure
//! function. The [`Desk`] hands out orders and writes into the incident what became of them. A
//! [`Transport`] carries them out: [`Spool`] straight into the mailboxes of a store, beside its
//! server; [`Imap`] through a server that runs. A [`Listener`] is told of each [`MailboxReport`],
//! and a [`Letter`] tells a user what came back. [`Manners`]
//! say how considerate of the live server all that is.
//!
//! ```
//! use redeliver::{Choice, order};
//!
//! let nothing = order(&[], incident::SeenNumbers::default(), &Choice::default());
//! assert!(nothing.arrivals.messages.is_empty());
//! ```
#![forbid(unsafe_code)]

mod desk;
mod error;
mod imap;
mod letter;
mod manners;
mod order;
mod raise;
mod report;
mod spool;
mod transport;

pub use desk::Desk;
pub use error::Error;
pub use imap::{Access, Credentials, Imap, ImapSettings, Tree, Withdrawal};
pub use letter::Letter;
pub use manners::Manners;
pub use order::{
    Choice, DEFAULT_MARK, MailboxGone, MissingMailbox, NEAR_DUPLICATE_KEYWORD, NearDuplicates,
    NotOrdered, Order, Ordered, order,
};
pub use raise::RaiseNumbers;
pub use report::{MailboxReport, MessageReport, Summary};
pub use spool::{Spool, SpoolSettings};
pub use transport::{Listener, Transport};
