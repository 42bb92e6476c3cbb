//! What a message's own bytes tell: whether it is one, for whom it was, what its content is.

use std::borrow::Cow;
use std::cell::RefCell;

use mailstore_format::line_ends;
use mailstore_format::message::MessageReader;
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
    let bare = line_ends::bare_lfs(bytes);
    (bare > 0).then(|| line_ends::with_crlf(bytes, bare))
}

/// Fields that servers write on the way of a message, or when they store it.
const TRACE_FIELDS: [&str; 18] = [
    "authentication-results",
    "delivered-to",
    "delivery-date",
    "dkim-signature",
    "domainkey-signature",
    "envelope-to",
    "received",
    "received-spf",
    "return-path",
    "status",
    "x-cyrus-session-id",
    "x-delivered-to",
    "x-envelope-from",
    "x-envelope-to",
    "x-original-to",
    "x-received",
    "x-sieve",
    "x-status",
];
/// What the names of more of them begin with.
const TRACE_PREFIXES: [&str; 4] = ["arc-", "x-ms-exchange-", "x-spam-", "x-virus-"];
/// Fields that say how the content is written down: the content itself is compared.
const FORM_FIELDS: [&str; 5] =
    ["content-length", "content-transfer-encoding", "content-type", "lines", "mime-version"];

thread_local! {
    static READER: RefCell<MessageReader> = RefCell::default();
}

/// What two copies of a message share that came by different ways: its id, the fields of its header
/// that no server on the way writes, and its content with transfer encodings undone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Likeness {
    message_id: Vec<u8>,
    header: Guid,
    content: Guid,
}

impl Likeness {
    /// Of a message that has an id.
    #[must_use]
    pub(crate) fn of(message: &[u8]) -> Option<Self> {
        let message_id = field(message, b"message-id").next().filter(|id| !id.is_empty())?;
        let mut header = GuidHasher::default();
        for (name, value) in fields(message).filter(|(name, _)| is_the_senders(name)) {
            header.update(&name);
            for word in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                header.update(b" ");
                header.update(word);
            }
            header.update(b"\n");
        }
        // Line ends are those of whoever stored the message, and of encodings.
        let message = with_crlf(message).map_or(Cow::Borrowed(message), Cow::Owned);
        let content = READER.with_borrow_mut(|reader| reader.content_digest(&message));
        Some(Self { message_id, header: header.finish(), content })
    }
}

/// Whether a field, its name in lower case, is one that servers leave as it is.
fn is_the_senders(name: &[u8]) -> bool {
    let is = |known: &str| known.as_bytes() == name;
    !TRACE_FIELDS.iter().chain(&FORM_FIELDS).any(|known| is(known))
        && !TRACE_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
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

/// The fields of a header: names in lower case, and values, unfolded, without blanks around.
fn fields(message: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    let header = message.get(..header_end(message).min(LONGEST_HEADER)).unwrap_or_default();
    let mut lines = header.split_inclusive(|&byte| byte == b'\n').peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let mut value = line.to_vec();
            let is_folded = |line: &&[u8]| line.starts_with(b" ") || line.starts_with(b"\t");
            while let Some(more) = lines.next_if(is_folded) {
                value.extend_from_slice(more);
            }
            let Some(colon) = memchr(b':', line) else { continue };
            let mut value = value.split_off(colon.saturating_add(1));
            value.retain(|byte| !matches!(byte, b'\r' | b'\n'));
            let name = line.get(..colon).unwrap_or_default().trim_ascii().to_ascii_lowercase();
            return Some((name, value.trim_ascii().to_vec()));
        }
    })
}

/// The values of the header field of this name (in lower case), unfolded, without blanks around.
pub(crate) fn field<'a>(message: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    fields(message).filter(move |(found, _)| found == name).map(|(_, value)| value)
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
        let encoded =
            b"Message-ID: <1@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8NCg==\r\n";
        assert_eq!(Likeness::of(MESSAGE), Likeness::of(encoded));
        assert_eq!(Likeness::of(b"Subject: no id\r\n\r\n"), None);
    }

    #[test]
    fn a_field_that_no_server_writes_makes_another_message() {
        let with = |field: &str| {
            let text = format!("{field}Message-ID: <1@x>\r\n\r\nHello\r\n");
            Likeness::of(text.as_bytes())
        };
        for trace in ["X-Spam-Score: 1\r\n", "ARC-Seal: i=1\r\n", "Return-Path: <a@x>\r\n"] {
            assert_eq!(with(trace), with(""), "{trace}");
        }
        assert_ne!(with("Subject: another\r\n"), with("Subject: one\r\n"));
        assert_eq!(with("Subject: a\r\n  b\r\n"), with("Subject: a b\r\n"), "folded");
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
