//! Character sets, by the names Cyrus knows them by, to UTF-8 (`lib/charset.c`:
//! `charset_lookupname`, `utf8_2uni`, `table2uni`, `icu2uni`).
//!
//! US-ASCII and UTF-8 are Cyrus's own; all others come from ICU, whose names and tables differ from
//! those of the WHATWG.

mod utf8;

/// A known character set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charset {
    canonical: &'static str,
    coding: Coding,
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Ascii,
    Utf8,
}

pub(super) const US_ASCII: Charset = Charset { canonical: "us-ascii", coding: Coding::Ascii };
const UTF_8: Charset = Charset { canonical: "utf-8", coding: Coding::Utf8 };

impl Charset {
    /// Two names of one character set have one canonical name.
    pub(super) fn canonical_name(self) -> &'static str {
        self.canonical
    }
}

/// The character set of this name, if Cyrus knows it.
pub(super) fn lookup(name: &[u8]) -> Option<Charset> {
    if name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"utf8") {
        return Some(UTF_8);
    }
    if name.eq_ignore_ascii_case(b"us-ascii") {
        return Some(US_ASCII);
    }
    None
}

/// A converter to UTF-8. A character may be split between two pieces only in UTF-8.
#[derive(Debug)]
pub(super) struct ToUtf8 {
    charset: Charset,
    utf8: utf8::Decoder,
}

impl ToUtf8 {
    pub(super) fn new(charset: Charset) -> Self {
        Self { charset, utf8: utf8::Decoder::default() }
    }

    pub(super) fn decode(&mut self, bytes: &[u8], decoded: &mut Vec<u8>) {
        match self.charset.coding {
            Coding::Ascii => decode_ascii(bytes, decoded),
            Coding::Utf8 => self.utf8.decode(bytes, decoded),
        }
    }

    /// Writes one U+FFFD in place of what could not be decoded, and of a character left unfinished.
    pub(super) fn replacement(&mut self, decoded: &mut Vec<u8>) {
        self.utf8 = utf8::Decoder::default();
        push_character(char::REPLACEMENT_CHARACTER, decoded);
    }
}

fn push_character(character: char, decoded: &mut Vec<u8>) {
    decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Cyrus's table has no entry for NUL, and U+FFFD for 8-bit bytes.
fn decode_ascii(bytes: &[u8], decoded: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            0 => {}
            1..=0x7f => decoded.push(byte),
            _ => push_character(char::REPLACEMENT_CHARACTER, decoded),
        }
    }
}
