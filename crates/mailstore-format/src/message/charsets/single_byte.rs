//! Character sets of one byte a character, as ICU 72 converts them.

/// For each converter, in the order of the list of names, 256 UTF-16 units, big-endian: U+FFFD, or
/// U+001A in sets that have such a character, where a byte means nothing.
const TABLES: &[u8] = include_bytes!("data/single-byte.bin");
const TABLE_LENGTH: usize = 512;

/// The character that `byte` is in the set with this table.
pub(super) fn character(table: usize, byte: u8) -> char {
    let start =
        table.saturating_mul(TABLE_LENGTH).saturating_add(usize::from(byte).saturating_mul(2));
    let unit = TABLES
        .get(start..)
        .and_then(<[u8]>::first_chunk::<2>)
        .map(|unit| u16::from_be_bytes(*unit));
    unit.and_then(|unit| char::from_u32(u32::from(unit))).unwrap_or(char::REPLACEMENT_CHARACTER)
}
