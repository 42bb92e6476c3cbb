//! The header of a message or part: where it ends, which of its fields matter, which lines the cache
//! keeps (`imap/message.c`: `message_parse_headers`, `message_parse_string`, `message_parse_header`;
//! `imap/rfc822_header.st`).
//!
//! Where Cyrus departs from RFC 5322: of a repeated field the last counts; text after a NUL is not
//! part of the header; a field's end is looked for from its second byte on, so that a field with a
//! bare line feed right after the colon takes in the next line; lines past the 1000th are counted
//! but not looked at (`maxheaderlines`).

use memchr::{memchr, memchr_iter, memrchr};

use super::arena::{Arena, Span};
use super::cached_headers::is_cached_header;
use super::cursor::is_blank;
use super::date::decode_date;

/// Cyrus's default for `maxheaderlines`.
const MAX_HEADER_LINES: usize = 1000;

/// No field name that matters is longer, nor is one that goes into the cache.
const MAX_NAME: usize = 32;

/// The fields whose value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Bcc,
    Cc,
    ContentDescription,
    ContentDisposition,
    ContentId,
    ContentLanguage,
    ContentLocation,
    ContentMd5,
    ContentTransferEncoding,
    ContentType,
    Date,
    From,
    InReplyTo,
    MessageId,
    ReplyTo,
    Sender,
    Subject,
    To,
}

impl Field {
    const COUNT: usize = 18;

    fn of_name(name: &[u8]) -> Option<Self> {
        let candidates: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"to", Self::To), (b"cc", Self::Cc)],
            3 => &[(b"bcc", Self::Bcc)],
            4 => &[(b"from", Self::From), (b"date", Self::Date)],
            6 => &[(b"sender", Self::Sender)],
            7 => &[(b"subject", Self::Subject)],
            8 => &[(b"reply-to", Self::ReplyTo)],
            10 => &[(b"message-id", Self::MessageId), (b"content-id", Self::ContentId)],
            11 => &[(b"in-reply-to", Self::InReplyTo), (b"content-md5", Self::ContentMd5)],
            12 => &[(b"content-type", Self::ContentType)],
            16 => &[
                (b"content-language", Self::ContentLanguage),
                (b"content-location", Self::ContentLocation),
            ],
            19 => &[
                (b"content-disposition", Self::ContentDisposition),
                (b"content-description", Self::ContentDescription),
            ],
            25 => &[(b"content-transfer-encoding", Self::ContentTransferEncoding)],
            _ => &[],
        };
        let (_, field) = candidates.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
        Some(*field)
    }
}

/// The text of one header, up to its first NUL, and where in it the values of its fields begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderFields<'a> {
    text: &'a [u8],
    /// Line ends in the text.
    pub(super) lines: u32,
    values: [Option<usize>; Field::COUNT],
}

impl<'a> HeaderFields<'a> {
    /// Reads a header. The fields that belong into the cache are appended to `cached`, if given.
    pub(super) fn decode(text: &'a [u8], mut cached: Option<&mut Vec<u8>>) -> Self {
        let mut values = [None; Field::COUNT];
        let mut lines = 0_u32;
        let mut line_start = 0_usize;
        let mut line_ends = memchr_iter(b'\n', text);
        // One more line than the limit: the first stands before any line end.
        for _ in 0..=MAX_HEADER_LINES {
            let line = text.get(line_start..).unwrap_or_default();
            if let Some((name, value)) = field_name(line) {
                if let Some(field) = Field::of_name(name)
                    && let Some(place) = values.get_mut(field as usize)
                {
                    *place = Some(line_start.saturating_add(value));
                }
                if let Some(cached) = cached.as_deref_mut()
                    && !line.first().copied().is_some_and(is_blank)
                    && is_cached_header(name)
                {
                    cached.extend_from_slice(field_extent(line));
                    cached.extend_from_slice(b"\r\n");
                }
            }
            let Some(end) = line_ends.next() else { break };
            lines = lines.wrapping_add(1);
            line_start = end.saturating_add(1);
        }
        lines = line_ends.fold(lines, |lines, _| lines.wrapping_add(1));
        Self { text, lines, values }
    }

    /// A header of which nothing is looked at.
    pub(super) fn unread(lines: u32) -> Self {
        Self { text: &[], lines, values: [None; Field::COUNT] }
    }

    /// The header's text from the value of `field` on, further fields included.
    pub(super) fn text_from(&self, field: Field) -> Option<&'a [u8]> {
        let start = self.values.get(field as usize).copied().flatten()?;
        self.text.get(start..)
    }

    /// The value of `field` with its folds.
    pub(super) fn raw_value(&self, field: Field) -> Option<&'a [u8]> {
        self.text_from(field).map(field_extent)
    }

    /// The value of `field` without leading blanks and folds, in `arena`.
    pub(super) fn unfolded_value(&self, field: Field, arena: &mut Arena) -> Option<Span> {
        let mut text = self.text_from(field)?;
        while let Some((&first, rest)) = text.split_first()
            && is_blank(first)
        {
            text = rest;
        }
        let value = field_extent(text);
        if memchr(b'\n', value).is_none() {
            return Some(arena.store(value));
        }
        let mark = arena.mark();
        for &byte in value {
            if byte != b'\n' {
                arena.push(byte);
            } else if arena.tail(mark).last() == Some(&b'\r') {
                arena.pop();
            }
        }
        Some(arena.since(mark))
    }
}

/// The moment, in seconds since 1970, that the topmost Received field with a date gives: what follows
/// its last `;` (`message_parse_received_date`, which takes the first such field or none).
pub(super) fn newest_received(header: &[u8], scratch: &mut Vec<u8>) -> Option<i64> {
    const NAME: &[u8] = b"received:";
    let line_starts =
        std::iter::once(0).chain(memchr_iter(b'\n', header).map(|end| end.saturating_add(1)));
    for line_start in line_starts.take(MAX_HEADER_LINES) {
        let line = header.get(line_start..).unwrap_or_default();
        if !line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            continue;
        }
        let field = field_extent(line);
        let Some(semicolon) = memrchr(b';', field) else { continue };
        scratch.clear();
        let date = field.get(semicolon.saturating_add(1)..).unwrap_or_default();
        scratch.extend(date.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        if let Some(moment) = decode_date(scratch).moment {
            return Some(moment);
        }
    }
    None
}

/// The field name that begins a line, and where its value begins.
fn field_name(line: &[u8]) -> Option<(&[u8], usize)> {
    let start = line.get(..MAX_NAME).unwrap_or(line);
    let colon = start.iter().position(|byte| matches!(byte, b':' | b'\r' | b'\n'))?;
    let (name, rest) = start.split_at_checked(colon)?;
    (rest.first() == Some(&b':')).then_some((name, colon.saturating_add(1)))
}

/// What of `text` belongs to the field it begins with: up to the first line end that no blank
/// follows, without that line end. A line feed that is the very first byte does not count.
fn field_extent(text: &[u8]) -> &[u8] {
    let mut searched = 1_usize;
    while let Some(distance) = text.get(searched..).and_then(|rest| memchr(b'\n', rest)) {
        let line_end = searched.saturating_add(distance);
        let next = line_end.saturating_add(1);
        if !text.get(next).copied().is_some_and(is_blank) {
            let value = text.get(..line_end).unwrap_or_default();
            return value.strip_suffix(b"\r").unwrap_or(value);
        }
        searched = next;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_ends_where_no_blank_follows_its_line_end() {
        assert_eq!(field_extent(b" a\r\n b\r\nTo: c\r\n"), b" a\r\n b");
        assert_eq!(field_extent(b"\r\nTo: c\r\n"), b"");
        assert_eq!(field_extent(b" no line end"), b" no line end");
        assert_eq!(field_extent(b""), b"");
    }

    #[test]
    fn a_bare_line_feed_after_the_colon_takes_in_the_next_line() {
        let text = b"Subject:\nTo: a\r\n\r\n";
        let fields = HeaderFields::decode(text, None);
        let mut arena = Arena::default();
        let subject = fields.unfolded_value(Field::Subject, &mut arena).unwrap();
        assert_eq!(arena.text(subject), b"To: a");
        assert_eq!(fields.raw_value(Field::To), Some(&b" a"[..]));
    }

    #[test]
    fn the_last_of_repeated_fields_counts() {
        let text = b"subject: one\r\nSUBJECT: \t two\r\n  more\r\n\r\n";
        let fields = HeaderFields::decode(text, None);
        let mut arena = Arena::default();
        let subject = fields.unfolded_value(Field::Subject, &mut arena).unwrap();
        assert_eq!(arena.text(subject), b"two  more");
        assert_eq!(fields.lines, 4);
    }

    #[test]
    fn lines_past_the_thousandth_are_counted_but_not_read() {
        let filler = b"a: b\r\n";
        let mut cached = Vec::new();
        let read = [filler.repeat(1000), b"Subject: s\r\n".to_vec()].concat();
        let fields = HeaderFields::decode(&read, Some(&mut cached));
        assert!(fields.raw_value(Field::Subject).is_some());
        assert_eq!(cached.len(), 6000);
        let unread = [filler.repeat(1001), b"Subject: s\r\n".to_vec()].concat();
        let fields = HeaderFields::decode(&unread, None);
        assert!(fields.raw_value(Field::Subject).is_none());
        assert_eq!(fields.lines, 1002);
    }
}
