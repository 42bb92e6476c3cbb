//! A small store that a real server made, to be copied for each damage.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::kind::{Damage, Wreck};
use super::place::Place;
use super::score::Score;
use super::survivors::Survivors;
use super::view::View;
use crate::configuration::{Layout, ServerOptions};
use crate::cyrus::Cyrus;
use crate::generate::{Messages, Random};
use crate::imap::{ImapClient, NewMessage};
use crate::server::Server;
use crate::store::Store;

const SYSTEM_FLAGS: [&str; 4] = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"];
const KEYWORDS: [&str; 5] = ["$Forwarded", "NonJunk", "work", "projekt-x", "later"];

/// One user's store at rest, what was seen of it, and a copy of it from some time before.
#[derive(Debug)]
pub struct Specimen {
    store: Store,
    older: Store,
    shown: BTreeMap<String, View>,
}

/// A damaged copy of a specimen.
#[derive(Debug)]
pub struct Damaged {
    /// The store, at rest.
    pub store: Store,
    /// What was done to it.
    pub damages: Vec<Damage>,
    /// What is left, by mailbox.
    pub left: BTreeMap<String, Survivors>,
}

impl Specimen {
    /// Whose store it is.
    pub const USER: &str = "alice";
    /// The mailboxes that are damaged; a third one, `user.alice.Sent`, stays as it is.
    pub const DAMAGED: [&str; 2] = ["user.alice", "user.alice.Archive"];
    const MAILBOXES: [(&str, usize); 3] =
        [("INBOX", 48), ("INBOX.Archive", 24), ("INBOX.Sent", 10)];

    /// Makes one: 88 messages in three mailboxes, with flags, keywords, copies, expunged messages
    /// whose files are there and expunged messages of which only gaps are left. The older copy was
    /// made when two thirds of the messages were there.
    pub fn made(cyrus: &Cyrus, conversations: bool, seed: u64) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById).in_memory();
        let options = if conversations { options.with_conversations() } else { options };
        let mut server = Server::start(cyrus, options)?;
        let mut life =
            Life { random: Random::new(seed ^ 0x7370_6563), messages: Messages::new(seed) };
        server.admin()?.create("user.alice")?;
        life.first_months(&server)?;
        server.stop()?;
        server.tool_output("cyr_expire", &["-X", "0"])?;
        server.start_again()?;
        life.next_months(&server)?;
        server.stop()?;
        let older = server.copy()?;
        server.start_again()?;
        life.last_months(&server)?;
        let mut shown = BTreeMap::new();
        for (mailbox, _) in Self::MAILBOXES {
            let view = View::over_imap(&server, Self::USER, mailbox)?;
            shown.insert(internal_name(mailbox), view);
        }
        Ok(Self { store: server.into_store()?, older, shown })
    }

    /// The sound store; not to be changed.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What was seen over IMAP, by mailbox.
    #[must_use]
    pub fn shown(&self) -> &BTreeMap<String, View> {
        &self.shown
    }

    /// A copy, damaged by `kind` or by random ones. Where a mailbox has nothing that the kind could
    /// hit, nothing is done to it.
    pub fn damaged(&self, kind: &str, seed: u64) -> Result<Damaged> {
        let store = self.store.copy()?;
        let wreck = Wreck::of(&store.imapd_conf(), seed)?;
        let wreck = wreck.with_older(&self.older.imapd_conf())?;
        let mut damages = Vec::new();
        for mailbox in Self::DAMAGED {
            damages.extend(wreck.inflict(kind, mailbox)?);
        }
        let mut left = BTreeMap::new();
        for mailbox in self.shown.keys() {
            let sound = Place::of(&self.store.imapd_conf(), mailbox)?;
            let hit = Place::of(&store.imapd_conf(), mailbox)?;
            let conversations = self.store.options().conversations;
            let found = Survivors::of(&sound, &hit, conversations)
                .with_context(|| format!("what is left of {mailbox}"))?;
            left.insert(mailbox.clone(), found);
        }
        Ok(Damaged { store, damages, left })
    }

    /// Scores a repaired store by what its server, which runs, shows.
    #[must_use]
    pub fn score_served(&self, server: &Server, left: &BTreeMap<String, Survivors>) -> Score {
        let view = |mailbox: &str| {
            let shown = mailbox.replace("user.alice", "INBOX");
            View::over_imap(server, Self::USER, &shown)
        };
        score_all(&self.shown, left, view)
    }

    /// Scores a repaired store by its files.
    pub fn score_at_rest(
        &self,
        imapd_conf: &Path,
        left: &BTreeMap<String, Survivors>,
    ) -> Result<Score> {
        let mut before = BTreeMap::new();
        for mailbox in self.shown.keys() {
            let place = Place::of(&self.store.imapd_conf(), mailbox)?;
            before.insert(mailbox.clone(), View::at_rest(&place)?);
        }
        let view = |mailbox: &str| View::at_rest(&Place::of(imapd_conf, mailbox)?);
        Ok(score_all(&before, left, view))
    }
}

fn score_all(
    before: &BTreeMap<String, View>,
    left: &BTreeMap<String, Survivors>,
    view: impl Fn(&str) -> Result<View>,
) -> Score {
    let mut sum = Score::default();
    for (mailbox, before) in before {
        let Some(left) = left.get(mailbox) else { continue };
        let after = view(mailbox);
        sum += &Score::of(mailbox, before, after.as_ref().ok(), left);
        if let Err(error) = after {
            sum.remarks.push(format!("{mailbox}: {error:#}"));
        }
    }
    sum
}

fn internal_name(shown: &str) -> String {
    shown.replace("INBOX", "user.alice")
}

/// What happens in the store over time.
struct Life {
    random: Random,
    messages: Messages,
}

impl Life {
    fn first_months(&mut self, server: &Server) -> Result<()> {
        let mut session = server.login(Specimen::USER)?;
        for (mailbox, _) in &Specimen::MAILBOXES[1..] {
            session.create(mailbox)?;
        }
        self.mail_comes(&mut session, 3)?;
        // Of these nothing will be left but that their UIDs are nobody's.
        self.expunge(&mut session, "INBOX", 2)?;
        session.logout()
    }

    fn next_months(&mut self, server: &Server) -> Result<()> {
        let mut session = server.login(Specimen::USER)?;
        self.mail_comes(&mut session, 3)?;
        self.expunge(&mut session, "INBOX", 3)?;
        session.logout()
    }

    fn last_months(&mut self, server: &Server) -> Result<()> {
        let mut session = server.login(Specimen::USER)?;
        self.mail_comes(&mut session, 3)?;
        session.select("INBOX")?;
        for _ in 0..8 {
            let uid = 5 + self.random.below(40);
            let flag = self.random.pick(&["\\Seen", "\\Flagged", "work", "new-keyword"]);
            let sign = self.random.pick(&["+", "+", "-"]);
            session.store(&uid.to_string(), &format!("{sign}FLAGS ({flag})"))?;
        }
        session.copy("20:22", "INBOX.Archive")?;
        session.unselect()?;
        self.expunge(&mut session, "INBOX", 3)?;
        self.expunge(&mut session, "INBOX.Archive", 3)?;
        session.logout()
    }

    /// One in `share` of all that ever comes.
    fn mail_comes(&mut self, session: &mut ImapClient, share: usize) -> Result<()> {
        for (mailbox, count) in Specimen::MAILBOXES {
            let mut batch: Vec<NewMessage> =
                (0..count / share).map(|_| self.new_message()).collect();
            if let Some(first) = batch.first().filter(|_| mailbox == "INBOX").cloned() {
                // The same bytes under two UIDs: a GUID names no single message.
                batch.push(first);
            }
            session.append_all(mailbox, &batch)?;
        }
        Ok(())
    }

    fn new_message(&mut self) -> NewMessage {
        let mut flags = self.random.some_of(&SYSTEM_FLAGS, 3);
        flags.extend(self.random.some_of(&KEYWORDS, 4));
        NewMessage {
            flags,
            internaldate: Some(self.messages.internaldate()),
            bytes: self.messages.message(),
        }
    }

    fn expunge(&mut self, session: &mut ImapClient, mailbox: &str, count: usize) -> Result<()> {
        let selected = session.select(mailbox)?;
        let last = usize::try_from(selected.uidnext)? - 1;
        for _ in 0..count {
            let uid = 1 + self.random.below(last);
            session.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
        }
        session.expunge()?;
        session.unselect()
    }
}
