//! Modified UTF-7 (RFC 3501, 5.1.3): how mailbox names beyond ASCII are spelt in IMAP and on disk.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The spelling of `text`, in which every `&` means itself.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for character in text.chars() {
        encoder.push(character);
    }
    encoder.finish()
}

/// The spelling of a name as an operator types it: an encoded run is taken as it is, a `&` that
/// begins none means itself, anything beyond ASCII is encoded.
#[must_use]
pub fn encode_operator(text: &str) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let run = (character == '&').then(|| encoded_run(rest)).flatten();
        let taken = if let Some(run) = run {
            encoder.push_encoded(run);
            run.len()
        } else {
            encoder.push(character);
            character.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    encoder.finish()
}

/// What a spelling stands for, or nothing where it is not valid modified UTF-7.
#[must_use]
pub fn decode(name: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut rest = std::str::from_utf8(name).ok()?;
    while let Some(character) = rest.chars().next() {
        if character == '&' {
            let run = encoded_run(rest)?;
            text.push_str(&decode_run(run)?);
            rest = rest.get(run.len()..)?;
        } else if matches!(character, ' '..='~') {
            text.push(character);
            rest = rest.get(1..)?;
        } else {
            return None;
        }
    }
    Some(text)
}

/// The valid run, from `&` to `-`, that `text` begins with.
fn encoded_run(text: &str) -> Option<&str> {
    let run = text.get(..=text.find('-')?)?;
    decode_run(run).map(|_| run)
}

fn decode_run(run: &str) -> Option<String> {
    let digits = run.strip_prefix('&')?.strip_suffix('-')?;
    if digits.is_empty() {
        return Some("&".to_owned());
    }
    let (mut bits, mut held, mut units) = (0u32, 0u32, Vec::new());
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0x3f_ffff;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push(u16::try_from(bits >> held & 0xffff).ok()?);
        }
    }
    let padding_is_zero = held < 6 && bits & ((1 << held) - 1) == 0;
    let text = String::from_utf16(&units).ok()?;
    (padding_is_zero && !text.chars().any(|c| c.is_ascii())).then_some(text)
}

#[derive(Default)]
struct Encoder {
    name: Vec<u8>,
    pending: Vec<u16>,
}

impl Encoder {
    fn push(&mut self, character: char) {
        match character {
            '&' => self.push_encoded("&-"),
            ' '..='~' => {
                self.flush();
                self.name.extend(u8::try_from(character));
            }
            _ => self.pending.extend_from_slice(character.encode_utf16(&mut [0; 2])),
        }
    }

    fn push_encoded(&mut self, run: &str) {
        self.flush();
        self.name.extend_from_slice(run.as_bytes());
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.name.push(b'&');
        let (mut bits, mut held) = (0u32, 0u32);
        for unit in self.pending.drain(..) {
            bits = (bits << 16 | u32::from(unit)) & 0x3f_ffff;
            held += 16;
            while held >= 6 {
                held -= 6;
                self.name.push(letter(bits >> held));
            }
        }
        if held > 0 {
            self.name.push(letter(bits << (6 - held)));
        }
        self.name.push(b'-');
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.name
    }
}

fn letter(bits: u32) -> u8 {
    ALPHABET[(bits & 63) as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_spelt_as_rfc_3501_spells_them() {
        assert_eq!(encode("~peter/mail/台北/日本語"), b"~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(encode("été"), b"&AOk-t&AOk-");
        assert_eq!(encode("a&b"), b"a&-b");
        assert_eq!(decode(b"&AOk-t&AOk-").as_deref(), Some("été"));
    }

    #[test]
    fn what_an_operator_types_may_be_encoded_already_or_hold_a_bare_ampersand() {
        assert_eq!(encode_operator("&AOk-t&AOk-"), b"&AOk-t&AOk-");
        assert_eq!(encode_operator("é&AOk-"), b"&AOk-&AOk-");
        assert_eq!(encode_operator("R&D"), b"R&-D");
        assert_eq!(encode_operator("R&-D"), b"R&-D");
        assert_eq!(encode_operator("R&D-x"), b"R&-D-x");
    }

    #[test]
    fn a_wrong_spelling_decodes_to_nothing() {
        for wrong in [&b"&AOk"[..], b"&!!!-", b"&AGE-", b"&2D0-", b"\xc3\xa9", b"&AOl-x&"] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_encoding(text in "\\PC*") {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(text) = decode(&bytes) {
                prop_assert_eq!(encode_operator(std::str::from_utf8(&bytes).unwrap()), bytes);
                prop_assert!(text.chars().count() <= 64);
            }
        }
    }
}
