//! The rows of the policy that class a message which the live mailbox lacks.

use std::collections::HashMap;

use mailstore_format::{Guid, ModSeq, Uid};

use super::meeting::{Hint, Meeting};
use super::{Because, Pair};
use crate::class::Class;
use crate::contents::{Contents, Message};

/// What the rules go by, for one mailbox.
pub(super) struct Rules<'a> {
    pair: &'a Pair,
    same_uids: bool,
    /// Tombstones that no source explains, by GUID: each accounts for one copy.
    tombstones: HashMap<Guid, Vec<Uid>>,
    /// Messages that were missed, likewise.
    wanted: HashMap<Guid, usize>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(pair: &'a Pair, meeting: &Meeting) -> Self {
        let live = pair.live.as_ref();
        let mut tombstones = HashMap::<Guid, Vec<Uid>>::new();
        for &at in &meeting.tombstones {
            let Some(message) = live.and_then(|live| live.messages.get(at)) else { continue };
            // One from before the fork is of a copy that the source had then, too.
            let later = !meeting.same_uids || message.uid > meeting.common_uid;
            if later && !message.guid.is_null() {
                tombstones.entry(message.guid).or_default().push(message.uid);
            }
        }
        let mut wanted = HashMap::new();
        for (_, guid) in &pair.wanted {
            *wanted.entry(*guid).or_default() += 1;
        }
        Self { pair, same_uids: meeting.same_uids, tombstones, wanted }
    }

    /// The first rule that fits.
    pub(super) fn judge(&mut self, message: &Message, hint: Hint) -> (Class, Because) {
        let (class, because) = self.as_mail(message, hint);
        if self.pair.standing.dav && class.is_to_be_restored() {
            return (Class::Dav, because);
        }
        (class, because)
    }

    fn as_mail(&mut self, message: &Message, hint: Hint) -> (Class, Because) {
        let standing = &self.pair.standing;
        if self.was_missed(&message.guid) {
            return (Class::Wanted, Because::Missed);
        }
        match hint {
            Hint::RecordWithoutFile => return (Class::Wanted, Because::RecordWithoutFile),
            Hint::Tombstone => return (Class::Deleted, Because::Tombstone),
            Hint::Nothing | Hint::UidTaken => {}
        }
        if standing.deleted_in_source {
            return (Class::Deleted, Because::MailboxDeletedInSource);
        }
        if standing.deleted_live {
            return (Class::Deleted, Because::MailboxDeletedLive);
        }
        let Some(live) = &self.pair.live else {
            return (Class::MailboxGone, Because::NoMailbox);
        };
        if let Some(uid) = self.tombstones.get_mut(&message.guid).and_then(Vec::pop) {
            return (Class::Deleted, Because::LaterTombstone(uid));
        }
        if self.same_uids && message.uid != Uid(0) {
            by_uid(message, hint, live)
        } else {
            self.by_time(live)
        }
    }

    fn was_missed(&mut self, guid: &Guid) -> bool {
        let left = self.wanted.get_mut(guid).filter(|left| **left > 0);
        left.is_some_and(|left| {
            *left = left.saturating_sub(1);
            true
        })
    }

    /// UIDs that cannot be compared: only a live mailbox that began after the source ended cannot
    /// have had the message.
    fn by_time(&self, live: &Contents) -> (Class, Because) {
        let made = live.uidvalidity.map(|generation| i64::from(generation.0));
        let ended = self.pair.source.last_append.map(mailstore_format::Timestamp::seconds);
        match (made, ended) {
            (Some(made), Some(ended)) if ended > 0 && made > ended => {
                (Class::Missing, Because::LiveMailboxNewer)
            }
            _ => (Class::Ambiguous, Because::OtherGeneration),
        }
    }
}

/// Whether the live store ever had the message under its UID.
fn by_uid(message: &Message, hint: Hint, live: &Contents) -> (Class, Because) {
    if hint == Hint::UidTaken {
        return (Class::UidTaken, Because::UidTaken);
    }
    if let Some(last_uid) = live.last_uid.filter(|&last_uid| message.uid > last_uid) {
        return (Class::Missing, Because::AboveLastUid(last_uid));
    }
    // A record that is removed raises deletedmodseq to its modseq, which is no lower than the one
    // at which the message came (`imap/mailbox.c`, `mailbox_repack_add`).
    match live.deletedmodseq {
        Some(forgotten)
            if message.createdmodseq > forgotten && message.createdmodseq != ModSeq(0) =>
        {
            (Class::Missing, Because::NothingForgotten(forgotten))
        }
        _ => (Class::Ambiguous, Because::Forgotten),
    }
}
