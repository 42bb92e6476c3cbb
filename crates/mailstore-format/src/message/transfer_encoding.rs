//! Base64 and quoted-printable as Cyrus undoes them (`lib/charset.c`: `b64_2byte`, `qp2byte`,
//! `qp_flushline`), in a body and inside an encoded word.
//!
//! Where Cyrus departs from RFC 2045: characters outside of the base64 alphabet are passed over; `=`
//! drops what is left of a group and decoding goes on after it; quoted-printable drops every carriage
//! return, and takes trailing blanks off a line (or off each 999 bytes of a longer one).

use memchr::{memchr, memchr2};

/// What stands in [`BASE64_VALUES`] for bytes that carry no bits.
const PASSED_OVER: u8 = 0x80;
const PADDING: u8 = 0x40;

const BASE64_VALUES: [u8; 256] = base64_values();

const fn base64_values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [PASSED_OVER; 256];
    let mut value = 0_u8;
    while value < 64 {
        #[allow(
            clippy::indexing_slicing,
            reason = "constant evaluation: a bad index cannot compile"
        )]
        {
            values[alphabet[value as usize] as usize] = value;
        }
        value = value.wrapping_add(1);
    }
    #[allow(clippy::indexing_slicing, reason = "constant evaluation: a bad index cannot compile")]
    {
        values[b'=' as usize] = PADDING;
    }
    values
}

fn base64_value(byte: u8) -> u8 {
    BASE64_VALUES.get(usize::from(byte)).copied().unwrap_or(PASSED_OVER)
}

/// A base64 decoder that can be fed in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Base64 {
    bits: u32,
    /// Characters of the current group of four seen so far.
    seen: u8,
}

impl Base64 {
    /// Decodes `encoded`, appending to `decoded`.
    pub(super) fn decode(&mut self, encoded: &[u8], decoded: &mut Vec<u8>) {
        let start = decoded.len();
        // One byte more than a whole number of groups gives can come of a group begun before.
        let most = encoded.len().div_ceil(4).saturating_mul(3).saturating_add(3);
        decoded.resize(start.saturating_add(most), 0);
        let left = self.decode_into(encoded, decoded.get_mut(start..).unwrap_or_default());
        decoded.truncate(decoded.len().saturating_sub(left));
    }

    /// Decodes into `out`, which is large enough; how much of it is left.
    fn decode_into(&mut self, mut encoded: &[u8], mut out: &mut [u8]) -> usize {
        loop {
            if self.seen == 0 {
                (encoded, out) = decode_whole_groups(encoded, out);
            }
            let Some((&byte, rest)) = encoded.split_first() else { return out.len() };
            encoded = rest;
            if let Some(byte) = self.take(byte)
                && let Some((place, rest)) = std::mem::take(&mut out).split_first_mut()
            {
                *place = byte;
                out = rest;
            }
        }
    }

    /// Takes one character; the byte that it completes, if it does.
    fn take(&mut self, byte: u8) -> Option<u8> {
        match base64_value(byte) {
            PADDING => {
                *self = Self::default();
                None
            }
            value @ 0..64 => {
                self.bits = (self.bits << 6) | u32::from(value);
                let surplus = match self.seen {
                    0 => None,
                    1 => Some(4),
                    2 => Some(2),
                    _ => Some(0),
                };
                self.seen = self.seen.wrapping_add(1) & 3;
                surplus.map(|surplus| (self.bits >> surplus).to_le_bytes()[0])
            }
            _ => None,
        }
    }
}

/// What each character of the alphabet adds to a group's 24 bits, by its place in the group; other
/// characters set a bit above those.
const GROUP_BITS: [[u32; 256]; 4] = [group_bits(18), group_bits(12), group_bits(6), group_bits(0)];
const NOT_A_GROUP: u32 = 1 << 24;

const fn group_bits(shift: u32) -> [u32; 256] {
    let mut bits = [NOT_A_GROUP; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(
            clippy::indexing_slicing,
            reason = "constant evaluation: a bad index cannot compile"
        )]
        if BASE64_VALUES[byte] < 64 {
            bits[byte] = (BASE64_VALUES[byte] as u32) << shift;
        }
        byte = byte.wrapping_add(1);
    }
    bits
}

/// Decodes groups of four characters of the alphabet, as many as come in a row; what is left of both.
fn decode_whole_groups<'a, 'b>(encoded: &'a [u8], out: &'b mut [u8]) -> (&'a [u8], &'b mut [u8]) {
    let [first, second, third, fourth] = &GROUP_BITS;
    let bits_of =
        |table: &[u32; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(NOT_A_GROUP);
    let (groups, _) = encoded.as_chunks::<4>();
    let (places, _) = out.as_chunks_mut::<3>();
    let mut decoded = 0_usize;
    for (&[a, b, c, d], place) in groups.iter().zip(places) {
        let bits = bits_of(first, a) | bits_of(second, b) | bits_of(third, c) | bits_of(fourth, d);
        if bits >= NOT_A_GROUP {
            break;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        *place = bytes;
        decoded = decoded.wrapping_add(1);
    }
    (
        encoded.get(decoded.saturating_mul(4)..).unwrap_or_default(),
        out.get_mut(decoded.saturating_mul(3)..).unwrap_or_default(),
    )
}

/// Longest stretch of a quoted-printable line that is looked at as one.
const LONGEST_LINE: usize = 999;

/// Where quoted-printable text stands; in a header `_` is a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuotedPrintable {
    Body,
    Header,
}

impl QuotedPrintable {
    /// Decodes `encoded` whole, appending to `decoded`.
    pub(super) fn decode(self, mut encoded: &[u8], decoded: &mut Vec<u8>) {
        let mut without_returns = Vec::new();
        while !encoded.is_empty() {
            let (mut line, rest, ended) = split_line(encoded, &mut without_returns);
            encoded = rest;
            while let Some((stretch, more)) = line.split_at_checked(LONGEST_LINE) {
                self.decode_line(stretch, decoded);
                line = more;
            }
            let soft = self.decode_line(line, decoded);
            if ended && !soft {
                decoded.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Decodes one line without its line end; whether a `=` at its end joins it to the next.
    fn decode_line(self, mut line: &[u8], decoded: &mut Vec<u8>) -> bool {
        while let [rest @ .., b' ' | b'\t'] = line {
            line = rest;
        }
        loop {
            let special = match self {
                Self::Body => memchr(b'=', line),
                Self::Header => memchr2(b'=', b'_', line),
            };
            let Some((plain, rest)) = special.and_then(|at| line.split_at_checked(at)) else {
                decoded.extend_from_slice(line);
                return false;
            };
            decoded.extend_from_slice(plain);
            line = match *rest {
                [b'_', ref rest @ ..] => {
                    decoded.push(b' ');
                    rest
                }
                [b'='] => return true,
                [b'=', high, low, ref rest @ ..]
                    if let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low)) =>
                {
                    decoded.push(high << 4 | low);
                    rest
                }
                [byte, ref rest @ ..] => {
                    decoded.push(byte);
                    rest
                }
                [] => return false,
            };
        }
    }
}

/// The first line of `text` without its end and without carriage returns, what comes after it, and
/// whether it has an end. A line with returns inside is copied to `without_returns`.
fn split_line<'line, 'text: 'line>(
    text: &'text [u8],
    without_returns: &'line mut Vec<u8>,
) -> (&'line [u8], &'text [u8], bool) {
    let first = memchr2(b'\r', b'\n', text).and_then(|at| text.split_at_checked(at));
    match first {
        None => (text, &[], false),
        Some((line, [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..])) => (line, rest, true),
        Some(_) => {
            let end = memchr(b'\n', text);
            let (line, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or_default();
            without_returns.clear();
            without_returns.extend(line.iter().filter(|&&byte| byte != b'\r'));
            (without_returns, rest.get(1..).unwrap_or_default(), end.is_some())
        }
    }
}

pub(super) fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base64(encoded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        Base64::default().decode(encoded, &mut decoded);
        decoded
    }

    fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        QuotedPrintable::Body.decode(encoded, &mut decoded);
        decoded
    }

    #[test]
    fn base64_passes_over_line_ends_and_junk() {
        assert_eq!(base64(b"aGVs\r\nbG8="), b"hello");
        assert_eq!(base64(b"a!G*V-s bG8"), b"hello");
    }

    #[test]
    fn base64_goes_on_after_padding() {
        assert_eq!(base64(b"aGVsbG8=d29ybGQ="), b"helloworld");
        assert_eq!(base64(b"aG=Vs"), b"hV");
    }

    #[test]
    fn quoted_printable_drops_returns_and_trailing_blanks() {
        assert_eq!(quoted_printable(b"a \t\r\nb=\r\nc\rd\n"), b"a\r\nbcd\r\n");
        assert_eq!(quoted_printable(b"=41=4g= =\n"), b"A=4g= ");
        assert_eq!(quoted_printable(b"a_b"), b"a_b");
        assert_eq!(quoted_printable(b"a\r\r\nb\r=\r\r\nc\r"), b"a\r\nbc");
    }

    #[test]
    fn a_very_long_line_is_taken_in_stretches() {
        let line = [b"x".repeat(998), b" y".to_vec()].concat();
        assert_eq!(quoted_printable(&line), [b"x".repeat(998), b"y".to_vec()].concat());
    }

    proptest! {
        #[test]
        fn base64_in_pieces_is_base64_in_one(text in "[A-Za-z0-9+/=\r\n!]{0,80}", cut in 0_usize..80) {
            let text = text.as_bytes();
            let (first, second) = text.split_at(cut.min(text.len()));
            let mut decoder = Base64::default();
            let mut decoded = Vec::new();
            decoder.decode(first, &mut decoded);
            decoder.decode(second, &mut decoded);
            prop_assert_eq!(decoded, base64(text));
        }
    }
}
