//! Messages that programs wrote: an answer to one could be answered in turn, for ever.

use super::header::{Header, text_of};
use super::sender::Sender;

/// Whether a program wrote it, or a list brought it.
pub(super) fn is_automatic(
    header: &Header<'_>,
    envelope: Option<&str>,
    sender: Option<&Sender>,
) -> bool {
    envelope.is_some_and(|path| path.is_empty() || is_programs(path))
        || sender.is_some_and(|sender| is_programs(&sender.address))
        || header.fields().iter().any(|field| says_so(field.name(), text_of(&field.value)))
}

fn says_so(name: &str, value: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let word =
        value.split(|each: char| each == ';' || each.is_whitespace()).find(|word| !word.is_empty());
    let word = word.unwrap_or_default().to_ascii_lowercase();
    if is("Auto-Submitted") {
        word != "no"
    } else if is("X-Auto-Response-Suppress") {
        word != "none"
    } else if is("Precedence") {
        matches!(word.as_str(), "bulk" | "list" | "junk")
    } else {
        is("List-Id")
    }
}

/// Whether an address is one that programs write from.
fn is_programs(address: &str) -> bool {
    let local = address.split(['@', '+']).next().unwrap_or_default();
    let letters: String = local.chars().filter(|each| each.is_alphanumeric()).collect();
    let letters = letters.to_lowercase();
    matches!(letters.as_str(), "mailerdaemon" | "postmaster" | "noreply" | "donotreply")
}
