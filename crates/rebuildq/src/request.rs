//! Mails to the address for priority rebuilds: what one asks for, whether it may, and what it is
//! answered.
//!
//! **What names an account.** A mail from somebody who has an account is for that account; nothing
//! has to be named. An operator names one to ten accounts, in the subject or in the text: by a
//! whole address anywhere; by the word behind `account:`, `user:`, `mailbox:`, `login:` and the
//! like, several with commas; by a word that stands alone in its line; or in the subject behind
//! `priority rebuild`. A word anywhere else names nobody, nor does an everyday word (`please`,
//! `thanks`) or the sender's own name, unless it stands behind `account:`. What is quoted with `>`
//! and what follows a line `--` is not looked at; what was forwarded is. Who has an account and
//! names another in one of these ways is not served but kept for the operators, whether there is
//! such an account or not: no answer tells. An operator who names nobody is kept too, even one who
//! has an account.
//!
//! **Whom to believe.** The sender is who `From` says, which anybody can write. Have the mail server
//! refuse mails that come from outside under addresses of its own domains. What a forged one can do
//! is little: an account comes earlier, and its owner is told.
//!
//! ```
//! use rebuildq::request::{Decision, Policy, Request, decide};
//!
//! let mail = b"From: Alice <alice@example.org>\r\nSubject: Priority rebuild\r\n\r\nPlease!\r\n";
//! let request = Request::read(&mut &mail[..])?;
//! let policy = Policy { operators: vec![], domains: vec!["example.org".to_owned()] };
//! let decision = decide(&request, &|name| name == "alice", &policy);
//! assert!(matches!(decision, Decision::Raise(raise) if raise.accounts == ["alice"]));
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;
mod automatic;
mod decision;
mod header;
mod kept;
mod mentions;
mod sender;
mod text;

use std::io::{self, Read};

pub use answer::{Answer, Outcome};
pub use decision::{Decision, Policy, Raise, Unclear, Why, decide};
pub use sender::Sender;

use header::Header;
use kept::Kept;

/// Bytes of a subject that are kept.
pub const MAX_SUBJECT: usize = 998;

/// Bytes of text that are kept.
pub const MAX_TEXT: usize = 64 * 1024;

/// A mail to the address for priority rebuilds, as far as it matters. All of it was written by
/// whoever sent it, but control characters are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who wrote it; none where that is not exactly one address.
    pub sender: Option<Sender>,
    /// Where the mail system would return it to; empty where to nobody, none where it is not told.
    pub envelope: Option<String>,
    /// Whether a program wrote it, or it came by a list: never to be answered.
    pub is_automatic: bool,
    /// Its subject, in one line of at most [`MAX_SUBJECT`] bytes.
    pub subject: String,
    /// What its sender wrote, at most [`MAX_TEXT`] bytes: no quotes, no signature.
    pub text: String,
}

impl Request {
    /// Reads all of a message, and keeps at most 64 KiB of its header and of its body each.
    ///
    /// # Errors
    /// Where `reader` fails. No message is an error.
    pub fn read(reader: &mut dyn Read) -> io::Result<Self> {
        Ok(Self::of(&Kept::read(reader)?))
    }

    /// The accounts that the subject and the text name, as the module's documentation says, in the
    /// order of their appearance. A few hundred words at most are asked about, each as written and
    /// in lower case.
    pub fn accounts_named(&self, is_account: &dyn Fn(&str) -> bool) -> Vec<String> {
        decision::accounts(&mentions::of(self), is_account, &[])
    }

    fn of(kept: &Kept) -> Self {
        let bytes = kept.message();
        let header = Header::of(&bytes);
        // What was cut off could have named others.
        let sender = if kept.is_header_cut { None } else { Sender::of(&header) };
        let envelope = sender::envelope(&header, kept.mbox_line());
        let is_automatic = automatic::is_automatic(&header, envelope.as_deref(), sender.as_ref());
        let subject = header.text("Subject").unwrap_or_default();
        let subject = text::one_line(subject, MAX_SUBJECT);
        Self { sender, envelope, is_automatic, subject, text: text::own(&bytes) }
    }
}

#[cfg(test)]
mod tests;
