//! What a mailbox shows: over IMAP, or by its files where no server runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::cache::CacheRecord;
use mailstore_format::header_file::HeaderFile;
use mailstore_format::index::{IndexFile, IndexRecord};
use mailstore_format::{Guid, InternalFlags, SystemFlags};

use super::place::Place;
use crate::imap::ImapClient;
use crate::server::Server;
use crate::snapshot::{MailboxSnapshot, MessageSnapshot};

/// A mailbox as a user sees it, in the terms that repairs are scored by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The generation of its UIDs.
    pub uidvalidity: u32,
    /// The UID that the next message will get.
    pub uidnext: u32,
    /// Its highest modseq.
    pub highestmodseq: u64,
    /// Its live messages by UID.
    pub messages: BTreeMap<u32, SeenMessage>,
}

/// A message as a user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMessage {
    /// System flags, as `\Seen`.
    pub system: BTreeSet<String>,
    /// Keywords.
    pub keywords: BTreeSet<String>,
    /// INTERNALDATE, in whichever form the view's source has it.
    pub internaldate: String,
    /// ENVELOPE; without a server, whether the cache that it comes from is sound.
    pub envelope: String,
    /// SHA-1 of the message; `None` where it cannot be had.
    pub body: Option<Guid>,
}

impl View {
    /// What `user` sees of `mailbox` (`INBOX.Sent`) over IMAP. Messages that the server cannot show
    /// do not keep it from telling of the others. Fails where the mailbox cannot be opened at all.
    pub fn over_imap(server: &Server, user: &str, mailbox: &str) -> Result<Self> {
        let mut session = server.login(user)?;
        let Ok(snapshot) = MailboxSnapshot::take(&mut session, mailbox) else {
            return Self::one_by_one(server, user, mailbox);
        };
        session.logout()?;
        let messages = snapshot.messages.iter();
        let messages = messages.map(|(uid, message)| Ok((*uid, SeenMessage::of(message)?)));
        Ok(Self {
            uidvalidity: snapshot.uidvalidity,
            uidnext: snapshot.uidnext,
            highestmodseq: snapshot.highestmodseq,
            messages: messages.collect::<Result<_>>()?,
        })
    }

    fn one_by_one(server: &Server, user: &str, mailbox: &str) -> Result<Self> {
        let mut session = server.login(user)?;
        let selected = session.examine(mailbox)?;
        let mut messages = BTreeMap::new();
        for uid in session.search("ALL")? {
            let message = if let Ok(message) = Self::one(&mut session, uid) {
                message
            } else {
                // A server that died of it: what it shows of the others is asked of another.
                session = server.login(user)?;
                session.examine(mailbox)?;
                SeenMessage::unreadable()
            };
            messages.insert(uid, message);
        }
        Ok(Self {
            uidvalidity: selected.uidvalidity,
            uidnext: selected.uidnext,
            highestmodseq: selected.highestmodseq,
            messages,
        })
    }

    fn one(session: &mut ImapClient, uid: u32) -> Result<SeenMessage> {
        let fetched = session.fetch(&uid.to_string(), MessageSnapshot::ITEMS)?;
        SeenMessage::of(&MessageSnapshot::from_fetched(fetched.first().context("no answer")?)?)
    }

    /// What the files of a mailbox will show. Fails where index or `cyrus.header` cannot be read.
    pub fn at_rest(place: &Place) -> Result<Self> {
        let of_mailbox = || format!("the files of {}", place.mailbox);
        let bytes = fs::read(&place.index).with_context(of_mailbox)?;
        let header_file = fs::read(&place.header).with_context(of_mailbox)?;
        let names = HeaderFile::decode(&header_file).with_context(of_mailbox)?.flag_names;
        let cache = fs::read(&place.cache).unwrap_or_default();
        let index = IndexFile::open(&bytes).with_context(of_mailbox)?;
        let header = index.header();
        ensure!(index.header_crc().is_good(), "the index header fails its CRC");
        ensure!(index.missing_records() == 0, "the index ends before its records do");
        let mut messages = BTreeMap::new();
        for slot in index.counted_slots() {
            ensure!(slot.crc.is_good(), "record {} fails its CRC", slot.recno);
            let record = slot.record;
            if record.is_expunged() {
                continue;
            }
            let keyword = |slot| {
                let name = names.get(slot);
                name.map_or(format!("slot {slot} without a name"), |name| {
                    String::from_utf8_lossy(name).into_owned()
                })
            };
            let message = SeenMessage {
                system: system_flags(record.system_flags),
                keywords: record.user_flags.slots().map(keyword).collect(),
                internaldate: record.internaldate.seconds().to_string(),
                envelope: cache_state(place, &cache, &record).into(),
                body: body_of(place, &record),
            };
            messages.insert(record.uid.0, message);
        }
        Ok(Self {
            uidvalidity: header.uidvalidity.0,
            uidnext: header.last_uid.0.saturating_add(1),
            highestmodseq: header.highestmodseq.0,
            messages,
        })
    }
}

impl SeenMessage {
    fn of(message: &MessageSnapshot) -> Result<Self> {
        let flags = message.flags.iter().cloned();
        let (system, keywords) = flags.partition(|flag| flag.starts_with('\\'));
        Ok(Self {
            system,
            keywords,
            internaldate: message.internaldate.clone(),
            envelope: message.envelope.clone(),
            body: Some(message.body.parse().context("a SHA-1")?),
        })
    }

    fn unreadable() -> Self {
        Self {
            system: BTreeSet::new(),
            keywords: BTreeSet::new(),
            internaldate: String::new(),
            envelope: String::new(),
            body: None,
        }
    }
}

pub(super) fn system_flags(flags: SystemFlags) -> BTreeSet<String> {
    let names = [
        (SystemFlags::ANSWERED, "\\Answered"),
        (SystemFlags::FLAGGED, "\\Flagged"),
        (SystemFlags::DELETED, "\\Deleted"),
        (SystemFlags::DRAFT, "\\Draft"),
        (SystemFlags::SEEN, "\\Seen"),
    ];
    let set = names.into_iter().filter(|(flag, _)| flags.contains(*flag));
    set.map(|(_, name)| name.to_string()).collect()
}

/// The server parses a message anew where its cache record is not the one that the record knows.
fn cache_state(place: &Place, cache: &[u8], record: &IndexRecord) -> &'static str {
    if place.archive.is_some() && record.internal_flags.contains(InternalFlags::ARCHIVED) {
        return "in the archive's cache";
    }
    let cached = CacheRecord::decode(cache, record.cache_offset);
    let is_sound = cached.is_ok_and(|cached| cached.crc() == record.cache_crc);
    if is_sound { "cached" } else { "not cached" }
}

fn body_of(place: &Place, record: &IndexRecord) -> Option<Guid> {
    let archived = record.internal_flags.contains(InternalFlags::ARCHIVED);
    let directory = place.archive.as_ref().filter(|_| archived).unwrap_or(&place.spool);
    let path = directory.join(format!("{}.", record.uid));
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let bytes = if is_file { fs::read(path).ok() } else { None };
    bytes.map(|bytes| Guid::of(&bytes))
}
