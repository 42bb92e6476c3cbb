//! All that IMAP shows a user, to be compared with what it shows later.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use mailstore_format::Guid;
use serde::{Deserialize, Serialize};

use crate::imap::ImapClient;
use crate::imap_value::{Fetched, Value};
use crate::server::Server;

/// All mailboxes of a user, by the names that the user sees (`INBOX`, `INBOX.Sent`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The mailboxes.
    pub mailboxes: BTreeMap<String, MailboxSnapshot>,
}

/// A mailbox as IMAP shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxSnapshot {
    /// The generation of its UIDs.
    pub uidvalidity: u32,
    /// The UID that the next message will get.
    pub uidnext: u32,
    /// Its highest modseq.
    pub highestmodseq: u64,
    /// Its unique id (OBJECTID's MAILBOXID).
    pub mailbox_id: String,
    /// Its messages by UID.
    pub messages: BTreeMap<u32, MessageSnapshot>,
}

/// A message as IMAP shows it. `ENVELOPE` and `BODYSTRUCTURE` are in [`Value`]'s printed form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSnapshot {
    /// Flags and keywords, sorted, without `\Recent`.
    pub flags: Vec<String>,
    /// INTERNALDATE.
    pub internaldate: String,
    /// RFC822.SIZE.
    pub size: u64,
    /// ENVELOPE.
    pub envelope: String,
    /// BODYSTRUCTURE.
    pub bodystructure: String,
    /// MODSEQ.
    pub modseq: u64,
    /// SAVEDATE: when it came into this mailbox.
    pub savedate: String,
    /// OBJECTID's THREADID; `NIL` where there are no conversations.
    pub thread_id: String,
    /// SHA-1 of the message, in hexadecimal.
    pub body: String,
}

/// What two snapshots are expected to have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Everything: nothing has happened in between.
    Same,
    /// Everything but that HIGHESTMODSEQ, UIDNEXT and MODSEQs may have grown: the mailbox was
    /// repaired and its records' facts survived.
    SameContent,
    /// What message files and mailboxes.db tell: as [`Expect::SameContent`], and flags, thread ids
    /// and savedates may differ and MODSEQs be anything, for they are known to an index only.
    IndexLost,
}

/// How two snapshots differ; empty if they do not. Prints one difference a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences(pub Vec<String>);

impl Differences {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn note(
        &mut self,
        place: &str,
        field: &str,
        before: &dyn fmt::Display,
        after: &dyn fmt::Display,
    ) {
        self.0.push(format!("{place}: {field} was {before} and is {after}"));
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        for difference in self.0.iter().take(SHOWN) {
            writeln!(f, "{difference}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(f, "and {more} more differences"),
            _ => Ok(()),
        }
    }
}

impl Snapshot {
    /// What `user` sees in her own mailboxes. Changes nothing.
    pub fn take(server: &Server, user: &str) -> Result<Self> {
        let mut session = server.login(user)?;
        let mut mailboxes = BTreeMap::new();
        for mailbox in session.list("*")? {
            if mailbox == "INBOX" || mailbox.starts_with("INBOX.") {
                let snapshot = MailboxSnapshot::take(&mut session, &mailbox)
                    .with_context(|| format!("reading {mailbox} of {user}"))?;
                mailboxes.insert(mailbox, snapshot);
            }
        }
        session.logout()?;
        Ok(Self { mailboxes })
    }

    /// How many messages there are in all mailboxes.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum()
    }

    /// What is not as `expect` says in `after`.
    #[must_use]
    pub fn differences(&self, after: &Self, expect: Expect) -> Differences {
        let mut found = Differences::default();
        for (name, before) in &self.mailboxes {
            match after.mailboxes.get(name) {
                Some(after) => before.compare(after, name, expect, &mut found),
                None => found.0.push(format!("{name} is gone")),
            }
        }
        for name in after.mailboxes.keys().filter(|name| !self.mailboxes.contains_key(*name)) {
            found.0.push(format!("{name} is new"));
        }
        found
    }
}

impl MailboxSnapshot {
    /// What a session without a selected mailbox sees of `mailbox`. Changes nothing.
    pub fn take(session: &mut ImapClient, mailbox: &str) -> Result<Self> {
        let selected = session.examine(mailbox)?;
        let status = session.ok(&format!("STATUS {} (MAILBOXID)", crate::imap::quoted(mailbox)))?;
        let values = status.values_of("STATUS")?.into_iter().flatten().last();
        let mut messages = BTreeMap::new();
        // An empty mailbox has no message that 1:* could name.
        if selected.exists > 0 {
            for fetched in session.fetch("1:*", MessageSnapshot::ITEMS)? {
                messages.insert(fetched.uid()?, MessageSnapshot::from_fetched(&fetched)?);
            }
        }
        session.unselect()?;
        Ok(Self {
            uidvalidity: selected.uidvalidity,
            uidnext: selected.uidnext,
            highestmodseq: selected.highestmodseq,
            mailbox_id: values.map(|value| value.to_string()).unwrap_or_default(),
            messages,
        })
    }

    fn compare(&self, after: &Self, name: &str, expect: Expect, found: &mut Differences) {
        if self.uidvalidity != after.uidvalidity {
            found.note(name, "UIDVALIDITY", &self.uidvalidity, &after.uidvalidity);
        }
        if self.mailbox_id != after.mailbox_id {
            found.note(name, "MAILBOXID", &self.mailbox_id, &after.mailbox_id);
        }
        let may_grow = expect != Expect::Same;
        if !(self.uidnext == after.uidnext || may_grow && after.uidnext > self.uidnext) {
            found.note(name, "UIDNEXT", &self.uidnext, &after.uidnext);
        }
        if !(self.highestmodseq == after.highestmodseq
            || may_grow && after.highestmodseq > self.highestmodseq)
        {
            found.note(name, "HIGHESTMODSEQ", &self.highestmodseq, &after.highestmodseq);
        }
        for (uid, before) in &self.messages {
            let place = format!("{name} {uid}");
            match after.messages.get(uid) {
                Some(after) => before.compare(after, &place, expect, found),
                None => found.0.push(format!("{place} is gone")),
            }
        }
        for uid in after.messages.keys().filter(|uid| !self.messages.contains_key(uid)) {
            found.0.push(format!("{name} {uid} is new"));
        }
    }
}

impl MessageSnapshot {
    /// What is fetched of a message.
    pub(crate) const ITEMS: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE \
                                    MODSEQ SAVEDATE THREADID BODY.PEEK[])";

    pub(crate) fn from_fetched(fetched: &Fetched) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            let item = fetched.item(name)?;
            Ok(item.text().unwrap_or_else(|| item.to_string()))
        };
        let body = fetched.item("BODY[]")?.bytes().context("a message without a body")?;
        Ok(Self {
            flags: fetched.flags()?,
            internaldate: text("INTERNALDATE")?,
            size: fetched.number("RFC822.SIZE")?,
            envelope: fetched.item("ENVELOPE")?.to_string(),
            bodystructure: fetched.item("BODYSTRUCTURE")?.to_string(),
            modseq: fetched.number("MODSEQ")?,
            savedate: text("SAVEDATE")?,
            thread_id: fetched.item("THREADID").map(Value::to_string)?,
            body: Guid::of(body).to_string(),
        })
    }

    fn compare(&self, after: &Self, place: &str, expect: Expect, found: &mut Differences) {
        let derived: [(&str, &dyn fmt::Display, &dyn fmt::Display); 5] = [
            ("INTERNALDATE", &self.internaldate, &after.internaldate),
            ("RFC822.SIZE", &self.size, &after.size),
            ("ENVELOPE", &self.envelope, &after.envelope),
            ("BODYSTRUCTURE", &self.bodystructure, &after.bodystructure),
            ("BODY[]", &self.body, &after.body),
        ];
        let flags = (self.flags.join(" "), after.flags.join(" "));
        let recorded: [(&str, &dyn fmt::Display, &dyn fmt::Display); 3] = [
            ("FLAGS", &flags.0, &flags.1),
            ("SAVEDATE", &self.savedate, &after.savedate),
            ("THREADID", &self.thread_id, &after.thread_id),
        ];
        let recorded = recorded.iter().filter(|_| expect != Expect::IndexLost);
        for (field, before, after) in derived.iter().chain(recorded) {
            if before.to_string() != after.to_string() {
                found.note(place, field, before, after);
            }
        }
        let modseq_is_as_expected = match expect {
            Expect::Same => after.modseq == self.modseq,
            Expect::SameContent => after.modseq >= self.modseq,
            Expect::IndexLost => true,
        };
        if !modseq_is_as_expected {
            found.note(place, "MODSEQ", &self.modseq, &after.modseq);
        }
    }
}
