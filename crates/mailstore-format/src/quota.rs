//! The value of a quota root in the quota database (`imap/quota_db.c`: `quota_parseval`,
//! `quota_write`). The form is in `docs/format/quota.md`.

use crate::{DecodeError, dlist};

/// Bytes in a unit of a storage limit (`quota_units`).
const STORAGE_UNIT: u64 = 1024;

/// What the mailboxes of a quota root use and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Bytes of messages.
    pub storage: Resource,
    /// Messages.
    pub messages: Resource,
}

/// How much of something is used, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resource {
    /// As the server last reckoned it.
    pub used: u64,
    /// `None`: as much as there is.
    pub limit: Option<u64>,
}

impl Quota {
    /// Reads the value, or the file of one that a `quotalegacy` database has.
    ///
    /// # Errors
    /// Where the bytes are neither form.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let value = value.trim_ascii();
        if value.starts_with(b"%") { Self::of_dlist(value) } else { Self::of_words(value) }
    }

    fn of_dlist(value: &[u8]) -> Result<Self, DecodeError> {
        let map = dlist::parse_whole(value)?;
        let resource = |name: &[u8]| {
            let numbers = map.get(name).and_then(dlist::Dlist::as_list).unwrap_or_default();
            let number = |at: usize| numbers.get(at).and_then(dlist::Dlist::as_u64);
            Resource { used: number(0).unwrap_or(0), limit: number(1) }
        };
        Ok(Self::in_bytes(resource(b"S"), resource(b"M")))
    }

    /// Used and limit, perhaps a number that is of no use any more; then the same of each further
    /// resource behind its name.
    fn of_words(value: &[u8]) -> Result<Self, DecodeError> {
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut words = words.peekable();
        let (mut storage, mut messages) = (Resource::default(), Resource::default());
        let mut other = Resource::default();
        let mut resource = &mut storage;
        loop {
            let used = words.next().and_then(number).and_then(|used| u64::try_from(used).ok());
            let limit = words.next().and_then(number);
            let (Some(used), Some(limit)) = (used, limit) else {
                let found = value.escape_ascii().to_string();
                return Err(DecodeError::new(0, "quota", "what is used, and the limit", found));
            };
            *resource = Resource { used, limit: u64::try_from(limit).ok() };
            words.next_if(|word| number(word).is_some());
            let Some(name) = words.next() else { break };
            resource = if name.eq_ignore_ascii_case(b"M") { &mut messages } else { &mut other };
        }
        Ok(Self::in_bytes(storage, messages))
    }

    fn in_bytes(storage: Resource, messages: Resource) -> Self {
        let limit = storage.limit.map(|limit| limit.saturating_mul(STORAGE_UNIT));
        Self { storage: Resource { limit, ..storage }, messages }
    }
}

fn number(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

impl Resource {
    /// How much more may be used; `None`: as much as there is.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(storage: (u64, Option<u64>), messages: (u64, Option<u64>)) -> Quota {
        let resource = |(used, limit)| Resource { used, limit };
        Quota { storage: resource(storage), messages: resource(messages) }
    }

    #[test]
    fn a_value_of_today_tells_what_is_used_and_the_limits_in_their_units() {
        let value = b"%(S (2048 10) M (3) AS (0) NF (1) MODSEQ 17)\n";
        assert_eq!(Quota::decode(value).unwrap(), quota((2048, Some(10_240)), (3, None)));
        assert_eq!(Quota::decode(b"%(M (3 5))").unwrap(), quota((0, None), (3, Some(5))));
    }

    #[test]
    fn values_of_old_releases_are_words() {
        assert_eq!(Quota::decode(b"2048\n10\n").unwrap(), quota((2048, Some(10_240)), (0, None)));
        assert_eq!(Quota::decode(b"7 -1 M 3 5").unwrap(), quota((7, None), (3, Some(5))));
        assert_eq!(
            Quota::decode(b"7 1 99 AS 3 5 M 1 2").unwrap(),
            quota((7, Some(1024)), (1, Some(2)))
        );
        for wrong in [&b""[..], b"7", b"x y", b"-7 1", b"7 1 M", b"%(S"] {
            assert!(Quota::decode(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn the_room_of_who_is_over_quota_is_none_and_of_who_has_no_limit_unknown() {
        assert_eq!(Resource { used: 7, limit: Some(5) }.room(), Some(0));
        assert_eq!(Resource { used: 5, limit: Some(7) }.room(), Some(2));
        assert_eq!(Resource { used: 5, limit: None }.room(), None);
    }
}
