//! The serialised values of `cyrus.header`, `mailboxes.db` and others.

use mailstore_format::dlist::{self, AtomRule, Dlist};

/// The value that the bytes begin with, written as either release writes it.
pub(crate) fn check(bytes: &[u8]) {
    let Ok((value, used)) = dlist::parse(bytes) else {
        assert!(dlist::parse_whole(bytes).is_err());
        return;
    };
    assert!((1..=bytes.len()).contains(&used));
    assert_eq!(dlist::parse_whole(bytes).is_ok(), used == bytes.len());
    assert_eq!(dlist::parse(&bytes[..used]), Ok((value.clone(), used)));
    for rule in [AtomRule::WithUnitSeparator, AtomRule::WithoutUnitSeparator] {
        let written = dlist::encode_by(&value, rule);
        // A byte that is no atom becomes a literal of seven, and gets a space.
        assert!(written.len() <= 8 * used, "{used} bytes became {}", written.len());
        assert_eq!(dlist::parse_whole(&written).as_ref(), Ok(&value));
    }
    looked_up(&value);
}

fn looked_up(value: &Dlist) {
    for (key, _) in value.as_kv().unwrap_or_default() {
        assert!(value.get(key).is_some());
    }
    if let Some(number) = value.as_u64() {
        assert_eq!(Dlist::number(number).as_u64(), Some(number));
        assert_eq!(value.as_u32(), u32::try_from(number).ok());
        assert!(value.as_hex64().is_none_or(|hex| hex >= number));
    }
}
