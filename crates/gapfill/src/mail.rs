//! What a message's own bytes tell: whether it is one, for whom it was, what its content is.

use mailstore_format::{Guid, GuidHasher};
use memchr::memchr;

/// So many bytes of a header are looked at.
const LONGEST_HEADER: usize = 1 << 20;
/// A block of a disk that was never written reads as so many NULs, or more.
const NUL_BLOCK: usize = 512;

/// Whether the bytes begin as a message does: with a header field, or a `From ` line and one; and
/// are not largely a hole. Cyrus stores no NUL in a message at all.
#[must_use]
pub(crate) fn looks_like_mail(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let line = if first.starts_with(b"From ") { lines.next().unwrap_or_default() } else { first };
    let name = line.iter().take_while(|byte| byte.is_ascii_graphic() && **byte != b':').count();
    name > 0 && line.get(name) == Some(&b':') && !has_hole(bytes)
}

/// Whether a block of the disk is missing in it.
#[must_use]
pub(crate) fn has_hole(bytes: &[u8]) -> bool {
    let Some(first) = memchr(0, bytes) else { return false };
    let mut run = 0_usize;
    for &byte in bytes.get(first..).unwrap_or_default() {
        run = if byte == 0 { run.saturating_add(1) } else { 0 };
        if run >= NUL_BLOCK {
            return true;
        }
    }
    // A short file that is all NULs to its end was cut by the crash.
    run > 0 && run.saturating_add(first) == bytes.len()
}

/// Whether `remains` is what a crash left of `whole`: its front, holes and all.
#[must_use]
pub(crate) fn is_remains_of(remains: &[u8], whole: &[u8]) -> bool {
    if remains.len() > whole.len() || remains == whole {
        return false;
    }
    let agree = |(left, there): (&u8, &u8)| left == there || *left == 0;
    remains.iter().zip(whole).all(agree)
}

/// The bytes with every bare LF made CRLF, as Cyrus stores messages; `None` where there is none.
#[must_use]
pub(crate) fn with_crlf(bytes: &[u8]) -> Option<Vec<u8>> {
    let bare = |at: usize| at == 0 || bytes.get(at.wrapping_sub(1)) != Some(&b'\r');
    let ends: Vec<_> = memchr::memchr_iter(b'\n', bytes).filter(|&at| bare(at)).collect();
    if ends.is_empty() {
        return None;
    }
    let mut converted = Vec::with_capacity(bytes.len().saturating_add(ends.len()));
    let mut from = 0;
    for at in ends {
        converted.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        converted.push(b'\r');
        from = at;
    }
    converted.extend_from_slice(bytes.get(from..).unwrap_or_default());
    Some(converted)
}

/// What two copies of a message share that came over different ways: its id, and the SHA-1 of what
/// follows its header, line ends apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Likeness {
    message_id: Vec<u8>,
    body: Guid,
}

impl Likeness {
    /// Of a message that has an id.
    #[must_use]
    pub(crate) fn of(message: &[u8]) -> Option<Self> {
        let message_id = field(message, b"message-id").next()?;
        if message_id.is_empty() {
            return None;
        }
        let body = message.get(header_end(message)..).unwrap_or_default();
        let mut hasher = GuidHasher::default();
        for line in body.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\r\n") {
                Some(text) => {
                    hasher.update(text);
                    hasher.update(b"\n");
                }
                None => hasher.update(line),
            }
        }
        Some(Self { message_id, body: hasher.finish() })
    }
}

/// Where the header ends: behind its empty line.
fn header_end(message: &[u8]) -> usize {
    let mut at = 0_usize;
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        at = at.saturating_add(line.len());
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
    }
    at
}

/// The values of the header field of this name (in lower case), unfolded, without blanks around.
pub(crate) fn field<'a>(message: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let header = message.get(..header_end(message).min(LONGEST_HEADER)).unwrap_or_default();
    let lines: Vec<&[u8]> = header.split_inclusive(|&byte| byte == b'\n').collect();
    let of_name = move |line: &[u8]| {
        let (found, rest) = line.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name).then_some(rest)?.strip_prefix(b":").map(<[u8]>::to_vec)
    };
    (0..lines.len()).filter_map(move |at| {
        let mut value = of_name(lines.get(at)?)?;
        let folded = lines.iter().skip(at.saturating_add(1));
        let folded = folded.take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
        folded.for_each(|line| value.extend_from_slice(line));
        value.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        Some(value.trim_ascii().to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"Delivered-To: alice@example.org\r\nMessage-ID:\r\n <1@x>\r\n\r\nHello\r\n";

    #[test]
    fn fields_are_found_in_any_case_and_unfolded() {
        let values = |name: &'static [u8]| field(MESSAGE, name).collect::<Vec<_>>();
        assert_eq!(values(b"message-id"), [b"<1@x>".to_vec()]);
        assert_eq!(values(b"delivered-to"), [b"alice@example.org".to_vec()]);
        assert_eq!(values(b"hello"), Vec::<Vec<u8>>::new(), "the body is no header");
    }

    #[test]
    fn copies_are_alike_whatever_their_trace_fields_and_line_ends_are() {
        let other = b"Received: by y\nMessage-Id: <1@x>\n\nHello\n";
        assert_eq!(Likeness::of(MESSAGE), Likeness::of(other));
        assert!(Likeness::of(MESSAGE).is_some());
        assert_ne!(Likeness::of(MESSAGE), Likeness::of(b"Message-ID: <1@x>\r\n\r\nHallo\r\n"));
        assert_eq!(Likeness::of(b"Subject: no id\r\n\r\n"), None);
    }

    #[test]
    fn holes_and_other_files_are_no_mail() {
        assert!(looks_like_mail(MESSAGE));
        assert!(looks_like_mail(b"From alice Sat\nSubject: x\n\n"));
        assert!(!looks_like_mail(b"#!/bin/sh\n"));
        assert!(!looks_like_mail(b""));
        let mut hole = MESSAGE.to_vec();
        hole.extend([0; NUL_BLOCK]);
        hole.extend(b"end");
        assert!(!looks_like_mail(&hole));
        assert!(has_hole(b"Subject: x\r\n\0\0"), "cut, and padded to its old size");
        assert!(!has_hole(b"Subject: x\r\n\r\n\0 in the middle"));
    }

    #[test]
    fn what_a_crash_leaves_of_a_message_is_told_from_another_message() {
        assert!(is_remains_of(&MESSAGE[..20], MESSAGE));
        assert!(is_remains_of(b"", MESSAGE));
        let mut hole = MESSAGE.to_vec();
        hole[10..30].fill(0);
        assert!(is_remains_of(&hole, MESSAGE));
        assert!(!is_remains_of(MESSAGE, MESSAGE));
        assert!(!is_remains_of(b"Delivered-To: bob", MESSAGE));
    }

    #[test]
    fn bare_line_feeds_become_line_ends() {
        assert_eq!(with_crlf(b"a\nb\r\n\nc").unwrap(), b"a\r\nb\r\n\r\nc");
        assert_eq!(with_crlf(b"a\r\n"), None);
    }
}
