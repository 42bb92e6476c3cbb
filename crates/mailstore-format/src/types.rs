//! The field's own quantities as types, so that a UID is never taken for a modseq.

use std::fmt;
use std::str::FromStr;

use sha1::{Digest, Sha1};

/// A message's number within its mailbox. 0 is never valid on disk; it marks "no UID".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid(pub u32);

impl Uid {
    /// UIDs above this leave too little room for the messages to come; no server ever gave them out.
    pub const HIGHEST_PLAUSIBLE: Self = Self(u32::MAX - 16 * 1024 * 1024);
}

/// A modification sequence: counts every change of a mailbox (RFC 7162).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

impl ModSeq {
    /// No server ever gave out a modseq above this one: whatever tells one is damaged.
    pub const HIGHEST_PLAUSIBLE: Self = Self(1 << 53);
}

/// The generation of a mailbox's UIDs. When it changes, clients discard all they have cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UidValidity(pub u32);

/// A conversation (thread) id; 0 where none was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ThreadId(pub u64);

macro_rules! display_as_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(Uid, ModSeq, UidValidity);

impl fmt::Display for ThreadId {
    /// As Cyrus prints it: 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The identity of a message: SHA-1 of the bytes of its file (`imap/message_guid.c`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 20]);

impl Guid {
    /// The all-zero GUID, which Cyrus reads as "not known".
    pub const NULL: Self = Self([0; 20]);

    /// The GUID of a message whose file holds exactly `message`.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        Self(Sha1::digest(message).into())
    }

    /// Whether this is [`Guid::NULL`].
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }
}

/// Computes the GUID of a message that comes in pieces.
#[derive(Clone, Default)]
pub struct GuidHasher(Sha1);

impl GuidHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The GUID of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Guid {
        Guid(self.0.finalize().into())
    }
}

impl fmt::Debug for GuidHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuidHasher")
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every message's checksum holds its GUID: formatting byte by byte shows in profiles.
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
        let mut text = String::with_capacity(40);
        for byte in self.0 {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// A text that is not 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a GUID is 40 hexadecimal digits")]
pub struct ParseGuidError;

impl FromStr for Guid {
    type Err = ParseGuidError;

    fn from_str(text: &str) -> Result<Self, ParseGuidError> {
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return Err(ParseGuidError);
        }
        let mut guid = [0; 20];
        for (byte, pair) in guid.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: Option<&u8>| {
                digit.and_then(|&d| char::from(d).to_digit(16)).and_then(|d| u8::try_from(d).ok())
            };
            let (Some(high), Some(low)) = (nibble(pair.first()), nibble(pair.get(1))) else {
                return Err(ParseGuidError);
            };
            *byte = (high << 4) | low;
        }
        Ok(Self(guid))
    }
}

/// A point in time as an index stores it: nanoseconds since 1970 UTC.
///
/// Versions up to 19 keep whole seconds in 32 unsigned bits; version 20 keeps signed 64-bit
/// nanoseconds. Both fit without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    const NANOS_PER_SECOND: i64 = 1_000_000_000;

    /// From whole seconds. Those that do not fit (beyond the years 1678-2262) become the last or
    /// first that do.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        const LATEST: i64 = i64::MAX / Timestamp::NANOS_PER_SECOND;
        let within = if seconds > LATEST {
            LATEST
        } else if seconds < -LATEST {
            -LATEST
        } else {
            seconds
        };
        Self(within.saturating_mul(Self::NANOS_PER_SECOND))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(Self::NANOS_PER_SECOND)
    }

    /// The part below a second, in nanoseconds.
    #[must_use]
    pub const fn subsecond_nanos(self) -> i64 {
        self.0.rem_euclid(Self::NANOS_PER_SECOND)
    }
}

/// The flags an IMAP client sees, as the low 16 bits of the stored `system_flags` word
/// (`imap/mailbox.h`, `MsgFlags`). Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SystemFlags(pub u16);

impl SystemFlags {
    /// `\Answered`
    pub const ANSWERED: Self = Self(1);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(1 << 1);
    /// `\Deleted`
    pub const DELETED: Self = Self(1 << 2);
    /// `\Draft`
    pub const DRAFT: Self = Self(1 << 3);
    /// `\Seen` of the mailbox's owner
    pub const SEEN: Self = Self(1 << 4);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the server notes about a record, as the high 16 bits of the stored `system_flags` word
/// (`imap/mailbox.h`, `MsgInternalFlags`). Unknown bits are kept.
///
/// The value is the whole 32-bit word with the low half clear, so that constants read as in Cyrus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InternalFlags(pub u32);

impl InternalFlags {
    /// The message is snoozed.
    pub const SNOOZED: Self = Self(1 << 26);
    /// Its conversation was split for its length.
    pub const SPLIT_CONVERSATION: Self = Self(1 << 27);
    /// One of two copies (spool, archive) awaits deletion. Never written by this toolkit.
    pub const NEEDS_CLEANUP: Self = Self(1 << 28);
    /// The message file lies in the archive partition.
    pub const ARCHIVED: Self = Self(1 << 29);
    /// The message file may be deleted at any time: a delete order for `cyr_expire`.
    pub const UNLINKED: Self = Self(1 << 30);
    /// The message was expunged: a tombstone.
    pub const EXPUNGED: Self = Self(1 << 31);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags but those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Which of the mailbox's up to 128 keywords a message carries: bit `n` of word `n / 32` stands for
/// the name in slot `n` of `cyrus.header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UserFlags(pub [u32; 4]);

impl UserFlags {
    /// How many keywords a mailbox can have (`MAX_USER_FLAGS`).
    pub const SLOTS: usize = 128;

    /// Whether the keyword in `slot` is set; a slot beyond the last is never set.
    #[must_use]
    pub fn contains(&self, slot: usize) -> bool {
        self.0.get(slot / 32).is_some_and(|word| word >> (slot % 32) & 1 == 1)
    }

    /// The slots that are set, ascending.
    pub fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        (0..Self::SLOTS).filter(|&slot| self.contains(slot))
    }

    /// The flags with these slots set; a slot beyond the last is passed over.
    #[must_use]
    pub fn of_slots(slots: impl IntoIterator<Item = usize>) -> Self {
        let mut words = [0_u32; 4];
        for slot in slots {
            if let Some(word) = words.get_mut(slot / 32) {
                *word |= 1 << (slot % 32);
            }
        }
        Self(words)
    }

    /// The slots set here or in `other`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_prints_and_parses_as_forty_hex_digits() {
        let guid = Guid::of(b"abc");
        assert_eq!(guid.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(guid.to_string().parse(), Ok(guid));
        assert_eq!("a9993e".parse::<Guid>(), Err(ParseGuidError));
        assert_eq!("zz993e364706816aba3e25717850c26c9cd0d89d".parse::<Guid>(), Err(ParseGuidError));
    }

    #[test]
    fn a_guid_of_pieces_is_that_of_the_whole() {
        let mut hasher = GuidHasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Guid::of(b"abc"));
    }

    #[test]
    fn a_timestamp_splits_into_seconds_and_nanoseconds_before_1970_too() {
        let before = Timestamp(-1);
        assert_eq!((before.seconds(), before.subsecond_nanos()), (-1, 999_999_999));
    }

    /// It was not, and a record of `mailboxes.db` with such a time was written back with another.
    #[test]
    fn a_time_that_does_not_fit_is_whole_seconds_too() {
        for seconds in [i64::MAX, i64::MIN] {
            let time = Timestamp::from_seconds(seconds);
            assert_eq!(time.subsecond_nanos(), 0);
            assert_eq!(Timestamp::from_seconds(time.seconds()), time);
        }
    }

    #[test]
    fn user_flags_list_their_slots_in_order() {
        let flags = UserFlags([1, 0, 0, 1 << 31]);
        assert_eq!(flags.slots().collect::<Vec<_>>(), [0, 127]);
        assert!(!flags.contains(128));
    }
}
