//! What the sender of a message wrote themselves.

use std::panic::catch_unwind;

use mail_parser::decoders::html::html_to_text;
use mail_parser::{HeaderName, MessageParser, PartType};

use super::MAX_TEXT;

/// How many lines before a quote can belong to the sentence that introduces it.
const INTRODUCTION: usize = 3;

/// The text, without what is quoted and without the signature.
pub(super) fn own(message: &[u8]) -> String {
    // A last net. mail-parser 0.11.9 subtracts too much where a quoted-printable part ends in `=`:
    // harmless as released, a panic where overflow is checked. Then the text stays undecoded.
    let whole = catch_unwind(|| whole(message))
        .unwrap_or_else(|_| String::from_utf8_lossy(message).into_owned());
    without_quotes(&printable(&whole, MAX_TEXT))
}

/// At most `max` bytes of a text, without control characters.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut kept = String::new();
    for character in text.chars().filter(|&each| is_shown(each)) {
        if kept.len() + character.len_utf8() > max {
            break;
        }
        kept.push(character);
    }
    kept
}

/// At most `max` bytes of a text in one line, without control characters.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "), max)
}

fn is_shown(character: char) -> bool {
    // These write the other way round what follows.
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !turns && (matches!(character, '\n' | '\t') || !character.is_control())
}

/// The first plain text, or else the first HTML without its tags.
fn whole(message: &[u8]) -> String {
    // Encoded words in the headers of parts are not decoded: broken ones take long.
    let parser = MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .default_header_raw();
    let message = parser.parse(message).unwrap_or_default();
    let bodies = || message.text_bodies().map(|part| &part.body);
    let plain = bodies().find_map(|body| match body {
        PartType::Text(text) => Some(text.to_string()),
        _ => None,
    });
    let stripped = || {
        bodies().find_map(|body| match body {
            PartType::Html(html) => Some(html_to_text(html)),
            _ => None,
        })
    };
    plain.or_else(stripped).unwrap_or_default()
}

fn without_quotes(text: &str) -> String {
    let mut own: Vec<&str> = Vec::new();
    let mut was_quoted = false;
    for line in text.lines().take_while(|line| line.trim_end() != "--") {
        let is_quoted = line.trim_start().starts_with('>');
        if is_quoted && !was_quoted {
            drop_introduction(&mut own);
        }
        if !is_quoted {
            own.push(line);
        }
        was_quoted = is_quoted;
    }
    own.join("\n").trim().to_owned()
}

/// Drops `On Monday Bob <bob@example.org> wrote:`, in one line or two, before a quote.
fn drop_introduction(own: &mut Vec<&str>) {
    let last = own.iter().rev().take(INTRODUCTION).position(|line| !line.trim().is_empty());
    let Some(index) = last.and_then(|back| own.len().checked_sub(back + 1)) else { return };
    let Some(line) = own.get(index).filter(|line| line.trim_end().ends_with(':')) else { return };
    let is_end_of_sentence = line.split_whitespace().count() <= 2;
    own.truncate(index);
    if is_end_of_sentence && own.last().is_some_and(|line| !line.trim().is_empty()) {
        own.pop();
    }
}
