//! Entries of a user's seen database.

use mailstore_format::seen::SeenEntry;

/// The value read, and the same written as Cyrus writes it.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(entry) = SeenEntry::decode(bytes) else { return };
    let SeenEntry { lastread, lastuid, lastchange, seenuids } = &entry;
    let mut written =
        format!("1 {} {lastuid} {} ", lastread.seconds(), lastchange.seconds()).into_bytes();
    written.extend(seenuids);
    assert_eq!(SeenEntry::decode(&written).as_ref(), Ok(&entry));
    assert!(memchr::memmem::find(bytes, seenuids).is_some(), "a sequence was invented");
}
