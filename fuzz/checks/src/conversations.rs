//! Rows of `conversations.db` (a key, a line feed and the value), and its table of mailboxes.

use mailstore_format::conversations::{Folders, FoldersBy, GuidRow};

use crate::record;

/// The bytes as a row, its value also as the table.
pub(crate) fn check(bytes: &[u8]) {
    let (key, value) = record::split(bytes);
    if let Ok(row) = GuidRow::decode(key, value) {
        assert!(GuidRow::is_key(key));
        let digits = key[1..41].to_ascii_lowercase();
        assert_eq!(row.guid.to_string().as_bytes(), digits);
        let part = row.part.as_deref().unwrap_or_default();
        assert!(key[41..].ends_with(&[part, b"]"].concat()) || row.part.is_none());
        let state = row.state.is_some();
        assert_eq!(
            state,
            value.first().is_some_and(|&first| first > 0x80),
            "a version tells a state"
        );
        assert!(!state || value.len() >= 25);
    }
    for by in [FoldersBy::Name, FoldersBy::Uniqueid] {
        let Ok(folders) = Folders::decode(by, value) else { continue };
        let numbers = 0..u32::try_from(value.len()).unwrap_or(u32::MAX);
        let names = numbers.clone().filter_map(|number| Some((number, folders.mailbox(number)?)));
        for (number, name) in names.take(32) {
            assert!(folders.number(name).is_some_and(|first| first <= number));
        }
        assert_eq!(folders.mailbox(numbers.end), None, "each mailbox takes a byte at least");
    }
}
