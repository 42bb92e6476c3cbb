//! The digest of a part's decoded content (`imap/message.c`: `body_add_content_guid`;
//! `lib/charset.c`: `charset_decode_sha1`).

use memchr::{memchr, memrchr};
use sha1_pair::{PartDigest, WholeDigest};

use super::transfer_encoding::{Base64, QuotedPrintable};
use crate::Guid;

/// What Cyrus makes of a Content-Transfer-Encoding. The numbers go into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TransferEncoding {
    #[default]
    None,
    QuotedPrintable,
    Base64,
    Unknown,
}

impl TransferEncoding {
    /// `name` in capitals; None where there is no (valid) field (`message_parse_charset`).
    pub(super) fn of_name(name: Option<&[u8]>) -> Self {
        match name {
            None | Some(b"7BIT" | b"8BIT" | b"BINARY") => Self::None,
            Some(b"BASE64") => Self::Base64,
            Some(b"QUOTED-PRINTABLE") => Self::QuotedPrintable,
            Some(_) => Self::Unknown,
        }
    }

    /// As the cache has it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::QuotedPrintable => 1,
            Self::Base64 => 2,
            Self::Unknown => 255,
        }
    }
}

/// Digest and size of a part's content once its transfer encoding is undone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DecodedContent {
    pub(super) guid: Guid,
    pub(super) size: u32,
}

/// How much is decoded before it is hashed: little enough to stay in the processor's cache.
const PIECE: usize = 16 * 1024;

impl DecodedContent {
    /// Of content in two pieces, of which the second is short. Null and 0 where the encoding is
    /// unknown. `scratch` is overwritten. The digest of the whole message, `whole`, goes on meanwhile.
    pub(super) fn of(
        [content, end]: [&[u8]; 2],
        encoding: TransferEncoding,
        scratch: &mut Vec<u8>,
        whole: &mut WholeDigest<'_>,
    ) -> Self {
        let mut digest = PartDigest::default();
        let mut size = 0_usize;
        let mut add = |decoded: &[u8]| {
            digest.update(decoded, whole);
            size = size.saturating_add(decoded.len());
        };
        match encoding {
            TransferEncoding::None => [content, end].into_iter().for_each(add),
            TransferEncoding::Unknown => return Self::default(),
            TransferEncoding::Base64 => {
                let mut decoder = Base64::default();
                for piece in content.chunks(PIECE).chain(end.chunks(PIECE)) {
                    scratch.clear();
                    decoder.decode(piece, scratch);
                    add(scratch);
                }
            }
            TransferEncoding::QuotedPrintable => {
                // A line is decoded as a whole: the last one with what comes after it.
                let (lines, line) = if end.is_empty() {
                    (content, &[][..])
                } else {
                    split_before_last_line(content)
                };
                let last = if end.is_empty() { Vec::new() } else { [line, end].concat() };
                for mut rest in [lines, &last] {
                    while !rest.is_empty() {
                        let (piece, after) = split_after_line(rest);
                        rest = after;
                        scratch.clear();
                        QuotedPrintable::Body.decode(piece, scratch);
                        add(scratch);
                    }
                }
            }
        }
        Self { guid: Guid(digest.finish(whole)), size: super::structure::wrap(size) }
    }
}

/// Whole lines of about [`PIECE`] bytes, or all, and what comes after.
fn split_after_line(text: &[u8]) -> (&[u8], &[u8]) {
    let window = text.get(..PIECE).unwrap_or(text);
    let in_window = memrchr(b'\n', window).filter(|_| window.len() < text.len());
    let line_end =
        in_window.or_else(|| memchr(b'\n', text.get(window.len()..)?)?.checked_add(window.len()));
    let length = line_end.map_or(text.len(), |line_end| line_end.saturating_add(1));
    text.split_at_checked(length).unwrap_or((text, &[]))
}

/// Whole lines, and a last one without an end.
fn split_before_last_line(text: &[u8]) -> (&[u8], &[u8]) {
    let length = memrchr(b'\n', text).map_or(0, |line_end| line_end.saturating_add(1));
    text.split_at_checked(length).unwrap_or((text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(content: [&[u8]; 2], encoding: TransferEncoding) -> DecodedContent {
        let mut whole = WholeDigest::new(content[0]);
        DecodedContent::of(content, encoding, &mut Vec::new(), &mut whole)
    }

    #[test]
    fn content_in_two_pieces_has_the_digest_of_the_whole() {
        let encodings =
            [TransferEncoding::None, TransferEncoding::Base64, TransferEncoding::QuotedPrintable];
        for content in ["", "one", "one\r\n", "one\ntw=6", "YWJj\nZGV", "a \nb ", "a\nb=", "\r"] {
            for end in ["", "\0", "\0\0\0\0\0", "F\r\nG", "\n"] {
                let whole = [content, end].concat();
                let [content, end, whole] = [content, end, &whole].map(str::as_bytes);
                for encoding in encodings {
                    let in_two = decoded([content, end], encoding);
                    let in_one = decoded([whole, b""], encoding);
                    assert_eq!((in_two.guid, in_two.size), (in_one.guid, in_one.size), "{whole:?}");
                }
            }
        }
    }

    #[test]
    fn content_in_many_pieces_has_the_digest_of_the_whole() {
        for line in ["=41=\r\n", "abc =20\r\n", "YWJj\r\nZA"] {
            let content = line.repeat(9000);
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let mut whole = Vec::new();
                match encoding {
                    TransferEncoding::Base64 => {
                        Base64::default().decode(content.as_bytes(), &mut whole);
                    }
                    _ => QuotedPrintable::Body.decode(content.as_bytes(), &mut whole),
                }
                let decoded = decoded([content.as_bytes(), b""], encoding);
                assert_eq!(decoded.guid, Guid::of(&whole));
                assert_eq!(decoded.size as usize, whole.len());
            }
        }
    }

    #[test]
    fn an_unknown_encoding_has_no_digest() {
        let decoded = decoded([b"x", b""], TransferEncoding::Unknown);
        assert!(decoded.guid.is_null());
        assert_eq!(decoded.size, 0);
    }
}
