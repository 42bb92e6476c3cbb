//! UTF-8 as Cyrus's own decoder takes it (`lib/charset.c`: `utf8_2uni`, `uni2utf8`).
//!
//! It departs from Unicode: overlong three- and four-byte sequences are decoded, and a sequence that
//! breaks off costs one U+FFFD whatever it held.

use super::push_character;

/// A decoder that can be fed in pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    code_point: u32,
    missing: u8,
}

impl Decoder {
    pub(super) fn decode(&mut self, bytes: &[u8], decoded: &mut Vec<u8>) {
        if self.missing == 0 && std::str::from_utf8(bytes).is_ok() {
            decoded.extend_from_slice(bytes);
            return;
        }
        for &byte in bytes {
            self.take(byte, decoded);
        }
    }

    fn take(&mut self, byte: u8, decoded: &mut Vec<u8>) {
        let begins = match byte {
            0x80..=0xbf => {
                self.go_on(byte, decoded);
                return;
            }
            0xf8..=0xff => {
                // Costs the unfinished character too, with one replacement for both.
                *self = Self::default();
                push_character(char::REPLACEMENT_CHARACTER, decoded);
                return;
            }
            0..=0x7f => None,
            0xc0..=0xdf => Some((1, byte & 0x1f)),
            0xe0..=0xef => Some((2, byte & 0x0f)),
            0xf0..=0xf7 => Some((3, byte & 0x07)),
        };
        if self.missing != 0 {
            push_character(char::REPLACEMENT_CHARACTER, decoded);
        }
        *self = Self::default();
        match begins {
            None => decoded.push(byte),
            Some(_) if matches!(byte, 0xc0 | 0xc1 | 0xf5..) => {
                push_character(char::REPLACEMENT_CHARACTER, decoded);
            }
            Some((missing, bits)) => *self = Self { code_point: u32::from(bits), missing },
        }
    }

    fn go_on(&mut self, byte: u8, decoded: &mut Vec<u8>) {
        if self.missing == 0 {
            push_character(char::REPLACEMENT_CHARACTER, decoded);
            return;
        }
        self.code_point = (self.code_point << 6) | u32::from(byte & 0x3f);
        self.missing = self.missing.saturating_sub(1);
        if self.missing == 0 {
            let character = char::from_u32(self.code_point);
            push_character(character.unwrap_or(char::REPLACEMENT_CHARACTER), decoded);
            self.code_point = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let mut text = Vec::new();
        for piece in pieces {
            decoder.decode(piece, &mut text);
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        assert_eq!(decode(&[b"\xe2\x82", b"\xac!"]), "€!");
        assert_eq!(decode(&[b"\xe2\x82"]), "");
    }

    #[test]
    fn a_broken_sequence_costs_one_replacement() {
        assert_eq!(decode(&[b"\xc2AB"]), "\u{fffd}AB");
        assert_eq!(decode(&[b"\xe2\x82\xc3\xa9"]), "\u{fffd}é");
        assert_eq!(decode(&[b"\x80\xff"]), "\u{fffd}\u{fffd}");
        assert_eq!(decode(&[b"\xe2\xff"]), "\u{fffd}");
        assert_eq!(decode(&[b"\xe2\xc0"]), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn overlong_sequences_are_taken_but_surrogates_are_not() {
        assert_eq!(decode(&[b"\xe0\x81\x81"]), "A");
        assert_eq!(decode(&[b"\xed\xa0\x80"]), "\u{fffd}");
    }
}
