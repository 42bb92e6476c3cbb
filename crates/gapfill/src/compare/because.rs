//! What decided about a message.

use std::fmt;

use mailstore_format::{ModSeq, Uid};

/// The evidence that decided. It prints as the sentence that reports and the incident have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Its flags changed in the source after they did in the live store.
    FlagsNewer,
    /// It is expunged in the source and not in the live store.
    DeletedInSource,
    /// The live store has the copy in another mailbox of the owner.
    Moved {
        /// Which of the owner's pairs that is.
        live_copy_in: usize,
    },
    /// An earlier run missed it and remembers its flags.
    Missed,
    /// The live store has its record, and no file.
    RecordWithoutFile,
    /// The live store has its tombstone.
    Tombstone,
    /// The live store has a tombstone of another copy, made after its last common state.
    LaterTombstone(Uid),
    /// It left another mailbox in the source, and was deleted there in the live store.
    DeletedBeforeMove,
    /// Its mailbox was deleted in the source.
    MailboxDeletedInSource,
    /// Its mailbox was deleted in the live store.
    MailboxDeletedLive,
    /// The live store has no such mailbox.
    NoMailbox,
    /// The live store gave its UID to another message.
    UidTaken,
    /// Its UID is above the highest that the live store ever gave.
    AboveLastUid(Uid),
    /// The live store has forgotten no record of its modseq or later.
    NothingForgotten(ModSeq),
    /// The live mailbox was made after the source ended.
    LiveMailboxNewer,
    /// The live store gave out its UID and has no record of it any more.
    Forgotten,
    /// The UIDs of both sides cannot be compared, and nothing else tells.
    OtherGeneration,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlagsNewer => f.write_str("its flags changed later in the source"),
            Self::DeletedInSource => f.write_str("expunged in the source, not in the live store"),
            Self::Moved { .. } => f.write_str("the live store has it in another folder"),
            Self::Missed => f.write_str("an earlier run missed it"),
            Self::RecordWithoutFile => f.write_str("the live record has no file"),
            Self::Tombstone => f.write_str("the live store has its tombstone"),
            Self::LaterTombstone(uid) => {
                write!(f, "a copy with UID {uid} was expunged in the live store")
            }
            Self::DeletedBeforeMove => {
                f.write_str("moved in the source, and expunged in the live store where it had been")
            }
            Self::MailboxDeletedInSource => f.write_str("its mailbox is deleted in the source"),
            Self::MailboxDeletedLive => f.write_str("its mailbox is deleted in the live store"),
            Self::NoMailbox => f.write_str("the live store has no such mailbox"),
            Self::UidTaken => f.write_str("its UID is another message's in the live store"),
            Self::AboveLastUid(uid) => write!(f, "above the live store's last UID {uid}"),
            Self::NothingForgotten(modseq) => {
                write!(f, "the live store has forgotten nothing since modseq {modseq}")
            }
            Self::LiveMailboxNewer => f.write_str("the live mailbox is newer than the source"),
            Self::Forgotten => f.write_str(
                "its UID was given out in the live store: it may have been deleted there",
            ),
            Self::OtherGeneration => {
                f.write_str("UIDVALIDITY differs: it may have been deleted in the live store")
            }
        }
    }
}
