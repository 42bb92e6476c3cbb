//! What a user has seen of mailboxes that are not the user's own, and with index versions up to 10
//! of the user's own too: the entries of the user's seen database, keyed by the mailbox's unique id
//! (`imap/seen_db.c`). The form is in `docs/format/counters.md`.

use crate::{DecodeError, Timestamp, Uid};

/// What one user has seen of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEntry {
    /// When the user last selected the mailbox; whole seconds.
    pub lastread: Timestamp,
    /// The highest UID there was then: a lower bound of the mailbox's last UID. 0 for none.
    pub lastuid: Uid,
    /// When this last changed; whole seconds.
    pub lastchange: Timestamp,
    /// The UIDs that are seen, as an IMAP sequence set such as `1:12,14`; may be empty.
    pub seenuids: Vec<u8>,
}

impl SeenEntry {
    /// Reads the value of an entry (`parse_data`).
    ///
    /// # Errors
    /// Where the version is not 1 or a number is missing. The sequence set is not checked.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut words = value.splitn(5, |&byte| byte == b' ');
        let mut number = |field| {
            let word = words.next().unwrap_or_default();
            let parsed = std::str::from_utf8(word).ok().and_then(|digits| digits.parse().ok());
            parsed.ok_or_else(|| {
                DecodeError::new(0, field, "a number", word.escape_ascii().to_string())
            })
        };
        let version: i64 = number("version")?;
        if version != 1 {
            return Err(DecodeError::new(0, "version", "1", version.to_string()));
        }
        let lastread = Timestamp::from_seconds(number("lastread")?);
        let lastuid = number("lastuid")?;
        let lastuid = u32::try_from(lastuid)
            .map_err(|_| DecodeError::new(0, "lastuid", "a UID", lastuid.to_string()))?;
        let lastchange = Timestamp::from_seconds(number("lastchange")?);
        let seenuids = words.next().unwrap_or_default().trim_ascii().to_vec();
        Ok(Self { lastread, lastuid: Uid(lastuid), lastchange, seenuids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_gives_last_uid_and_sequence() {
        let entry = SeenEntry::decode(b"1 1795236000 41 1795236001 1:12").expect("an entry");
        assert_eq!((entry.lastuid, entry.lastread.seconds()), (Uid(41), 1_795_236_000));
        assert_eq!(entry.seenuids, b"1:12");
        assert_eq!(SeenEntry::decode(b"1 0 0 0 ").map(|entry| entry.seenuids), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        for value in [&b""[..], b"2 0 0 0 1", b"1 0", b"1 0 -1 0 1", b"1 0 4294967296 0 1", b"x"] {
            assert!(SeenEntry::decode(value).is_err(), "{}", value.escape_ascii());
        }
    }
}
