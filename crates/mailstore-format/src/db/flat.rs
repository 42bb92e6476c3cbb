//! The flat database: sorted lines of key, tab, value (`lib/cyrusdb_flat.c`).
//! Byte table: `docs/format/flat.md`.

use std::borrow::Cow;

use super::{DbContents, DbDamage, DbEntry, DbFault, DbKind, Standing, sort_entries};

const ESCAPE: u8 = 0xff;

/// Whether any line looks like an entry.
pub(super) fn has_records(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\n').any(|line| key_and_value(line).is_some())
}

/// A line that Cyrus can have written: a tab between key and value, and no byte that it escapes.
fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.iter().any(|byte| matches!(byte, 0 | b'\r')) {
        return None;
    }
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let (key, value) = line.split_at_checked(tab)?;
    Some((key, value.get(1..)?)).filter(|(key, _)| !key.is_empty())
}

pub(super) fn read(bytes: &[u8]) -> DbContents<'_> {
    let mut entries = Vec::new();
    let mut damage = Vec::new();
    let mut offset = 0_u64;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let (text, standing) = match line.strip_suffix(b"\n") {
            Some(text) => (text, Standing::Live),
            None => (line, Standing::Doubtful),
        };
        let length = line.len() as u64;
        let entry = key_and_value(text);
        if entry.is_none() || standing == Standing::Doubtful {
            damage.push(DbDamage { offset, fault: DbFault::Unreadable { length } });
        }
        if let Some((key, value)) = entry {
            entries.push(DbEntry { key: unescape(key), value: unescape(value), standing });
        }
        offset = offset.saturating_add(length);
    }
    sort_entries(&mut entries);
    DbContents { kind: DbKind::Flat, entries, damage }
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.iter().copied();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            // A lone escape at the end is dropped, as by Cyrus.
            ESCAPE => match bytes.next() {
                Some(ESCAPE) => plain.push(ESCAPE),
                Some(escaped) => plain.push(escaped & 0x7f),
                None => {}
            },
            plain_byte => plain.push(plain_byte),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn lines_become_entries_and_the_value_keeps_its_tabs() {
        let contents = read(b"user.a\t0 default a\tlrs\tb\tlr\t\nuser.b\t\n").expect("two lines");
        let pairs: Vec<_> = contents.entries.iter().map(|e| (&*e.key, &*e.value)).collect();
        assert_eq!(pairs, [(&b"user.a"[..], &b"0 default a\tlrs\tb\tlr\t"[..]), (b"user.b", b"")]);
        assert_eq!(contents.damage, []);
    }

    #[test]
    fn escapes_are_undone() {
        let contents = read(b"a\xff\x89b\tx\xff\x8ay\xff\xffz\xff\x80\n").expect("one line");
        assert_eq!(contents.entries[0].key.as_ref(), b"a\tb");
        assert_eq!(contents.entries[0].value.as_ref(), b"x\ny\xffz\0");
    }

    #[test]
    fn a_cut_last_line_is_doubtful_and_reported() {
        let contents = read(b"a\t1\nb\t2").expect("two lines");
        assert_eq!(contents.entries[1].standing, Standing::Doubtful);
        assert_eq!(contents.damage[0].offset, 4);
    }

    #[test]
    fn a_zeroed_line_is_reported_and_the_others_come_out() {
        let contents = read(b"a\t1\n\0\0\0\0\0\nc\t3\n").expect("two lines");
        assert_eq!(contents.entries.len(), 2);
        assert_eq!(
            contents.damage,
            [DbDamage { offset: 4, fault: DbFault::Unreadable { length: 6 } }]
        );
    }
}
