//! The encodings of Unicode that ICU converts: UTF-16, UTF-32, UTF-7, and UTF-8 and US-ASCII by names
//! that Cyrus does not take for its own.

use super::push_character;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By its byte order mark, else big-endian.
    Utf16,
    Utf16Big,
    Utf16Little,
    Utf32,
    Utf32Big,
    Utf32Little,
    Utf7,
    Utf8,
    Ascii,
}

impl Form {
    /// The form that ICU's converter of this name has.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "UTF-16" | "UTF-16,version=1" | "UTF-16,version=2" => Self::Utf16,
            "UTF-16BE" | "UTF-16BE,version=1" => Self::Utf16Big,
            "UTF-16LE" | "UTF-16LE,version=1" => Self::Utf16Little,
            "UTF-32" => Self::Utf32,
            "UTF-32BE" => Self::Utf32Big,
            "UTF-32LE" => Self::Utf32Little,
            "UTF-7" => Self::Utf7,
            "UTF-8" => Self::Utf8,
            "US-ASCII" => Self::Ascii,
            _ => return None,
        })
    }
}

pub(super) fn decode(form: Form, bytes: &[u8], decoded: &mut Vec<u8>) {
    match form {
        Form::Utf16 => match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes, decoded),
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes, decoded),
            _ => utf16(bytes, u16::from_be_bytes, decoded),
        },
        Form::Utf16Big => utf16(bytes, u16::from_be_bytes, decoded),
        Form::Utf16Little => utf16(bytes, u16::from_le_bytes, decoded),
        Form::Utf32 => match bytes {
            [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes, decoded),
            [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes, decoded),
            _ => utf32(bytes, u32::from_be_bytes, decoded),
        },
        Form::Utf32Big => utf32(bytes, u32::from_be_bytes, decoded),
        Form::Utf32Little => utf32(bytes, u32::from_le_bytes, decoded),
        Form::Utf7 => utf7(bytes, decoded),
        Form::Utf8 => decoded.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
        Form::Ascii => {
            for &byte in bytes {
                let known = byte.is_ascii().then_some(char::from(byte));
                push_character(known.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
            }
        }
    }
}

fn push_units(units: impl Iterator<Item = u16>, decoded: &mut Vec<u8>) {
    for character in char::decode_utf16(units) {
        push_character(character.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
    }
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16, decoded: &mut Vec<u8>) {
    let (units, odd) = bytes.as_chunks::<2>();
    push_units(units.iter().copied().map(&unit), decoded);
    // A high surrogate before the odd byte is one unfinished character with it.
    let unfinished = units.last().is_some_and(|&last| (0xd800..0xdc00).contains(&unit(last)));
    if !odd.is_empty() && !unfinished {
        push_character(char::REPLACEMENT_CHARACTER, decoded);
    }
}

fn utf32(bytes: &[u8], unit: impl Fn([u8; 4]) -> u32, decoded: &mut Vec<u8>) {
    let (units, odd) = bytes.as_chunks::<4>();
    for &bytes in units {
        let character = char::from_u32(unit(bytes));
        push_character(character.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
    }
    if !odd.is_empty() {
        push_character(char::REPLACEMENT_CHARACTER, decoded);
    }
}

fn utf7(mut bytes: &[u8], decoded: &mut Vec<u8>) {
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            b'+' => bytes = utf7_base64(rest, decoded),
            b'~' | b'\\' => push_character(char::REPLACEMENT_CHARACTER, decoded),
            b'\t' | b'\r' | b'\n' | b' '..=b'}' => decoded.push(byte),
            _ => push_character(char::REPLACEMENT_CHARACTER, decoded),
        }
    }
}

/// Decodes what follows a `+`; what is left after it.
fn utf7_base64<'a>(bytes: &'a [u8], decoded: &mut Vec<u8>) -> &'a [u8] {
    let length = bytes
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/'))
        .unwrap_or(bytes.len());
    let (encoded, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    if encoded.is_empty() {
        match rest.strip_prefix(b"-") {
            Some(rest) => {
                decoded.push(b'+');
                return rest;
            }
            None if rest.is_empty() => return rest,
            None => {
                push_character(char::REPLACEMENT_CHARACTER, decoded);
                return rest;
            }
        }
    }
    let mut units = Vec::new();
    let (mut bits, mut length) = (0_u32, 0_u32);
    for &digit in encoded {
        bits = bits << 6 | base64_value(digit);
        length = length.saturating_add(6);
        if let Some(left) = length.checked_sub(16) {
            units.extend(u16::try_from(bits >> left & 0xffff));
            // These are left for the next unit.
            bits &= (1_u32 << left).saturating_sub(1);
            length = left;
        }
    }
    push_units(units.into_iter(), decoded);
    if bits != 0 {
        push_character(char::REPLACEMENT_CHARACTER, decoded);
    }
    rest.strip_prefix(b"-").unwrap_or(rest)
}

/// The bits that a digit of base64 stands for.
fn base64_value(digit: u8) -> u32 {
    let value = match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        _ => 63,
    };
    u32::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: Form, bytes: &[u8]) -> String {
        let mut decoded = Vec::new();
        decode(form, bytes, &mut decoded);
        String::from_utf8(decoded).unwrap()
    }

    #[test]
    fn utf16_goes_by_its_mark() {
        assert_eq!(text(Form::Utf16, b"\xff\xfeA\0"), "A");
        assert_eq!(text(Form::Utf16, b"\0A\xd8\x3d\xdc\xa9"), "A💩");
        assert_eq!(text(Form::Utf16Little, b"A\0B"), "A\u{fffd}");
    }

    #[test]
    fn utf7_is_decoded() {
        assert_eq!(text(Form::Utf7, b"+AOk-a+-b +2D3cqQ-"), "éa+b 💩");
    }

    #[test]
    fn bits_that_make_no_unit_of_utf7_cost_a_replacement_unless_they_are_zero() {
        assert_eq!(text(Form::Utf7, b"+AOk x+AOn-y"), "é xé\u{fffd}y");
        assert_eq!(text(Form::Utf7, b"+AOkB"), "é\u{fffd}");
        assert_eq!(text(Form::Utf7, b"+AOkA"), "é");
        assert_eq!(text(Form::Utf7, b"+AO~x"), "\u{fffd}\u{fffd}x");
    }
}
