//! Fills a server with mail, as its users would.

use anyhow::{Context as _, Result};

use crate::generate::{Messages, Random};
use crate::imap::{ImapClient, NewMessage};
use crate::server::Server;

/// The users of a populated store.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// The mailbox that uses more keywords than fit in the first word of a record's user flags.
pub const MANY_KEYWORDS: &str = "INBOX.Keywords";

/// What a user has: mailbox, and how many messages are appended to it.
const ALICE: [(&str, usize); 10] = [
    ("INBOX", 64),
    ("INBOX.Sent", 32),
    ("INBOX.Drafts", 6),
    ("INBOX.Trash", 12),
    ("INBOX.Archive", 40),
    ("INBOX.Archive.2025", 40),
    ("INBOX.Archive.2025.Projects", 24),
    // Entwürfe, in the modified UTF-7 of mailbox names.
    ("INBOX.Entw&APw-rfe", 18),
    (MANY_KEYWORDS, 44),
    ("INBOX.Empty", 0),
];
const BOB: [(&str, usize); 5] = [
    ("INBOX", 40),
    ("INBOX.Sent", 16),
    ("INBOX.Lists", 20),
    ("INBOX.Lists.cyrus", 32),
    ("INBOX.Given up", 5),
];

const SYSTEM_FLAGS: [&str; 4] = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"];
const KEYWORDS: [&str; 6] = ["$Forwarded", "$MDNSent", "NonJunk", "work", "projekt-x", "later"];

/// Fills an empty store: two users, 15 mailboxes (one of them then deleted, which leaves its files
/// under `DELETED.`), 393 messages and some copies; flags, 40 keywords in one mailbox, expunged
/// messages (among them the first and the last of an INBOX) whose tombstones and files remain,
/// moved and copied ones, the same message twice in a mailbox, messages of every shape of
/// [`crate::generate`], annotations, and one user's `\Seen` in another user's mailbox.
///
/// The same seed gives the same mail; UIDVALIDITYs, unique ids and modseqs are the server's.
/// The seed is printed.
#[allow(clippy::print_stderr, reason = "a failed test must tell its seed")]
pub fn populate(server: &Server, seed: u64) -> Result<()> {
    eprintln!("populating with seed {seed}");
    let mut population =
        Population { random: Random::new(seed), messages: Messages::new(seed), server };
    population.fill("alice", &ALICE)?;
    population.fill("bob", &BOB)?;
    population.live("alice")?;
    population.live("bob")?;
    population.share()?;
    population.archive_and_trash()?;
    server.login("bob")?.delete("INBOX.Given up").context("deleting a mailbox")
}

/// Fills an empty store with one mailbox, Alice's INBOX, of 20 messages: UIDs 1, 5 and 20 are
/// expunged (their records and files remain), 2 to 8 are `\Seen`, even ones are `work`, every third
/// is `later`, 7 is `\Flagged`, 9 `\Answered` and 10 `\Deleted`; 6 has an annotation.
pub fn populate_one(server: &Server) -> Result<()> {
    let mut messages = Messages::new(1);
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    let new_message = |_| NewMessage {
        flags: Vec::new(),
        internaldate: Some(messages.internaldate()),
        bytes: messages.message(),
    };
    let batch: Vec<NewMessage> = (1..=20).map(new_message).collect();
    alice.append_all("INBOX", &batch)?;
    alice.select("INBOX")?;
    for (uids, flag) in [
        ("2:8", "\\Seen"),
        ("2,4,6,8,10,12,14,16,18,20", "work"),
        ("3,6,9,12,15,18", "later"),
        ("7", "\\Flagged"),
        ("9", "\\Answered"),
        ("1,5,20", "\\Deleted"),
    ] {
        alice.store(uids, &format!("+FLAGS ({flag})"))?;
    }
    alice.expunge()?;
    alice.store("10", "+FLAGS (\\Deleted)")?;
    annotate(&mut alice, "6", "remember this")?;
    alice.unselect()?;
    alice.logout()
}

struct Population<'a> {
    random: Random,
    messages: Messages,
    server: &'a Server,
}

impl Population<'_> {
    /// Creates and fills a user's mailboxes.
    fn fill(&mut self, user: &str, mailboxes: &[(&str, usize)]) -> Result<()> {
        self.server.admin()?.create(&format!("user.{user}"))?;
        let mut session = self.server.login(user)?;
        for &(mailbox, count) in mailboxes {
            if mailbox != "INBOX" {
                session.create(mailbox)?;
            }
            session.subscribe(mailbox)?;
            let mut batch: Vec<NewMessage> =
                (0..count).map(|_| self.new_message(mailbox)).collect();
            if let Some(first) = batch.first().cloned() {
                // The same bytes under two UIDs: a GUID names no single message.
                batch.push(first);
            }
            session.append_all(mailbox, &batch)?;
        }
        session.logout()
    }

    fn new_message(&mut self, mailbox: &str) -> NewMessage {
        let mut flags = self.random.some_of(&SYSTEM_FLAGS, 3);
        if mailbox == MANY_KEYWORDS {
            let many: Vec<String> = (0..40).map(|number| format!("keyword-{number:02}")).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            flags.extend(self.random.some_of(&many, 4));
        } else {
            flags.extend(self.random.some_of(&KEYWORDS, 5));
        }
        NewMessage {
            flags,
            internaldate: Some(self.messages.internaldate()),
            bytes: self.messages.message(),
        }
    }

    /// What happens in an INBOX over time: flags come and go, messages are expunged.
    fn live(&mut self, user: &str) -> Result<()> {
        let mut session = self.server.login(user)?;
        let inbox = session.select("INBOX")?;
        let last = inbox.uidnext - 1;
        session.store("3:9", "+FLAGS (\\Seen)")?;
        session.store("5", "-FLAGS (\\Seen)")?;
        session.store("7:8", "+FLAGS (passing work)")?;
        session.store("7:8", "-FLAGS (passing)")?;
        for _ in 0..6 {
            let uid = 10 + self.random.below(25);
            session.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
        }
        session.store(&format!("1,{last}"), "+FLAGS (\\Deleted)")?;
        session.expunge()?;
        session.store("3:4", "+FLAGS (\\Deleted)")?;
        annotate(&mut session, "6", "remember this")?;
        session.unselect()?;
        session.logout()
    }

    /// Bob reads in Alice's archive: his `\Seen` is kept apart from hers.
    fn share(&mut self) -> Result<()> {
        let mut alice = self.server.login("alice")?;
        alice.setacl("INBOX.Archive", "bob", "lrs")?;
        alice.logout()?;
        let mut bob = self.server.login("bob")?;
        bob.select("user.alice.Archive")?;
        let first = 1 + self.random.below(8);
        bob.store(&format!("{first}:{}", first + 4), "+FLAGS (\\Seen)")?;
        bob.unselect()?;
        bob.logout()
    }

    /// Alice tidies up: copies into the archive, moves to the trash, empties half of that.
    fn archive_and_trash(&mut self) -> Result<()> {
        let mut alice = self.server.login("alice")?;
        alice.select("INBOX")?;
        alice.copy("40:46", "INBOX.Archive")?;
        alice.move_to("48:53", "INBOX.Trash")?;
        alice.select("INBOX.Trash")?;
        alice.store("2,4,13:15", "+FLAGS (\\Deleted)")?;
        alice.expunge()?;
        alice.unselect()?;
        alice.logout()
    }
}

fn annotate(session: &mut ImapClient, uid: &str, comment: &str) -> Result<()> {
    let shared = format!("ANNOTATION (/comment (value.shared \"{comment}\"))");
    session.ok(&format!("UID STORE {uid} {shared}")).map(drop)
}
