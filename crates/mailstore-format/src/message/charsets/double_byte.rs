//! East Asian character sets of one and two bytes a character (three and four in EUC-JP and GB
//! 18030), and GSM 03.38, as ICU 72 converts them (`ucnvmbcs.cpp`).
//!
//! What means nothing becomes one U+FFFD, or U+001A if it is one byte of a set that has such a
//! substitute: a sequence that is well formed but not assigned, whole; of an ill-formed one its
//! bytes up to the first that can begin a character; a sequence that the text ends in, whole.
//!
//! The data is a list of tables, each after its length in four bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 1, n | name of the converter |
//! | 2 | what a lone byte without meaning becomes |
//! | 512 | for each byte the character it is, or 0xFFFF where it leads a sequence |
//! | 32 | a bit for each byte: in an ill-formed or unassigned pair, does it belong to the pair? |
//! | 1 | the table whose pairs this one shares, or 0xFF |
//! | 1, then 3 + 2 × (last - first + 1) each | rows: lead, first and last trail, characters; 0xFFFF none, 0xFFFE the pair is ill-formed at its second byte |
//! | 2, then 3 + n each | pairs that are not in rows, or differ from the shared table: lead, trail, UTF-8 (empty: none) |
//!
//! All numbers are big-endian.

use std::collections::HashMap;
use std::sync::LazyLock;

const DATA: &[u8] = include_bytes!("data/double-byte.bin");
/// Where a run of four-byte sequences begins, and the character it begins with; 0xFFFF none.
const GB18030_RANGES: &[u8] = include_bytes!("data/gb18030-ranges.bin");

const LEAD: u16 = 0xffff;
const NOT_ASSIGNED: u16 = 0xffff;
const ILL_FORMED: u16 = 0xfffe;

#[derive(Debug, Clone, Copy)]
struct Row {
    first: u8,
    characters: &'static [u8],
}

/// What two bytes are.
enum Pair<'a> {
    Character(char),
    Text(&'a str),
    NotAssigned,
    IllFormed,
}

#[derive(Debug)]
pub(super) struct DoubleByte {
    name: &'static str,
    bad_byte: char,
    singles: &'static [u8],
    trails: &'static [u8],
    shares: Option<usize>,
    rows: Vec<Option<Row>>,
    exceptions: HashMap<(u8, u8), &'static str>,
}

static TABLES: LazyLock<Vec<DoubleByte>> = LazyLock::new(|| {
    let mut tables = Vec::new();
    let mut data = DATA;
    while let Some(table) = take_table(&mut data) {
        tables.push(table);
    }
    tables
});

/// The table of the converter of this name.
pub(super) fn table(name: &str) -> Option<&'static DoubleByte> {
    TABLES.iter().find(|table| table.name == name)
}

fn take(data: &mut &'static [u8], length: usize) -> Option<&'static [u8]> {
    let (taken, rest) = data.split_at_checked(length)?;
    *data = rest;
    Some(taken)
}

fn take_number(data: &mut &'static [u8], length: usize) -> Option<usize> {
    take(data, length)?
        .iter()
        .try_fold(0_usize, |number, &byte| number.checked_mul(256)?.checked_add(usize::from(byte)))
}

fn take_table(data: &mut &'static [u8]) -> Option<DoubleByte> {
    let length = take_number(data, 4)?;
    let mut data = take(data, length)?;
    let data = &mut data;
    let name_length = take_number(data, 1)?;
    let name = std::str::from_utf8(take(data, name_length)?).ok()?;
    let bad_byte = char::from_u32(u32::try_from(take_number(data, 2)?).ok()?)?;
    let singles = take(data, 512)?;
    let trails = take(data, 32)?;
    let shares = Some(take_number(data, 1)?).filter(|&index| index != 0xff);
    let mut rows = vec![None; 256];
    for _ in 0..take_number(data, 1)? {
        let [lead, first, last] = *take(data, 3)?.first_chunk()?;
        let length = usize::from(last.checked_sub(first)?).checked_add(1)?.checked_mul(2)?;
        *rows.get_mut(usize::from(lead))? = Some(Row { first, characters: take(data, length)? });
    }
    let mut exceptions = HashMap::new();
    for _ in 0..take_number(data, 2)? {
        let [lead, trail, length] = *take(data, 3)?.first_chunk()?;
        let text = std::str::from_utf8(take(data, usize::from(length))?).ok()?;
        exceptions.insert((lead, trail), text);
    }
    Some(DoubleByte { name, bad_byte, singles, trails, shares, rows, exceptions })
}

fn unit_at(units: &[u8], index: usize) -> Option<u16> {
    let unit = units.get(index.checked_mul(2)?..)?.first_chunk()?;
    Some(u16::from_be_bytes(*unit))
}

fn push(character: char, decoded: &mut Vec<u8>) {
    super::push_character(character, decoded);
}

impl DoubleByte {
    fn single(&self, byte: u8) -> u16 {
        unit_at(self.singles, usize::from(byte)).unwrap_or(NOT_ASSIGNED)
    }

    /// The character that one byte is, if it leads no pair.
    pub(super) fn single_character(&self, byte: u8) -> Option<char> {
        char::from_u32(u32::from(self.single(byte))).filter(|_| self.single(byte) != LEAD)
    }

    /// Whether `byte` belongs to a pair even where the pair means nothing.
    fn is_trail(&self, byte: u8) -> bool {
        self.trails.get(usize::from(byte >> 3)).is_some_and(|bits| bits >> (byte & 7) & 1 == 1)
    }

    fn pair(&self, lead: u8, trail: u8) -> Pair<'_> {
        let nothing = if self.is_trail(trail) { Pair::NotAssigned } else { Pair::IllFormed };
        match self.exceptions.get(&(lead, trail)) {
            Some(&"") => return nothing,
            Some(text) => return Pair::Text(text),
            None => {}
        }
        let shared = self.shares.and_then(|index| TABLES.get(index));
        let rows = &shared.unwrap_or(self).rows;
        let unit =
            rows.get(usize::from(lead)).copied().flatten().and_then(|row| {
                unit_at(row.characters, usize::from(trail.checked_sub(row.first)?))
            });
        match unit {
            None | Some(NOT_ASSIGNED) => nothing,
            Some(ILL_FORMED) => Pair::IllFormed,
            Some(unit) => char::from_u32(u32::from(unit)).map_or(nothing, Pair::Character),
        }
    }

    /// The character that the pair is, for sets that have the same characters in another coding.
    pub(super) fn character(&self, lead: u8, trail: u8) -> Option<char> {
        match self.pair(lead, trail) {
            Pair::Character(character) => Some(character),
            _ => None,
        }
    }

    pub(super) fn decode(&self, mut bytes: &[u8], decoded: &mut Vec<u8>) {
        let four_bytes = self.name == "gb18030";
        let third_plane = TABLES.iter().find(|of| of.name.strip_suffix("/8f") == Some(self.name));
        while let Some((&lead, rest)) = bytes.split_first() {
            bytes = rest;
            let single = self.single(lead);
            if single != LEAD {
                push(char::from_u32(u32::from(single)).unwrap_or(self.bad_byte), decoded);
                continue;
            }
            let Some((&trail, after)) = rest.split_first() else {
                push(self.bad_byte, decoded);
                break;
            };
            if four_bytes && trail.is_ascii_digit() {
                bytes = decode_four(lead, trail, after, rest, decoded);
                continue;
            }
            if lead == 0x8f
                && let Some(plane) = third_plane
            {
                bytes = self.decode_three(plane, rest, decoded);
                continue;
            }
            match self.pair(lead, trail) {
                Pair::Character(character) => push(character, decoded),
                Pair::Text(text) => decoded.extend_from_slice(text.as_bytes()),
                Pair::NotAssigned => push(char::REPLACEMENT_CHARACTER, decoded),
                Pair::IllFormed => {
                    push(self.bad_byte, decoded);
                    continue;
                }
            }
            bytes = after;
        }
    }

    /// Decodes the two bytes after 0x8F in EUC-JP and its kin; what is left after what was used.
    fn decode_three<'a>(&self, plane: &Self, rest: &'a [u8], decoded: &mut Vec<u8>) -> &'a [u8] {
        let in_plane = |byte: u8| (0xa1..=0xfe).contains(&byte);
        match *rest {
            [second, third, ref after @ ..] if in_plane(second) && in_plane(third) => {
                let character = plane.character(second, third);
                push(character.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
                after
            }
            // Cut short, or a pair that means nothing.
            [second] if in_plane(second) => {
                push(char::REPLACEMENT_CHARACTER, decoded);
                &[]
            }
            [0xa0 | 0xff, ref after @ ..] => {
                push(char::REPLACEMENT_CHARACTER, decoded);
                after
            }
            _ => {
                push(self.bad_byte, decoded);
                rest
            }
        }
    }
}

/// Decodes a four-byte sequence of GB 18030, whose bytes after the first are `rest`, and after the
/// second `after`; what is left after it.
fn decode_four<'a>(
    lead: u8,
    second: u8,
    after: &'a [u8],
    rest: &'a [u8],
    decoded: &mut Vec<u8>,
) -> &'a [u8] {
    let is_third = |byte: u8| (0x81..=0xfe).contains(&byte);
    match *after {
        [third, fourth, ref left @ ..] if is_third(third) && fourth.is_ascii_digit() => {
            let character = four_byte_character([lead, second, third, fourth]);
            push(character.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
            left
        }
        [] => {
            push(char::REPLACEMENT_CHARACTER, decoded);
            &[]
        }
        [third] if is_third(third) => {
            push(char::REPLACEMENT_CHARACTER, decoded);
            &[]
        }
        _ => {
            push(char::REPLACEMENT_CHARACTER, decoded);
            rest
        }
    }
}

/// The number of the sequence 0x90308130, where the characters beyond U+FFFF begin.
const SUPPLEMENTARY: u32 = 189_000;

fn four_byte_character([first, second, third, fourth]: [u8; 4]) -> Option<char> {
    let digit = |byte: u8, zero: u8| u32::from(byte).checked_sub(u32::from(zero));
    let place = digit(first, 0x81)?
        .checked_mul(10)?
        .checked_add(digit(second, 0x30)?)?
        .checked_mul(126)?
        .checked_add(digit(third, 0x81)?)?
        .checked_mul(10)?
        .checked_add(digit(fourth, 0x30)?)?;
    if let Some(beyond) = place.checked_sub(SUPPLEMENTARY) {
        return char::from_u32(beyond.checked_add(0x1_0000)?);
    }
    let mut found = None;
    for range in GB18030_RANGES.chunks_exact(4) {
        let start = u32::from(unit_at(range, 0)?);
        if start > place {
            break;
        }
        found = Some((start, unit_at(range, 1)?));
    }
    let (start, character) = found.filter(|&(_, character)| character != NOT_ASSIGNED)?;
    let code = u32::from(character).checked_add(place.checked_sub(start)?)?;
    (code <= 0xffff).then(|| char::from_u32(code)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(name: &str, bytes: &[u8]) -> String {
        let mut decoded = Vec::new();
        table(name).unwrap().decode(bytes, &mut decoded);
        String::from_utf8(decoded).unwrap()
    }

    #[test]
    fn all_tables_are_read() {
        let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), 28, "{names:?}");
    }

    #[test]
    fn characters_of_each_set_are_known() {
        assert_eq!(decode("windows-936-2000", b"\xc4\xe3\xba\xc3!"), "你好!");
        assert_eq!(decode("windows-950-2000", b"\xa7\x41\xa6\x6e"), "你好");
        assert_eq!(decode("ibm-943_P15A-2003", b"\x93\xfa\x96\x7b\xb1"), "日本ｱ");
        assert_eq!(decode("euc-jp-2007", b"\xc6\xfc\x8e\xb1\x8f\xb0\xa1"), "日ｱ丂");
        assert_eq!(decode("ibm-970_P110_P110-2006_U2", b"\xc7\xd1\xb1\xdb"), "한글");
        assert_eq!(
            decode("gb18030", b"\x81\x30\x81\x30\x94\x39\xda\x33\x81\x30\x86\x30"),
            "\u{80}💩¸"
        );
    }

    #[test]
    fn what_follows_8f_in_euc_jp_is_three_bytes_or_left() {
        assert_eq!(decode("euc-jp-2007", b"\x8f\xa1\xa0"), "\u{1a}\u{fffd}");
        assert_eq!(decode("euc-jp-2007", b"\x8f\xa1A"), "\u{1a}\u{1a}A");
        assert_eq!(decode("euc-jp-2007", b"\x8f\xa0A"), "\u{fffd}A");
        assert_eq!(decode("euc-jp-2007", b"\x8f\xa1"), "\u{fffd}");
        assert_eq!(decode("euc-jp-2007", b"\x8f"), "\u{1a}");
        assert_eq!(decode("ibm-954_P101-2007", b"\x8f\xb0\xa1"), "丂");
    }

    #[test]
    fn gsm_03_38_extends_its_characters_by_an_escape() {
        assert_eq!(decode("gsm-03.38-2009", b"\x1be\0\x1bA\x1b"), "€@ A ");
    }

    #[test]
    fn ill_formed_pairs_leave_their_second_byte() {
        assert_eq!(decode("windows-936-2000", b"\xc4\x0aA"), "\u{fffd}\nA");
        assert_eq!(decode("ibm-943_P15A-2003", b"\x93"), "\u{1a}");
        assert_eq!(decode("gb18030", b"\x81\x30\x81A"), "\u{fffd}0丄");
        assert_eq!(decode("gb18030", b"\x81\x30\x81"), "\u{fffd}");
    }
}
