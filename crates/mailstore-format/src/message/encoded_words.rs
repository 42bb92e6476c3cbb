//! RFC 2047 encoded words in a header's value, decoded to UTF-8 (`lib/charset.c`: `mimeheader_cat`,
//! `charset_parse_mimeheader`).
//!
//! Where Cyrus departs from RFC 2047: a word may stand anywhere and be of any length; spaces may
//! stand in it; neighbouring words of one character set and encoding are decoded as one, so that a
//! character may be split between them; a word in an unknown character set becomes one U+FFFD; so does
//! each 8-bit byte outside of words.

use memchr::memchr;

use super::charsets::{self, Charset, ToUtf8};
use super::cursor::{is_blank, is_space};
use super::transfer_encoding::{Base64, QuotedPrintable};

/// Decodes `value`, which holds no NUL, appending to `decoded`. The result may hold NULs.
pub(super) fn decode_encoded_words(value: &[u8], decoded: &mut Vec<u8>) {
    if memchr(b'=', value).is_none() && memchr(b'\r', value).is_none() && value.is_ascii() {
        decoded.extend_from_slice(value);
        return;
    }
    let mut output = Output { decoded, charset: ToUtf8::new(charsets::US_ASCII), fold: Fold::None };
    let mut same_word = None;
    let mut after_word = false;
    let mut copied = 0_usize;
    while let Some(word) = find_word(value, copied) {
        let between = value.get(copied..word.start).unwrap_or_default();
        let joined = after_word && between.iter().copied().all(is_space);
        if !joined {
            output.plain(between);
            same_word = None;
        }
        same_word = output.word(value, &word, same_word);
        copied = word.end;
        after_word = true;
    }
    let rest = value.get(copied..).unwrap_or_default();
    if !rest.is_empty() {
        output.plain(rest);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WordEncoding {
    Base64,
    Quoted,
}

/// Where an encoded word lies in a value.
#[derive(Debug, Clone)]
struct Word {
    start: usize,
    charset: std::ops::Range<usize>,
    encoding: WordEncoding,
    text: std::ops::Range<usize>,
    end: usize,
}

/// The first encoded word from `from` on.
fn find_word(value: &[u8], from: usize) -> Option<Word> {
    let at = |place: usize| value.get(place).copied().unwrap_or(0);
    let mut search = from;
    loop {
        let start = search.checked_add(memchr(b'=', value.get(search..)?)?)?;
        let question = start.checked_add(1)?;
        if at(question) != b'?' {
            search = question;
            continue;
        }
        let charset_start = question.checked_add(1)?;
        let mut place = charset_start;
        let mut charset_end = None;
        while !matches!(at(place), 0 | b'=' | b'?') {
            if at(place) == b'*' && charset_end.is_none() {
                charset_end = Some(place);
            }
            place = place.checked_add(1)?;
        }
        search = place;
        if at(place) != b'?' {
            continue;
        }
        let charset = charset_start..charset_end.unwrap_or(place);
        let encoding = match at(place.checked_add(1)?) {
            b'b' | b'B' => WordEncoding::Base64,
            b'q' | b'Q' => WordEncoding::Quoted,
            _ => continue,
        };
        if at(place.checked_add(2)?) != b'?' {
            continue;
        }
        let text_start = place.checked_add(3)?;
        place = text_start;
        while !matches!(at(place), 0 | b'?') {
            if at(place) == b'='
                && at(place.checked_add(1)?) == b'?'
                && at(place.checked_add(2)?) != b'='
            {
                break;
            }
            place = place.checked_add(1)?;
        }
        search = place;
        if at(place) == b'?' && at(place.checked_add(1)?) == b'=' {
            let end = place.checked_add(2)?;
            return Some(Word { start, charset, encoding, text: text_start..place, end });
        }
    }
}

/// The decoder of the word before, which a word of the same kind goes on with.
struct SameWord {
    canonical: &'static str,
    encoding: WordEncoding,
    base64: Base64,
}

/// How far a fold has been read in the text between words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    None,
    Return,
    LineFeed,
}

struct Output<'a> {
    decoded: &'a mut Vec<u8>,
    charset: ToUtf8,
    fold: Fold,
}

impl Output<'_> {
    fn switch(&mut self, charset: Charset) {
        self.charset = ToUtf8::new(charset);
    }

    /// Text outside of words, its folds taken out.
    fn plain(&mut self, text: &[u8]) {
        self.switch(charsets::US_ASCII);
        if self.fold == Fold::None && memchr(b'\r', text).is_none() {
            self.charset.decode(text, self.decoded);
            return;
        }
        for &byte in text {
            let held: &[u8] = match (self.fold, byte) {
                (Fold::None, b'\r') => {
                    self.fold = Fold::Return;
                    continue;
                }
                (Fold::Return, b'\n') => {
                    self.fold = Fold::LineFeed;
                    continue;
                }
                (Fold::Return, _) => b"\r",
                (Fold::LineFeed, byte) if !is_blank(byte) => b"\r\n",
                _ => b"",
            };
            self.fold = Fold::None;
            self.charset.decode(held, self.decoded);
            self.charset.decode(&[byte], self.decoded);
        }
    }

    fn word(&mut self, value: &[u8], word: &Word, before: Option<SameWord>) -> Option<SameWord> {
        let name = value.get(word.charset.clone()).unwrap_or_default();
        let text = value.get(word.text.clone()).unwrap_or_default();
        let Some(charset) = charsets::lookup(name) else {
            self.charset.replacement(self.decoded);
            self.switch(charsets::US_ASCII);
            return None;
        };
        let goes_on = before.filter(|before| {
            before.canonical == charset.canonical_name() && before.encoding == word.encoding
        });
        let mut state = goes_on.unwrap_or_else(|| {
            self.switch(charset);
            SameWord {
                canonical: charset.canonical_name(),
                encoding: word.encoding,
                base64: Base64::default(),
            }
        });
        let mut bytes = Vec::new();
        match word.encoding {
            WordEncoding::Base64 => state.base64.decode(text, &mut bytes),
            WordEncoding::Quoted => QuotedPrintable::Header.decode(text, &mut bytes),
        }
        self.charset.decode(&bytes, self.decoded);
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: &str) -> String {
        let mut decoded = Vec::new();
        decode_encoded_words(value.as_bytes(), &mut decoded);
        String::from_utf8(decoded).unwrap()
    }

    #[test]
    fn words_of_both_encodings_are_decoded() {
        assert_eq!(decode("=?utf-8?Q?caf=C3=A9_1?="), "café 1");
        assert_eq!(decode("Re: =?UTF-8?b?w6k=?= ok"), "Re: é ok");
        assert_eq!(decode("=?utf-8*en?q?a?="), "a");
    }

    #[test]
    fn space_between_words_is_dropped_but_not_other_text() {
        assert_eq!(decode("=?utf-8?Q?a?= \t =?utf-8?Q?b?="), "ab");
        assert_eq!(decode("=?utf-8?Q?a?= - =?utf-8?Q?b?="), "a - b");
    }

    #[test]
    fn a_character_split_between_words_is_put_together() {
        assert_eq!(decode("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?="), "é");
        assert_eq!(decode("=?utf-8?Q?=C3?= =?utf-8?B?qQ==?="), "\u{fffd}");
    }

    #[test]
    fn unknown_character_sets_and_bare_8bit_become_replacements() {
        assert_eq!(decode("a =?no-such?Q?b?= c"), "a \u{fffd} c");
        assert_eq!(decode("é"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_not_quite_a_word_stays() {
        for text in ["=?utf-8?Q?a", "=?utf-8?X?a?=", "a=b=?c", "=?a=?b?=", "=?utf-8?Q?a=?b?"] {
            assert_eq!(decode(text), text);
        }
    }

    #[test]
    fn folds_are_taken_out() {
        assert_eq!(decode("a\r\n b\r c=\r\nd"), "a b\r c=\r\nd");
    }
}
