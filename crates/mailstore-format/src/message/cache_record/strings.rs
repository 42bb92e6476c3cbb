//! IMAP strings as the cache holds them (`message_write_nstring_map`): quoted, or a literal where
//! the text is long or holds anything a quoted string of Cyrus's does not.

use std::io::Write;

use crate::message::arena::{Arena, Span};

/// Text of this length or more becomes a literal.
const LITERAL_FROM: usize = 1024;

pub(super) fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NIL");
}

pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    let needs_literal = |&byte: &u8| {
        byte == 0 || byte >= 0x80 || matches!(byte, b'\r' | b'\n' | b'"' | b'%' | b'\\')
    };
    if text.len() >= LITERAL_FROM || text.iter().any(needs_literal) {
        out.push(b'{');
        number(text.len(), out);
        out.extend_from_slice(b"}\r\n");
        out.extend_from_slice(text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
}

pub(super) fn optional(text: Option<Span>, arena: &Arena, out: &mut Vec<u8>) {
    match text {
        None => nil(out),
        Some(text) => string(arena.text(text), out),
    }
}

pub(super) fn number(number: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("writing to a Vec cannot fail");
}

/// What a C string made of `text` holds.
pub(super) fn until_nul(text: &[u8]) -> &[u8] {
    text.get(..memchr::memchr(0, text).unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        string(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_text_is_quoted_and_anything_else_a_literal() {
        assert_eq!(encoded(""), "\"\"");
        assert_eq!(encoded("a b"), "\"a b\"");
        assert_eq!(encoded("100%"), "{4}\r\n100%");
        assert_eq!(encoded("é"), "{2}\r\né");
        assert_eq!(encoded(&"x".repeat(1023)).len(), 1025);
        assert_eq!(encoded(&"x".repeat(1024)).len(), 1024 + 8);
    }
}
