//! Character sets, by the names Cyrus knows them by, to UTF-8 (`lib/charset.c`:
//! `charset_lookupname`, `utf8_2uni`, `table2uni`, `icu2uni`).
//!
//! US-ASCII and UTF-8 are Cyrus's own; all others come from ICU, whose names and tables differ from
//! those of the WHATWG. The tables here are what ICU 72 (Debian 12's) answers; `data/README.md`
//! tells how they were made.
//!
//! Known by name but not decoded, that is U+FFFD for each byte that is not US-ASCII: EBCDIC sets of
//! two bytes, EUC-TW, ISO-2022-CN, ISCII, LMBCS, SCSU, BOCU-1, Compound Text and the modified UTF-7 of
//! mailbox names (`docs/fidelity.md`).

mod double_byte;
mod iso_2022;
mod names;
mod single_byte;
mod unicode;
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
    Latin1,
    /// With the table of this number.
    SingleByte(usize),
    DoubleByte(&'static double_byte::DoubleByte),
    Iso2022(iso_2022::Variant),
    Unicode(unicode::Form),
    NotDecoded,
}

pub(super) const US_ASCII: Charset = Charset { canonical: "us-ascii", coding: Coding::Ascii };
const UTF_8: Charset = Charset { canonical: "utf-8", coding: Coding::Utf8 };

impl Charset {
    /// Two names of one character set have one canonical name.
    pub(super) fn canonical_name(self) -> &'static str {
        self.canonical
    }
}

/// Whether a character set of this name is known.
pub(super) fn is_known(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"utf-8")
        || name.eq_ignore_ascii_case(b"us-ascii")
        || names::cyrus_name(name).is_some()
        || names::icu_converter(name).is_some()
}

/// The character set of this name, if Cyrus knows it.
pub(super) fn lookup(name: &[u8]) -> Option<Charset> {
    let cyrus_name = names::cyrus_name(name);
    match cyrus_name {
        Some("us-ascii") => return Some(US_ASCII),
        Some("utf-8") => return Some(UTF_8),
        _ => {}
    }
    let converter = names::icu_converter(cyrus_name.map_or(name, str::as_bytes))?;
    let coding = match (converter.single_byte, converter.name) {
        (Some(table), _) => Coding::SingleByte(table),
        (None, "ISO-8859-1") => Coding::Latin1,
        (None, name) => iso_2022::Variant::of_name(name)
            .map(Coding::Iso2022)
            .or_else(|| double_byte::table(name).map(Coding::DoubleByte))
            .or_else(|| unicode::Form::of_name(name).map(Coding::Unicode))
            .unwrap_or(Coding::NotDecoded),
    };
    Some(Charset { canonical: cyrus_name.unwrap_or(converter.name), coding })
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
            Coding::Latin1 => {
                for &byte in bytes {
                    push_character(char::from(byte), decoded);
                }
            }
            Coding::SingleByte(table) => {
                for &byte in bytes {
                    push_character(single_byte::character(table, byte), decoded);
                }
            }
            Coding::DoubleByte(table) => table.decode(bytes, decoded),
            Coding::Iso2022(variant) => iso_2022::decode(variant, bytes, decoded),
            Coding::Unicode(form) => unicode::decode(form, bytes, decoded),
            Coding::NotDecoded => {
                for &byte in bytes {
                    let known = byte.is_ascii().then_some(char::from(byte));
                    push_character(known.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
                }
            }
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
