//! ISO-2022-JP, ISO-2022-KR and HZ, which switch between sets by escapes, and GB 2312 alone, as ICU 72
//! converts them
//! (`ucnv2022.cpp`, `ucnvhz.cpp`).
//!
//! A set that is switched to and left again with nothing in it costs one U+FFFD, where ICU takes
//! that for an attempt to hide something: in ISO-2022-JP (not in its extensions), in the shifts of
//! ISO-2022-KR and in HZ.

use super::double_byte::{self, DoubleByte};
use super::{push_character, single_byte};

const ESCAPE: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;
const GB_2312: &str = "ibm-5478_P100-1995";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// ISO-2022-JP (0), -JP-1 (1), -JP-2 (2), JIS7 (3) with shifts to Katakana and JIS8 (4) with
    /// Katakana in eight bits.
    Japanese(u8),
    /// ISO-2022-KR (0), and one of ICU's (1) that takes empty shifts and leaves a backslash one.
    Korean(u8),
    Hz,
    /// GB 2312 alone, in seven bits and without escapes.
    Gb2312,
}

impl Variant {
    /// The variant that ICU's converter of this name is.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "ISO_2022,locale=ja,version=0" => Self::Japanese(0),
            "ISO_2022,locale=ja,version=1" => Self::Japanese(1),
            "ISO_2022,locale=ja,version=2" => Self::Japanese(2),
            "ISO_2022,locale=ja,version=3" => Self::Japanese(3),
            "ISO_2022,locale=ja,version=4" => Self::Japanese(4),
            "ISO_2022,locale=ko,version=0" => Self::Korean(0),
            "ISO_2022,locale=ko,version=1" => Self::Korean(1),
            "HZ" => Self::Hz,
            GB_2312 => Self::Gb2312,
            _ => return None,
        })
    }
}

pub(super) fn decode(variant: Variant, bytes: &[u8], decoded: &mut Vec<u8>) {
    match variant {
        Variant::Japanese(version) => Japanese {
            version,
            set: Set::Ascii,
            is_shifted: false,
            single_shift: None,
            segment_is_empty: false,
            decoded,
        }
        .decode(bytes),
        Variant::Korean(version) => decode_korean(version, bytes, decoded),
        Variant::Hz => decode_hz(bytes, decoded),
        Variant::Gb2312 => decode_gb2312(bytes, decoded),
    }
}

fn push_replacement(decoded: &mut Vec<u8>) {
    push_character(char::REPLACEMENT_CHARACTER, decoded);
}

fn push_ascii(byte: u8, decoded: &mut Vec<u8>) {
    if byte.is_ascii() {
        decoded.push(byte);
    } else {
        push_replacement(decoded);
    }
}

/// A character of JIS X 0201's Katakana half, in seven bits.
fn push_katakana(byte: u8, decoded: &mut Vec<u8>) {
    let in_set = (0x21..=0x5f).contains(&byte);
    let katakana = in_set.then(|| char::from_u32(u32::from(byte).saturating_add(0xff40))).flatten();
    push_character(katakana.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
}

/// Decodes a character of a 94 × 94 set that begins with `lead`; what is left after it. Of an
/// ill-formed pair the second byte is left where it could begin something, by `begins`.
fn decode_pair<'a>(
    lead: u8,
    rest: &'a [u8],
    begins: impl Fn(u8) -> bool,
    character: impl Fn(u8, u8) -> Option<char>,
    decoded: &mut Vec<u8>,
) -> &'a [u8] {
    let in_set = |byte: u8| (0x21..=0x7e).contains(&byte);
    let Some((&trail, after)) = rest.split_first() else {
        push_replacement(decoded);
        return rest;
    };
    if in_set(lead) && in_set(trail) {
        push_character(character(lead, trail).unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
        return after;
    }
    push_replacement(decoded);
    if in_set(trail) || begins(trail) { rest } else { after }
}

fn is_control(byte: u8) -> bool {
    matches!(byte, ESCAPE | SHIFT_OUT | SHIFT_IN)
}

/// A character of `table` whose two bytes have their high bits set there.
fn high_pair(table: Option<&DoubleByte>, lead: u8, trail: u8) -> Option<char> {
    table?.character(lead | 0x80, trail | 0x80)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Ascii,
    /// JIS X 0201, Roman half.
    Roman,
    /// JIS X 0201, Katakana half, in seven bits.
    Katakana,
    JisX0208,
    JisX0212,
    Gb2312,
    KsX1001,
}

impl Set {
    fn is_single_byte(self) -> bool {
        matches!(self, Self::Ascii | Self::Roman | Self::Katakana)
    }

    fn character(self, lead: u8, trail: u8) -> Option<char> {
        match self {
            // ICU goes by way of Shift-JIS.
            Self::JisX0208 => {
                let row = lead.checked_sub(0x21)?;
                let high = (row >> 1).checked_add(if row < 62 { 0x81 } else { 0xc1 })?;
                let low = match row & 1 {
                    0 => trail.checked_add(if trail < 0x60 { 0x1f } else { 0x20 })?,
                    _ => trail.checked_add(0x7e)?,
                };
                double_byte::table("ibm-943_P15A-2003")?.character(high, low)
            }
            // EUC-JP has another tilde, and a row of IBM's.
            Self::JisX0212 => match (lead, trail) {
                (0x22, 0x37) => Some('~'),
                (0x73, _) => None,
                _ => high_pair(double_byte::table("euc-jp-2007/8f"), lead, trail),
            },
            Self::Gb2312 => high_pair(double_byte::table(GB_2312), lead, trail),
            Self::KsX1001 => high_pair(double_byte::table("windows-949-2000"), lead, trail),
            Self::Ascii | Self::Roman | Self::Katakana => None,
        }
    }
}

/// What an escape sequence does.
#[derive(Debug, Clone, Copy)]
enum Escape {
    Designate(Set),
    /// What `ESC N` takes its characters from, a converter of ICU's.
    DesignateSingleShift(&'static str),
    SingleShift,
    NotSupported,
}

/// After the escape byte: the sequence, from which version of ISO-2022-JP on it is supported, what it
/// does.
const ESCAPES: &[(&[u8], u8, Escape)] = &[
    (b"(B", 0, Escape::Designate(Set::Ascii)),
    (b"(J", 0, Escape::Designate(Set::Roman)),
    (b"(H", 0, Escape::Designate(Set::Roman)),
    (b"(I", 0, Escape::Designate(Set::Katakana)),
    (b"$@", 0, Escape::Designate(Set::JisX0208)),
    (b"$B", 0, Escape::Designate(Set::JisX0208)),
    (b"&@", 0, Escape::Designate(Set::JisX0208)),
    (b"$(D", 1, Escape::Designate(Set::JisX0212)),
    (b"$A", 2, Escape::Designate(Set::Gb2312)),
    (b"$(C", 2, Escape::Designate(Set::KsX1001)),
    (b".A", 2, Escape::DesignateSingleShift("iso-8859-1")),
    (b".F", 2, Escape::DesignateSingleShift("iso-8859-7")),
    (b"N", 0, Escape::SingleShift),
    (b"O", 0, Escape::NotSupported),
    (b"%B", 0, Escape::NotSupported),
    (b"(@", 0, Escape::NotSupported),
    (b"(A", 0, Escape::NotSupported),
    (b"(C", 0, Escape::NotSupported),
    (b"(D", 0, Escape::NotSupported),
    (b"(E", 0, Escape::NotSupported),
    (b"(F", 0, Escape::NotSupported),
    (b"(G", 0, Escape::NotSupported),
    (b"(K", 0, Escape::NotSupported),
    (b"(R", 0, Escape::NotSupported),
    (b"$(@", 0, Escape::NotSupported),
    (b"$(A", 0, Escape::NotSupported),
    (b"$(B", 0, Escape::NotSupported),
    (b"$(E", 0, Escape::NotSupported),
    (b"$(G", 0, Escape::NotSupported),
    (b"$(H", 0, Escape::NotSupported),
    (b"$(I", 0, Escape::NotSupported),
    (b"$(J", 0, Escape::NotSupported),
    (b"$(K", 0, Escape::NotSupported),
    (b"$(L", 0, Escape::NotSupported),
    (b"$(M", 0, Escape::NotSupported),
    (b"$)A", 0, Escape::NotSupported),
    (b"$)C", 0, Escape::NotSupported),
    (b"$)E", 0, Escape::NotSupported),
    (b"$)G", 0, Escape::NotSupported),
    (b"$*H", 0, Escape::NotSupported),
    (b"$+I", 0, Escape::NotSupported),
    (b"$+J", 0, Escape::NotSupported),
    (b"$+K", 0, Escape::NotSupported),
    (b"$+L", 0, Escape::NotSupported),
    (b"$+M", 0, Escape::NotSupported),
    (b"%/@", 0, Escape::NotSupported),
    (b"%/A", 0, Escape::NotSupported),
    (b"%/C", 0, Escape::NotSupported),
    (b"%/D", 0, Escape::NotSupported),
    (b"%/E", 0, Escape::NotSupported),
    (b"%/F", 0, Escape::NotSupported),
];

struct Japanese<'a> {
    version: u8,
    set: Set,
    /// In JIS7, whether Katakana take the place of the set.
    is_shifted: bool,
    single_shift: Option<&'static str>,
    segment_is_empty: bool,
    decoded: &'a mut Vec<u8>,
}

impl Japanese<'_> {
    fn decode(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if byte == ESCAPE {
                bytes = self.escape(rest);
                continue;
            }
            self.segment_is_empty = false;
            bytes = rest;
            match byte {
                SHIFT_IN | SHIFT_OUT if self.version == 3 => self.is_shifted = byte == SHIFT_OUT,
                SHIFT_IN | SHIFT_OUT => push_replacement(self.decoded),
                b'\r' | b'\n' => {
                    if self.set != Set::Roman {
                        self.set = Set::Ascii;
                    }
                    self.is_shifted = false;
                    self.single_shift = None;
                    self.decoded.push(byte);
                }
                _ if self.is_shifted => push_katakana(byte, self.decoded),
                0xa1..=0xdf if self.version == 4 && self.set.is_single_byte() => {
                    push_katakana(byte & 0x7f, self.decoded);
                }
                _ => match self.set {
                    Set::Ascii => push_ascii(byte, self.decoded),
                    Set::Roman => match byte {
                        b'\\' => push_character('¥', self.decoded),
                        b'~' => push_character('‾', self.decoded),
                        _ => push_ascii(byte, self.decoded),
                    },
                    Set::Katakana => push_katakana(byte, self.decoded),
                    set => {
                        let character = |lead, trail| set.character(lead, trail);
                        bytes = decode_pair(byte, rest, is_control, character, self.decoded);
                    }
                },
            }
        }
    }

    /// Acts on what follows an escape byte; what is left after it.
    fn escape<'a>(&mut self, after: &'a [u8]) -> &'a [u8] {
        let Some((sequence, since, escape)) =
            ESCAPES.iter().find(|(sequence, ..)| after.starts_with(sequence))
        else {
            self.segment_is_empty = false;
            push_replacement(self.decoded);
            let unfinished = ESCAPES.iter().any(|(sequence, ..)| sequence.starts_with(after));
            return if unfinished { &[] } else { after };
        };
        let rest = after.get(sequence.len()..).unwrap_or_default();
        match *escape {
            Escape::Designate(set) if self.version >= *since => self.set = set,
            Escape::DesignateSingleShift(set) if self.version >= *since => {
                self.single_shift = Some(set);
            }
            Escape::SingleShift if self.single_shift.is_some() => {
                let Some((&byte, rest)) = rest.split_first() else {
                    push_replacement(self.decoded);
                    return rest;
                };
                self.segment_is_empty = false;
                let character = match self.single_shift {
                    Some("iso-8859-7") => super::names::icu_converter(b"iso-8859-7")
                        .and_then(|converter| converter.single_byte)
                        .map(|table| single_byte::character(table, byte | 0x80)),
                    _ => Some(char::from(byte | 0x80)),
                };
                push_character(character.unwrap_or(char::REPLACEMENT_CHARACTER), self.decoded);
                return rest;
            }
            Escape::SingleShift => {
                self.segment_is_empty = false;
                push_replacement(self.decoded);
                return after;
            }
            _ => {
                self.segment_is_empty = false;
                push_replacement(self.decoded);
                return rest;
            }
        }
        // Of three in a row only the second is told.
        self.segment_is_empty = !(self.version == 0 && self.segment_is_empty);
        if !self.segment_is_empty {
            push_replacement(self.decoded);
        }
        rest
    }
}

fn decode_korean(version: u8, mut bytes: &[u8], decoded: &mut Vec<u8>) {
    let table = double_byte::table("ibm-949_P110-1999");
    let mut shifted = false;
    let mut segment_is_empty = false;
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            SHIFT_OUT => {
                shifted = true;
                segment_is_empty = true;
            }
            SHIFT_IN => {
                shifted = false;
                if std::mem::take(&mut segment_is_empty) && version == 0 {
                    push_replacement(decoded);
                }
            }
            ESCAPE => {
                segment_is_empty = false;
                if let Some(rest) = rest.strip_prefix(b"$)C") {
                    bytes = rest;
                } else {
                    push_replacement(decoded);
                    let known = ESCAPES.iter().find(|(known, ..)| rest.starts_with(known));
                    bytes = known.and_then(|(known, ..)| rest.get(known.len()..)).unwrap_or(rest);
                }
            }
            _ => {
                segment_is_empty = false;
                if shifted {
                    let character = |lead, trail| high_pair(table, lead, trail);
                    bytes = decode_pair(byte, rest, is_control, character, decoded);
                } else if version > 0 {
                    push_ascii(byte, decoded);
                } else if byte.is_ascii() {
                    // By the table of the two-byte set, where a backslash is a won sign.
                    let character = table.and_then(|table| table.single_character(byte));
                    push_character(character.unwrap_or(char::from(byte)), decoded);
                } else {
                    push_replacement(decoded);
                }
            }
        }
    }
}

fn decode_gb2312(mut bytes: &[u8], decoded: &mut Vec<u8>) {
    while let Some((&byte, rest)) = bytes.split_first() {
        let character = |lead, trail| Set::Gb2312.character(lead, trail);
        bytes = decode_pair(byte, rest, |_| false, character, decoded);
    }
}

fn decode_hz(mut bytes: &[u8], decoded: &mut Vec<u8>) {
    let mut chinese = false;
    let mut segment_is_empty = false;
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        if byte == b'~' {
            let Some((&next, after)) = rest.split_first() else { break };
            bytes = after;
            match next {
                b'{' | b'}' => {
                    chinese = next == b'{';
                    if segment_is_empty {
                        push_replacement(decoded);
                        segment_is_empty = false;
                    } else {
                        segment_is_empty = true;
                    }
                }
                b'~' => {
                    segment_is_empty = false;
                    decoded.push(b'~');
                }
                b'\n' => {}
                _ => {
                    segment_is_empty = false;
                    push_replacement(decoded);
                    if (0x21..=0x7e).contains(&next) {
                        bytes = rest;
                    }
                }
            }
            continue;
        }
        segment_is_empty = false;
        if !chinese {
            push_ascii(byte, decoded);
        } else if rest.is_empty() {
            break;
        } else {
            let table = double_byte::table("windows-936-2000");
            let character = |lead, trail| high_pair(table, lead, trail);
            bytes = decode_pair(byte, rest, |_| false, character, decoded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(variant: Variant, bytes: &[u8]) -> String {
        let mut decoded = Vec::new();
        decode(variant, bytes, &mut decoded);
        String::from_utf8(decoded).unwrap()
    }

    #[test]
    fn japanese_switches_sets_by_escapes() {
        let jp = Variant::Japanese(0);
        assert_eq!(text(jp, b"\x1b$BF|\x1b(BA\x1b(J\\~\x1b(I1"), "日A¥‾ｱ");
        assert_eq!(text(jp, b"\x1b$BF|\nA"), "日\nA");
        assert_eq!(text(jp, b"\x1b$(D0!"), "\u{fffd}0!");
        assert_eq!(text(Variant::Japanese(1), b"\x1b$(D0!\"7s2"), "丂~\u{fffd}");
        assert_eq!(text(Variant::Japanese(2), b"\x1b.A\x1bNi"), "é");
    }

    #[test]
    fn japanese_malformed_text_costs_replacements() {
        let jp = Variant::Japanese(0);
        assert_eq!(text(jp, b"\x1b$BF"), "\u{fffd}");
        assert_eq!(text(jp, b"\x1b$B!\x7fA\x1b(BB"), "\u{fffd}\u{fffd}B");
        assert_eq!(text(jp, b"\x1b$B F|"), "\u{fffd}日");
        assert_eq!(text(jp, b"\x1b$"), "\u{fffd}");
        assert_eq!(text(jp, b"\x1bZa"), "\u{fffd}Za");
        assert_eq!(text(jp, b"\x1b$BF|\x1b(B\x1b$BF|"), "日\u{fffd}日");
        assert_eq!(text(Variant::Japanese(1), b"\x1b$BF|\x1b(B\x1b$BF|"), "日日");
        assert_eq!(text(jp, b"\x1b(J\x1b(J\x1b$BF|"), "\u{fffd}日");
    }

    #[test]
    fn korean_shifts() {
        assert_eq!(text(Variant::Korean(0), b"\x1b$)C\x0eGQ1[\x0fA"), "한글A");
        assert_eq!(text(Variant::Korean(0), b"\x0eGQ\nGQ"), "한\u{fffd}한");
        assert_eq!(text(Variant::Korean(0), b"\x0e\x0fA"), "\u{fffd}A");
        assert_eq!(text(Variant::Korean(1), b"\x0e\x0fA\\"), "A\\");
    }

    #[test]
    fn jis7_shifts_to_katakana_and_jis8_has_them_in_eight_bits() {
        let (jis7, jis8) = (Variant::Japanese(3), Variant::Japanese(4));
        assert_eq!(text(jis7, b"\x1b$B\x0e1\x0f$\""), "ｱあ");
        assert_eq!(text(jis7, b"\x0e1\n1\xb1"), "ｱ\n1\u{fffd}");
        assert_eq!(text(jis8, b"\xb11\xa0\x1b$B$\"\xb1$\""), "ｱ1\u{fffd}あ\u{fffd}あ");
        assert_eq!(text(jis8, b"\x0e1"), "\u{fffd}1");
    }

    #[test]
    fn hz_switches_by_tildes() {
        assert_eq!(text(Variant::Hz, b"~{<:Ky2;~}A~~"), "己所不A~");
        assert_eq!(text(Variant::Hz, b"a~bc~\nd"), "a\u{fffd}bcd");
        assert_eq!(text(Variant::Hz, b"~{<"), "");
    }
}
