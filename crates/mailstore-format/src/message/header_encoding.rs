//! Header text as one or more encoded words (`lib/charset.c`: `charset_encode_mimeheader`,
//! `qp_encode`).
//!
//! A cache record holds such text only where a Content-Type came wholly as encoded words. Not done:
//! where the text holds an e-mail address, Cyrus encodes the names around it and not the address.

/// `ENCODED_MAX_LINE_LEN`
const LONGEST_LINE: usize = 72;

/// Encodes UTF-8 text, in words of at most 72 characters or so; a fold in it is a place to break.
pub(super) fn encode_8bit_value(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = b"=?UTF-8?Q?".to_vec();
    let mut column = 10_usize;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        // Not to split a character, room is made for all of its bytes but the first.
        let needed = match byte {
            0xc0..=0xdf => 3,
            0xe0..=0xef => 6,
            0xf0..=0xf7 => 9,
            _ => 0,
        };
        if column.saturating_add(needed) >= LONGEST_LINE {
            encoded.extend_from_slice(b"?=\r\n =?UTF-8?Q?");
            column = 11;
        }
        match byte {
            b'\r' if rest.starts_with(b"\n") => {
                rest = rest.get(1..).unwrap_or_default();
                if let [first, more @ ..] = rest {
                    if matches!(first, b' ' | b'\t') {
                        rest = more;
                    }
                    encoded.extend_from_slice(b"?=\r\n =?UTF-8?Q?");
                    column = 12;
                }
            }
            b' ' => {
                encoded.push(b'_');
                column = column.saturating_add(1);
            }
            b'!'..=b'~' if !matches!(byte, b'=' | b'?' | b'_') => {
                encoded.push(byte);
                column = column.saturating_add(1);
            }
            _ => {
                encoded.push(b'=');
                for nibble in [byte >> 4, byte & 0xf] {
                    encoded.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
                column = column.saturating_add(3);
            }
        }
    }
    encoded.extend_from_slice(b"?=");
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode_8bit_value;

    #[test]
    fn text_becomes_words_that_fit_a_line() {
        assert_eq!(encode_8bit_value("é a_?".as_bytes()), b"=?UTF-8?Q?=C3=A9_a=5F=3F?=");
        let long = encode_8bit_value("é".repeat(12).as_bytes());
        let folds: Vec<_> = long.split(|&byte| byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(folds, [10 + 60 + 3, 1 + 10 + 12 + 2]);
    }
}
