//! Messages that are to come into a mailbox from outside of it.

mod source;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use mailstore_format::{Guid, ModSeq, SystemFlags, Timestamp, Uid};
use serde::Serialize;

/// A message that is to come into a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// What tells it from all others that ever are to come into this mailbox, in words of whoever
    /// asks for it. A message that came under a key never comes a second time under it.
    pub key: String,
    /// The SHA-1 of its bytes.
    pub guid: Guid,
    /// How many bytes it has, for asking whether there is room.
    pub size: u64,
    /// Where its bytes are, the best place first. A file whose line ends have become LF serves too.
    pub sources: Vec<PathBuf>,
    /// The flags that clients see.
    pub system_flags: SystemFlags,
    /// The names of its keywords.
    pub keywords: Vec<String>,
    /// When it was received; 0 where nothing tells.
    pub internaldate: Timestamp,
    /// The UID that it had; 0 where it had none.
    pub uid_before: Uid,
    /// The UID under which it came in before, as far as whoever asks for it knows.
    pub came_as: Option<Uid>,
    /// When the mailbox was last seen without it: a copy that was saved since is it.
    pub missed_at: Timestamp,
}

/// All messages that are to come into one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// The messages.
    pub messages: Vec<Arrival>,
    /// No UID up to this one is given out.
    pub above_uid: Uid,
    /// No modseq up to this one is given out.
    pub above_modseq: ModSeq,
    /// Whether the mailbox's last UID and highest modseq are raised to these even where nothing comes.
    pub raise_numbers: bool,
    /// UIDs under which messages came in that were asked for earlier: these are no others' copies.
    pub came_before: HashSet<Uid>,
    /// What came in before, of which the mailbox shows no trace any more, comes in again.
    pub again: bool,
    /// How many come in at once, which is as long as the mailbox is locked; all where nothing is said.
    pub at_once: Option<NonZeroUsize>,
}

impl Arrivals {
    /// The messages in portions of as many as come in at once, the oldest first; at least one portion.
    pub(crate) fn portions(mut self) -> Vec<Self> {
        let Some(at_once) = self.at_once else { return vec![self] };
        self.messages.sort_by_key(|arrival| (arrival.internaldate, arrival.uid_before));
        let mut portions = Vec::new();
        while self.messages.len() > at_once.get() {
            let later = self.messages.split_off(at_once.get());
            portions.push(self.clone());
            self.messages = later;
        }
        portions.push(self);
        portions
    }
}

/// What became of a message that was to come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrived {
    /// The message's key.
    pub key: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a message that was to come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It came in under this UID, or would in a run that changes anything.
    Delivered {
        /// The UID.
        #[serde(serialize_with = "as_number")]
        uid: Uid,
    },
    /// It had come in under this UID before.
    DeliveredBefore {
        /// The UID.
        #[serde(serialize_with = "as_number")]
        uid: Uid,
    },
    /// The mailbox had got it in another way, or its owner has deleted it since, under this UID.
    Found {
        /// The UID.
        #[serde(serialize_with = "as_number")]
        uid: Uid,
    },
    /// It did not come in.
    Held {
        /// Why.
        why: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(uid: &Uid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(uid.0)
}

impl Fate {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::DeliveredBefore { .. } => "delivered_before",
            Self::Found { .. } => "found",
            Self::Held { .. } => "held",
        }
    }
}
