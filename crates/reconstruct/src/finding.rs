//! Damage as data: what was found, where, and what becomes of it.

use std::fmt;

use mailstore_format::Uid;
use serde::Serialize;

/// What becomes of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Worth knowing, and no damage: the mailbox is sound with it.
    Note,
    /// The plan repairs it.
    Repair,
    /// It stays as it is; the detail says what the operator can do.
    Left,
}

impl Remedy {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Repair => "repair",
            Self::Left => "left",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// The kinds of findings. Their names are stable and explained in `docs/findings.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name),*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable name, as it stands in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    /// The mailbox's place on disk is missing, empty or not what it should be: a mount is likely missing.
    PartitionUnavailable = "partition-unavailable",
    /// The files in the mailbox's place are another mailbox's.
    MailboxMismatch = "mailbox-mismatch",
    /// mailboxes.db could not be read whole.
    MailboxListDamaged = "mailbox-list-damaged",
    /// There is no `cyrus.index`.
    IndexMissing = "index-missing",
    /// The index could not be read, or no known layout fits it.
    IndexUnreadable = "index-unreadable",
    /// The index's header fails its CRC or makes no sense.
    IndexHeaderDamaged = "index-header-damaged",
    /// The index's header fails its CRC by one flipped bit, which is put right.
    IndexHeaderBit = "index-header-bit",
    /// Bytes were lost from the index or inserted into it, so that records lie elsewhere.
    IndexDisplaced = "index-displaced",
    /// The index is another mailbox's, or from before the UIDVALIDITY changed.
    IndexForeign = "index-foreign",
    /// The index is an older state of the mailbox's: more is known of it elsewhere.
    IndexOlder = "index-older",
    /// The index ends before all the records its header counts.
    IndexTruncated = "index-truncated",
    /// A record's bytes fail their CRC or cannot be read.
    RecordDamaged = "record-damaged",
    /// A record fails its CRC by one flipped bit or by foreign bytes inside; it is whole again.
    RecordBit = "record-bit",
    /// Records stand out of UID order.
    RecordOutOfOrder = "record-out-of-order",
    /// Two records have one UID.
    RecordDuplicate = "record-duplicate",
    /// Header counts, sizes or sync CRCs are not those of the records.
    HeaderCounts = "header-counts",
    /// The header's last UID lies below one in use.
    LastUidLow = "last-uid-low",
    /// The header's highest modseq lies below one in use.
    HighestModseqLow = "highestmodseq-low",
    /// The header carries option bits that order the server to delete things.
    HeaderOptions = "header-options",
    /// No witness proves the last UID; it was set well above every known one.
    LastUidUnproven = "last-uid-unproven",
    /// No witness proves the highest modseq; it was set well above every known one.
    ModseqUnproven = "modseq-unproven",
    /// No witness knows the UIDVALIDITY; a new one was given.
    UidvalidityUnproven = "uidvalidity-unproven",
    /// There is no `cyrus.header`.
    HeaderFileMissing = "header-file-missing",
    /// `cyrus.header` cannot be understood.
    HeaderFileDamaged = "header-file-damaged",
    /// The index holds another CRC of `cyrus.header` than its bytes have.
    HeaderFileCrc = "header-file-crc",
    /// A keyword's bit is set on messages, but its slot has no name.
    KeywordUnnamed = "keyword-unnamed",
    /// Keywords of a lost `cyrus.header` are known again: a checksum of the index proves them.
    KeywordsProved = "keywords-proved",
    /// Keywords were read from a damaged `cyrus.header`, and no checksum proves them.
    KeywordsUnproved = "keywords-unproved",
    /// An older copy of mailboxes.db told what mailboxes.db does not.
    MailboxListOlder = "mailbox-list-older",
    /// There is no `cyrus.cache`, or it does not begin as one.
    CacheMissing = "cache-missing",
    /// A cache record fails its CRC, is cut short or lies outside of the file.
    CacheRecordDamaged = "cache-record-damaged",
    /// A cache record is whole, but not what the message yields.
    CacheRecordWrong = "cache-record-wrong",
    /// New cache records are made in another manner than the server's own, which is not known.
    CacheDialectUnjudged = "cache-dialect-unjudged",
    /// Size, header size or dates in a record are not what the message yields.
    DerivedFields = "derived-fields",
    /// A record's message file lies in the other of spool and archive than the record says.
    ArchivedFlag = "archived-flag",
    /// A message file's SHA-1 is not the one its record has: the file was damaged or exchanged.
    GuidMismatch = "guid-mismatch",
    /// A message file has another size than its record says, and no SHA-1 to judge by.
    SizeMismatch = "size-mismatch",
    /// A message file is empty.
    MessageEmpty = "message-empty",
    /// A record's message file is proved absent.
    MessageMissing = "message-missing",
    /// A message file is there but cannot be read.
    MessageUnreadable = "message-unreadable",
    /// A message's name belongs to something that is no regular file.
    NotARegularFile = "not-a-regular-file",
    /// A damaged record is proven by what its message's file tells.
    RecordProven = "record-proven",
    /// A record's message was found elsewhere, and is put back under its name.
    MessagePutBack = "message-put-back",
    /// A message whose line ends had become LF has CRLF again.
    LineEndsRestored = "line-ends-restored",
    /// What is left of a damaged message is kept under a new UID.
    RemainsKept = "remains-kept",
    /// A directory entry that is neither a message nor one of the server's files.
    OddEntry = "odd-entry",
    /// A message file without a record keeps the UID of its name.
    MessageWithoutRecord = "message-without-record",
    /// A message file without a record gets a new UID.
    MessageRenumbered = "message-renumbered",
    /// A message whose file had a name that is no message's gets a UID.
    StrayMessage = "stray-message",
    /// A file that is a copy of a message that is there is set aside.
    Copy = "copy",
    /// A file without a record is that of a message that its owner had expunged: it stays expunged.
    StaysExpunged = "stays-expunged",
    /// A message came into the mailbox from outside.
    MessageDelivered = "message-delivered",
    /// A message was to come into the mailbox from outside and did not.
    MessageHeld = "message-held",
    /// What comes over IMAP gets UIDs that clients of a source may know as other messages.
    UidsMayBeKnown = "uids-may-be-known",
    /// A mailbox or folder that was not there was made, so that messages can come into it.
    MailboxMade = "mailbox-made",
    /// The last UID or the highest modseq was raised above what clients of a source have seen.
    NumbersRaised = "numbers-raised",
    /// Nothing tells the flags of messages, nor whether they had been deleted.
    FlagsUnknown = "flags-unknown",
    /// A message that an earlier run pruned is back, under its old record.
    PrunedRestored = "pruned-restored",
    /// A record was expunged because its message is gone (`--prune`).
    Pruned = "pruned",
    /// Pruning was asked for and refused.
    PruneRefused = "prune-refused",
    /// A session that had the mailbox selected was ended, because a message comes back that it knows
    /// as gone.
    SessionEnded = "session-ended",
    /// Received dates were taken for internal dates, because the files' times contradict them.
    InternaldateFromReceived = "internaldate-from-received",
    /// `cyrus.expunge` of an old release lists messages to delete; it is set aside.
    StaleExpunge = "stale-expunge",
    /// A file that an interrupted work of the server left behind.
    Leftover = "leftover",
    /// What an earlier run did was undone.
    Undone = "undone",
    /// A name could not be given back to what had it before the run that was undone.
    UndoLeft = "undo-left",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing found in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// What becomes of it.
    pub remedy: Remedy,
    /// The message concerned, where it is one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "uid_number")]
    pub uid: Option<Uid>,
    /// The evidence, and what an operator can do where it is left.
    pub detail: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde's signature")]
fn uid_number<S: serde::Serializer>(uid: &Option<Uid>, serializer: S) -> Result<S::Ok, S::Error> {
    match uid {
        Some(Uid(number)) => serializer.serialize_u32(*number),
        None => serializer.serialize_none(),
    }
}

impl Finding {
    /// A finding about the mailbox as a whole.
    pub fn new(code: Code, remedy: Remedy, detail: impl Into<String>) -> Self {
        Self { code, remedy, uid: None, detail: detail.into() }
    }

    /// The same finding, about one message.
    #[must_use]
    pub fn about(mut self, uid: Uid) -> Self {
        self.uid = Some(uid);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(uid) = self.uid {
            write!(f, " uid {uid}")?;
        }
        write!(f, ": {}", self.detail)
    }
}
