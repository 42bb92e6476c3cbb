//! Annotations: the entries of the global `annotations.db` and of the `cyrus.annotations` beside a
//! mailbox's messages (`imap/annotate.c`). Byte table: `docs/format/annotations.md`.

use crate::{DecodeError, ModSeq, Uid};

/// Stands for the owner of the mailbox in a key (`OWNER_USERID_TOKEN`).
const OWNER: &[u8] = b"[.OwNeR.]";
/// `ANNOTATE_FLAG_DELETED`
const DELETED: u8 = 1;

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The mailbox, as the key of the global database has it: its unique id since 3.6, its internal
    /// name before; empty for the server. In a `cyrus.annotations` it is always empty.
    pub mailbox: Vec<u8>,
    /// The message, or 0 for the mailbox itself.
    pub uid: Uid,
    /// What it is called, as in `/comment`.
    pub entry: Vec<u8>,
    /// Whose it is.
    pub user: AnnotationUser,
    /// What it says; empty in a tombstone.
    pub value: Vec<u8>,
    /// The modseq of its last change; 0 in records of releases before 3.0.
    pub modseq: ModSeq,
    /// Flags as stored; unknown bits are kept.
    pub flags: u8,
}

/// Who sees an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotationUser {
    /// Everybody: `value.shared`.
    Shared,
    /// The owner of the mailbox.
    Owner,
    /// Another user, or any in databases that are older than the word for the owner.
    Private(Vec<u8>),
}

impl Annotation {
    /// Whether this is what is left of a deleted annotation.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Reads an entry of the global `annotations.db`: annotations of mailboxes and of the server.
    ///
    /// # Errors
    /// Where key or value do not have their parts.
    pub fn decode_global(key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let (mailbox, rest) = split_at_nul(key, "mailbox")?;
        Self::decode(mailbox.to_vec(), Uid(0), rest, value)
    }

    /// Reads an entry of a mailbox's `cyrus.annotations`: annotations of its messages.
    ///
    /// # Errors
    /// As [`Annotation::decode_global`], and where the key does not begin with a UID.
    pub fn decode_of_message(key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let (digits, rest) = split_at_nul(key, "uid")?;
        let text = digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok());
        let uid = text.flatten().and_then(|text| text.parse().ok());
        let uid = uid.ok_or_else(|| {
            DecodeError::new(0, "uid", "digits", digits.escape_ascii().to_string())
        })?;
        Self::decode(Vec::new(), Uid(uid), rest, value)
    }

    fn decode(mailbox: Vec<u8>, uid: Uid, rest: &[u8], data: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = rest.split(|&byte| byte == 0);
        let entry = parts.next().unwrap_or_default().to_vec();
        let user = match parts.next().unwrap_or_default() {
            b"" => AnnotationUser::Shared,
            OWNER => AnnotationUser::Owner,
            userid => AnnotationUser::Private(userid.to_vec()),
        };
        let attributes = LENGTHS.into_iter().find_map(|length| Attributes::read(data, length));
        let Attributes { value, modseq, flags } = attributes.ok_or_else(|| {
            let found = data.get(..data.len().min(40)).unwrap_or_default();
            let expected = "a length and so many bytes";
            DecodeError::new(0, "annotation value", expected, found.escape_ascii().to_string())
        })?;
        let value = if flags & DELETED == 0 { value.to_vec() } else { Vec::new() };
        Ok(Self { mailbox, uid, entry, user, value, modseq: ModSeq(modseq), flags })
    }
}

fn split_at_nul<'a>(
    key: &'a [u8],
    field: &'static str,
) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    let end = key.iter().position(|&byte| byte == 0);
    let parts = end.and_then(|end| Some((key.get(..end)?, key.get(end.checked_add(1)?..)?)));
    parts
        .ok_or_else(|| DecodeError::new(0, field, "a NUL after it", key.escape_ascii().to_string()))
}

/// How a machine stores the length: Cyrus puts it as 32 bits, big-endian, into a C `long`.
#[derive(Clone, Copy)]
struct LengthField {
    before: usize,
    after: usize,
}

/// 64 bits little-endian, 64 bits big-endian, 32 bits: in the order of likelihood.
const LENGTHS: [LengthField; 3] = [
    LengthField { before: 0, after: 4 },
    LengthField { before: 4, after: 0 },
    LengthField { before: 0, after: 0 },
];

struct Attributes<'a> {
    value: &'a [u8],
    modseq: u64,
    flags: u8,
}

impl<'a> Attributes<'a> {
    /// Reads `data` (`split_attribs`) if it fits the way the length is stored: only one does.
    fn read(data: &'a [u8], field: LengthField) -> Option<Self> {
        let (before, rest) = data.split_at_checked(field.before)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (after, rest) = rest.split_at_checked(field.after)?;
        if before.iter().chain(after).any(|&byte| byte != 0) {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        let rest = rest.strip_prefix(b"\0")?;
        if rest.is_empty() {
            return Some(Self { value, modseq: 0, flags: 0 });
        }
        // A content type and a time that nothing reads any more.
        let type_end = rest.iter().position(|&byte| byte == 0)?.checked_add(1)?;
        let time = field.before.checked_add(4)?.checked_add(field.after)?;
        let rest = rest.get(type_end..)?.get(time..)?;
        if rest.is_empty() {
            return Some(Self { value, modseq: 0, flags: 0 });
        }
        let (modseq, rest) = rest.split_first_chunk()?;
        let modseq = u64::from_be_bytes(*modseq);
        match rest {
            [] => Some(Self { value, modseq, flags: 0 }),
            [flags] => Some(Self { value, modseq, flags: *flags }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTE: &[u8] =
        b"\0\0\0\x0e\0\0\0\0a private note\0text/plain\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0{\0";

    #[test]
    fn an_annotation_of_a_message_names_uid_entry_and_user() {
        let annotation =
            Annotation::decode_of_message(b"4\0/comment\0[.OwNeR.]\0", NOTE).expect("Cyrus's own");
        assert_eq!((annotation.uid, annotation.modseq), (Uid(4), ModSeq(123)));
        assert_eq!(annotation.entry, b"/comment");
        assert_eq!(annotation.user, AnnotationUser::Owner);
        assert_eq!(annotation.value, b"a private note");
    }

    #[test]
    fn an_annotation_of_a_mailbox_names_the_mailbox() {
        let key = b"7k0o64p86cy3ynqw5gb8ypnx\0/specialuse\0frank\0";
        let annotation = Annotation::decode_global(key, NOTE).expect("Cyrus's own");
        assert_eq!(annotation.mailbox, b"7k0o64p86cy3ynqw5gb8ypnx");
        assert_eq!(annotation.user, AnnotationUser::Private(b"frank".to_vec()));
        let server = Annotation::decode_global(b"\0/motd\0\0", NOTE).expect("of the server");
        assert_eq!((server.mailbox, server.user), (Vec::new(), AnnotationUser::Shared));
    }

    #[test]
    fn a_tombstone_is_deleted_and_has_no_value() {
        let data = b"\0\0\0\0\0\0\0\0\0text/plain\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\x01";
        let annotation =
            Annotation::decode_of_message(b"4\0/comment\0\0", data).expect("Cyrus's own");
        assert!(annotation.is_deleted());
        assert_eq!((annotation.modseq, annotation.value), (ModSeq(9), Vec::new()));
    }

    #[test]
    fn older_records_and_those_of_other_machines_are_read() {
        for (data, modseq) in [
            (&b"\0\0\0\x02\0\0\0\0hi\0text/plain\0\0\0\0\0\0\0\0\0"[..], 0),
            (b"\0\0\0\0\0\0\0\x02hi\0text/plain\0\0\0\0\0\0\0\0\0", 0),
            (b"\0\0\0\x02hi\0text/plain\0\0\0\0\0", 0),
            (b"\0\0\0\x02hi\0text/plain\0\0\0\0\0\0\0\0\0\0\0\0\x05\0", 5),
            (b"\0\0\0\x02hi\0", 0),
        ] {
            let annotation = Annotation::decode_of_message(b"4\0/comment\0\0", data);
            let annotation = annotation.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((&annotation.value[..], annotation.modseq.0), (&b"hi"[..], modseq));
        }
    }

    #[test]
    fn a_value_cut_anywhere_is_never_misread() {
        for cut in 0..NOTE.len() {
            let result = Annotation::decode_of_message(b"4\0/comment\0\0", &NOTE[..cut]);
            assert!(result.is_err() || result.is_ok_and(|found| found.value == b"a private note"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_annotation_or_an_error(key: Vec<u8>, value: Vec<u8>) {
            let found = Annotation::decode_global(&key, &value);
            prop_assert!(found.is_err() || value.len() > 4);
            prop_assert!(Annotation::decode_of_message(&value, &key).is_err() || key.len() > 4);
        }
    }
}
