//! Words of a message that may be names of accounts. The rule is in the module's documentation.

use super::Request;
use super::sender::{is_address, is_mark};

/// How many are looked at; a message with more names too many.
pub(super) const MAX_MENTIONS: usize = 256;

/// Words that are nobody's name when they stand alone.
#[rustfmt::skip]
const EVERYDAY: &[&str] = &[
    "a", "account", "accounts", "again", "all", "and", "asap", "best", "bitte", "bonjour", "cheers",
    "danke", "dear", "email", "emergency", "for", "from", "gracias", "greetings", "hallo", "hello",
    "help", "hi", "i", "inbox", "is", "it", "mail", "mailbox", "mailboxes", "me", "merci", "mine",
    "my", "need", "needed", "now", "of", "ok", "please", "priority", "rebuild", "regards",
    "request", "sincerely", "thank", "thanks", "the", "this", "ticket", "to", "urgent", "urgently",
    "user", "username", "users", "yes", "you",
];

/// What a name stands behind, with a colon.
#[rustfmt::skip]
const LABELS: &[&str] = &[
    "account", "accounts", "address", "e-mail", "email", "login", "mailbox", "mailboxes", "user",
    "userid", "username", "users",
];

/// What the subject says before names.
const ASKED_FOR: &str = "priority rebuild";

/// How surely a word is meant as a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sureness {
    /// Nothing else can be meant, or nothing else is likely.
    Meant,
    /// Only if there is such an account, and its sender may know that.
    Possible,
}

/// A word that may be the name of an account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention<'a> {
    pub(super) word: &'a str,
    pub(super) sureness: Sureness,
}

/// Those of subject and text in the order of appearance, at most one more than [`MAX_MENTIONS`].
pub(super) fn of(request: &Request) -> Vec<Mention<'_>> {
    let mut reader = Mentions { found: Vec::new(), own_name: own_name(request) };
    let subject = request.subject.as_str();
    let tail = subject.to_ascii_lowercase().find(ASKED_FOR).map(|at| at + ASKED_FOR.len());
    let (before, tail) = tail.and_then(|at| subject.split_at_checked(at)).unwrap_or((subject, ""));
    reader.line(before, None);
    let is_one = words(tail).filter(|word| reader.can_be_name(word)).nth(1).is_none();
    reader.line(tail, Some(if is_one { Sureness::Meant } else { Sureness::Possible }));
    for line in request.text.lines() {
        let is_alone = words(line).nth(1).is_none();
        reader.line(line, is_alone.then_some(Sureness::Meant));
    }
    reader.found
}

struct Mentions<'a> {
    found: Vec<Mention<'a>>,
    /// The words of the sender's own name: people sign with it.
    own_name: Vec<String>,
}

impl<'a> Mentions<'a> {
    /// Finds those of a line, in which words that nothing marks as a name are as sure as `unmarked`.
    fn line(&mut self, line: &'a str, unmarked: Option<Sureness>) {
        let mut is_behind_label = false;
        for part in line.split([',', ';']) {
            let is_listed = is_behind_label && words(part).nth(1).is_none();
            let mut is_next = false;
            for piece in pieces(part) {
                let (label, rest) = split_label(piece);
                is_behind_label |= label;
                is_next |= label;
                let word = bare(rest);
                if word.is_empty() {
                    continue;
                }
                let sureness = if is_next || is_address(word) {
                    Some(Sureness::Meant)
                } else if !self.can_be_name(word) {
                    None
                } else if is_listed {
                    Some(Sureness::Meant)
                } else {
                    unmarked.or(is_behind_label.then_some(Sureness::Possible))
                };
                is_next = false;
                self.push(word, sureness);
            }
        }
    }

    fn push(&mut self, word: &'a str, sureness: Option<Sureness>) {
        if let Some(sureness) = sureness
            && self.found.len() <= MAX_MENTIONS
            && is_name(word)
        {
            self.found.push(Mention { word, sureness });
        }
    }

    fn can_be_name(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        !EVERYDAY.contains(&word.as_str()) && !self.own_name.contains(&word)
    }
}

fn own_name(request: &Request) -> Vec<String> {
    let name = request.sender.as_ref().map_or("", |sender| &sender.name);
    words(name).map(str::to_lowercase).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';']).flat_map(pieces).map(bare).filter(|word| !word.is_empty())
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|each: char| each.is_whitespace() || "<>()[]\"".contains(each))
}

/// Whether a label begins it, and what follows.
fn split_label(piece: &str) -> (bool, &str) {
    let is_label = |word: &str| LABELS.contains(&word.to_lowercase().as_str());
    match piece.split_once([':', '=']) {
        Some((label, rest)) if is_label(bare(label)) => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto") => (false, rest),
        _ => (false, piece),
    }
}

/// Without the marks around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|each: char| !each.is_alphanumeric())
}

fn is_name(word: &str) -> bool {
    is_address(word)
        || word.len() <= 64 && word.chars().all(|each| each.is_alphanumeric() || is_mark(each))
}
