//! A server's users and their mail, as it was before the outage.

use anyhow::Result;
use mailstore_tests::generate::{Messages, Random};
use mailstore_tests::{Cyrus, ImapClient, Layout, NewMessage, Server, ServerOptions};

/// Who has which mailboxes, and how many messages come to each. Dave's will not be hit.
pub(super) const MAILBOXES: [(&str, &str, usize); 11] = [
    ("alice", "INBOX", 40),
    ("alice", "INBOX.Archive", 90),
    ("alice", "INBOX.Sent", 16),
    ("bob", "INBOX", 30),
    ("bob", "INBOX.Drafts", 8),
    ("bob", "INBOX.Lists", 20),
    ("bob", "INBOX.Lists.cyrus", 24),
    ("carol", "INBOX", 24),
    ("carol", "INBOX.Work", 28),
    ("dave", "INBOX", 12),
    ("dave", "INBOX.Sent", 6),
];

const SYSTEM_FLAGS: [&str; 4] = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"];
const KEYWORDS: [&str; 5] = ["$Forwarded", "NonJunk", "work", "projekt-x", "later"];

/// A running server whose users have had mail, set flags and expunged messages.
pub(super) fn served(cyrus: &Cyrus, seed: u64) -> Result<Server> {
    let options = ServerOptions::new(Layout::ById).with_conversations().in_memory();
    let server = Server::start(cyrus, options)?;
    let mut life = Life { random: Random::new(seed), messages: Messages::new(seed) };
    for (user, mailbox, count) in MAILBOXES {
        if mailbox == "INBOX" {
            server.admin()?.create(&format!("user.{user}"))?;
        }
        let mut session = server.login(user)?;
        life.live(&mut session, mailbox, count)?;
        session.logout()?;
    }
    Ok(server)
}

struct Life {
    random: Random,
    messages: Messages,
}

impl Life {
    /// Mail comes to a mailbox; one message in eight is expunged, and its file stays for a while.
    fn live(&mut self, session: &mut ImapClient, mailbox: &str, count: usize) -> Result<()> {
        if mailbox != "INBOX" {
            session.create(mailbox)?;
        }
        let batch: Vec<NewMessage> = (0..count).map(|_| self.new_message()).collect();
        session.append_all(mailbox, &batch)?;
        session.select(mailbox)?;
        for _ in 0..count / 8 {
            let uid = 1 + self.random.below(count);
            session.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
        }
        session.expunge()?;
        session.unselect()
    }

    fn new_message(&mut self) -> NewMessage {
        let mut flags = self.random.some_of(&SYSTEM_FLAGS, 2);
        flags.extend(self.random.some_of(&KEYWORDS, 3));
        NewMessage {
            flags,
            internaldate: Some(self.messages.internaldate()),
            bytes: self.messages.message(),
        }
    }
}
