//! What a user's `conversations.db` knows of single messages: its rows by GUID, each with mailbox
//! and UID, and the table of mailboxes they count by. Byte table: `docs/format/conversations.md`.
//!
//! Source: `_guid_cb`, `_guid_one`, `conversations_guid_setitem`, `conversations_open_path` in
//! `imap/conversations.c`.
//!
//! ```
//! use mailstore_format::Uid;
//! use mailstore_format::conversations::{Folders, FoldersBy, GuidRow};
//!
//! let folders = Folders::decode(FoldersBy::Uniqueid, b"(11bt3f - 28dxrv)")?;
//! let key = b"Gcfdc4d8bb92feb1c94abe23b104180e8017c914c:2:7";
//! let mut value = vec![0x82];
//! value.extend([0; 24]);
//! let row = GuidRow::decode(key, &value)?;
//! assert_eq!(folders.mailbox(row.folder), Some(&b"28dxrv"[..]));
//! assert_eq!((row.uid, row.part), (Uid(7), None));
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

mod message_rows;

use crate::db::{DbContents, Standing};
use crate::dlist;
use crate::{DecodeError, Guid, InternalFlags, SystemFlags, ThreadId, Timestamp, Uid};

pub use message_rows::{MessageRow, MessageRows};

/// Hexadecimal digits of a GUID.
const GUID_DIGITS: usize = 40;
/// The flags that a message keeps in its row; keywords are not among them.
const SYSTEM_FLAGS: u32 = 0x1f;
/// From this version on a row has its internal date in nanoseconds.
const NANOSECOND_VERSION: u8 = 4;

/// How the mailboxes of a database are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoldersBy {
    /// By internal name: releases up to 3.4.
    Name,
    /// By unique id.
    Uniqueid,
}

impl FoldersBy {
    /// The key under which the table stands.
    #[must_use]
    pub const fn key(self) -> &'static [u8] {
        match self {
            Self::Name => b"$FOLDER_NAMES",
            Self::Uniqueid => b"$FOLDER_IDS",
        }
    }
}

/// The mailboxes by the number that rows have for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// How they are named.
    pub by: FoldersBy,
    mailboxes: Vec<Option<Vec<u8>>>,
}

impl Folders {
    /// Reads the table. A number whose mailbox is gone stays free until another takes it.
    ///
    /// # Errors
    /// Where the value is no list of names.
    pub fn decode(by: FoldersBy, value: &[u8]) -> Result<Self, DecodeError> {
        let parsed = dlist::parse_whole(value)?;
        let malformed = || {
            let found = value.get(..value.len().min(40)).unwrap_or_default();
            let found = found.escape_ascii().to_string();
            DecodeError::new(0, "folder table", "a list of mailboxes", found)
        };
        let items = parsed.as_list().ok_or_else(malformed)?;
        let mailbox = |item: &dlist::Dlist| match item.as_bytes() {
            Some(b"-") => Ok(None),
            Some(name) => Ok(Some(name.to_vec())),
            None => Err(malformed()),
        };
        Ok(Self { by, mailboxes: items.iter().map(mailbox).collect::<Result<_, _>>()? })
    }

    /// The table of a database: by unique id where it has one, as Cyrus prefers it.
    #[must_use]
    pub fn of(contents: &DbContents<'_>) -> Option<Self> {
        [FoldersBy::Uniqueid, FoldersBy::Name].into_iter().find_map(|by| {
            let entry = contents.get(by.key()).filter(|entry| entry.standing == Standing::Live)?;
            Self::decode(by, &entry.value).ok()
        })
    }

    /// The unique id or name of the mailbox with this number.
    #[must_use]
    pub fn mailbox(&self, number: u32) -> Option<&[u8]> {
        self.mailboxes.get(usize::try_from(number).ok()?)?.as_deref()
    }

    /// The number of a mailbox.
    #[must_use]
    pub fn number(&self, mailbox: &[u8]) -> Option<u32> {
        let at = self.mailboxes.iter().position(|known| known.as_deref() == Some(mailbox))?;
        u32::try_from(at).ok()
    }
}

/// One row: a message, or a MIME part of one, that is in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuidRow {
    /// The SHA-1 of the message, or of the part's decoded content.
    pub guid: Guid,
    /// The number of the mailbox in [`Folders`].
    pub folder: u32,
    /// The message's UID there.
    pub uid: Uid,
    /// Which MIME part this is, as in `1.2`; none for the message itself.
    pub part: Option<Vec<u8>>,
    /// The message's thread; 0 for none or where the row is too old to tell.
    pub cid: ThreadId,
    /// What the row tells of the message's state.
    pub state: Option<RowState>,
}

/// The state of a message as of its last change. Rows of releases before 3.1 tell none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowState {
    /// Its flags, keywords excepted.
    pub system_flags: SystemFlags,
    /// With `EXPUNGED` the row is a tombstone.
    pub internal_flags: InternalFlags,
    /// When it was received; whole seconds before version 4.
    pub internaldate: Timestamp,
}

impl GuidRow {
    /// Whether `key` is that of such a row.
    #[must_use]
    pub fn is_key(key: &[u8]) -> bool {
        key.first() == Some(&b'G') && key.get(1_usize.saturating_add(GUID_DIGITS)) == Some(&b':')
    }

    /// Reads a row.
    ///
    /// # Errors
    /// Where the key is not of the form `G<40 hex>:<folder>:<uid>[<part>]` or the value is shorter
    /// than its version says.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let malformed = || {
            let expected = "G<40 hex>:<folder>:<uid>[<part>]";
            DecodeError::new(0, "key", expected, key.escape_ascii().to_string())
        };
        let (guid, place) = key
            .strip_prefix(b"G")
            .and_then(|rest| rest.split_at_checked(GUID_DIGITS))
            .ok_or_else(malformed)?;
        let guid = std::str::from_utf8(guid).ok().and_then(|digits| digits.parse().ok());
        let mut words = place.splitn(3, |&byte| byte == b':');
        let (Some(b""), Some(folder), Some(message)) = (words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let (uid, part) = match message.iter().position(|&byte| byte == b'[') {
            Some(at) => message.split_at_checked(at).ok_or_else(malformed)?,
            None => (message, &b""[..]),
        };
        let part = match part {
            b"" => None,
            [b'[', part @ .., b']'] if !part.is_empty() => Some(part.to_vec()),
            _ => return Err(malformed()),
        };
        let (cid, state) = decode_value(value)?;
        Ok(Self {
            guid: guid.ok_or_else(malformed)?,
            folder: number(folder).ok_or_else(malformed)?,
            uid: Uid(number(uid).ok_or_else(malformed)?),
            part,
            cid,
            state,
        })
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// Values of the first form are 16 hexadecimal digits or nothing; later ones begin with a version.
fn decode_value(value: &[u8]) -> Result<(ThreadId, Option<RowState>), DecodeError> {
    let truncated = |expected| DecodeError::truncated(0, "row", expected, value.len());
    let Some((&first, rest)) = value.split_first() else { return Ok((ThreadId(0), None)) };
    let version = first & 0x7f;
    if first & 0x80 == 0 || version == 0 {
        let digits = value.get(..16).ok_or_else(|| truncated(16))?;
        let cid = std::str::from_utf8(digits).ok();
        let cid = cid.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(|| {
            DecodeError::new(0, "cid", "16 hexadecimal digits", digits.escape_ascii().to_string())
        })?;
        return Ok((ThreadId(cid), None));
    }
    let (cid, rest) = rest.split_first_chunk().ok_or_else(|| truncated(25))?;
    let (system, rest) = rest.split_first_chunk().ok_or_else(|| truncated(25))?;
    let (internal, rest) = rest.split_first_chunk().ok_or_else(|| truncated(25))?;
    let date = rest.first_chunk().ok_or_else(|| truncated(25))?;
    let system = u32::from_be_bytes(*system) & SYSTEM_FLAGS;
    let state = RowState {
        system_flags: SystemFlags(u16::try_from(system).unwrap_or_default()),
        internal_flags: InternalFlags(u32::from_be_bytes(*internal)),
        internaldate: internaldate(version, u64::from_be_bytes(*date)),
    };
    Ok((ThreadId(u64::from_be_bytes(*cid)), Some(state)))
}

/// The development server writes nanoseconds into rows by name too, whose version means seconds.
fn internaldate(version: u8, date: u64) -> Timestamp {
    /// The year 36812 in seconds, 18 minutes after the epoch in nanoseconds.
    const NO_SECONDS: u64 = 1 << 40;
    let date_is_nanoseconds = version >= NANOSECOND_VERSION || date >= NO_SECONDS;
    let date = i64::try_from(date).unwrap_or_default();
    if date_is_nanoseconds { Timestamp(date) } else { Timestamp::from_seconds(date) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"Gcfdc4d8bb92feb1c94abe23b104180e8017c914c:3:1";

    fn value(version: u8, internal: u32, date: u64) -> Vec<u8> {
        let mut value = vec![0x80 | version];
        value.extend(0x1234_5678_9abc_def0_u64.to_be_bytes());
        value.extend(0x8000_0012_u32.to_be_bytes());
        value.extend(internal.to_be_bytes());
        value.extend(date.to_be_bytes());
        value
    }

    #[test]
    fn a_row_of_version_2_gives_place_thread_flags_and_date() {
        let row = GuidRow::decode(KEY, &value(2, 1 << 31, 1_700_000_000)).unwrap();
        assert_eq!((row.folder, row.uid, &row.part), (3, Uid(1), &None));
        assert_eq!(row.cid, ThreadId(0x1234_5678_9abc_def0));
        let state = row.state.unwrap();
        assert_eq!(state.system_flags, SystemFlags(0x12), "bits that are no flags are left out");
        assert!(state.internal_flags.contains(InternalFlags::EXPUNGED));
        assert_eq!(state.internaldate, Timestamp::from_seconds(1_700_000_000));
    }

    #[test]
    fn dates_are_seconds_up_to_version_3_and_nanoseconds_from_4_on() {
        let date = |version, date| {
            let row = GuidRow::decode(KEY, &value(version, 0, date)).unwrap();
            row.state.unwrap().internaldate
        };
        assert_eq!(date(3, 1_700_000_000), Timestamp::from_seconds(1_700_000_000));
        assert_eq!(date(4, 1_700_000_000_000_000_001), Timestamp(1_700_000_000_000_000_001));
        assert_eq!(date(1, 1_700_000_000_000_000_001), Timestamp(1_700_000_000_000_000_001));
    }

    #[test]
    fn rows_of_the_first_form_tell_the_thread_at_most() {
        let row = GuidRow::decode(KEY, b"00000000000000ab").unwrap();
        assert_eq!((row.cid, row.state), (ThreadId(0xab), None));
        assert_eq!(GuidRow::decode(KEY, b"").unwrap().cid, ThreadId(0));
    }

    #[test]
    fn a_part_is_told_from_the_message() {
        let key = [KEY, b"[1.2]"].concat();
        let row = GuidRow::decode(&key, b"").unwrap();
        assert_eq!(row.part.as_deref(), Some(&b"1.2"[..]));
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        let guid = "c".repeat(40);
        for key in ["", "G", "Gab:1:1", "F12", "$FOLDER_IDS"] {
            assert!(GuidRow::decode(key.as_bytes(), b"").is_err(), "{key}");
        }
        for place in ["", ":", ":1", ":1:", ":-1:1", ":1:+1", ":1:4294967296", ":1:1[", ":1:1[]"] {
            let key = format!("G{guid}{place}");
            assert!(GuidRow::decode(key.as_bytes(), b"").is_err(), "{key}");
        }
        assert!(GuidRow::decode(KEY, &[0x82, 1, 2]).is_err());
        assert!(GuidRow::decode(KEY, b"0000000000000xyz").is_err());
    }

    #[test]
    fn a_mailbox_that_is_gone_leaves_its_number_free() {
        let folders = Folders::decode(FoldersBy::Uniqueid, b"(a - c)").unwrap();
        assert_eq!((folders.mailbox(0), folders.mailbox(1)), (Some(&b"a"[..]), None));
        assert_eq!((folders.number(b"c"), folders.number(b"-")), (Some(2), None));
        assert!(Folders::decode(FoldersBy::Name, b"%(a b)").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_row_is_a_value_or_an_error(place: Vec<u8>, value: Vec<u8>) {
            let key = [&KEY[..41], &place].concat();
            let _ = GuidRow::decode(&key, &value);
            let _ = Folders::decode(FoldersBy::Uniqueid, &value);
        }
    }
}
