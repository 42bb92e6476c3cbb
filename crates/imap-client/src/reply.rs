//! Replies: how a command ended, and what the server tells besides.

use std::fmt;

use crate::error::Error;
use crate::text::parse_uid_set;
use crate::value::Value;

/// So much of the server's words is kept.
const LONGEST_WORDS: usize = 400;

/// What a status reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `OK`
    Ok,
    /// `NO`
    No,
    /// `BAD`
    Bad,
    /// `BYE`
    Bye,
    /// `PREAUTH`
    PreAuth,
}

/// A status reply, tagged or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it says.
    pub condition: Condition,
    /// Its response code.
    pub code: Option<Code>,
    /// Its words for people, on one line, without control characters.
    pub words: String,
}

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its name, in capitals.
    pub name: String,
    /// What follows the name.
    pub arguments: Vec<u8>,
}

/// What an untagged reply tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The number before its name (`3 EXISTS`).
    pub number: Option<u32>,
    /// Its name, in capitals.
    pub name: String,
    /// What follows the name.
    pub values: Vec<Value>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The server wants more (`+`), with what it says.
    GoOn(Vec<u8>),
    /// The end of the command with this tag.
    End(Vec<u8>, Status),
    /// An untagged status.
    Status(Status),
    /// What the server tells.
    Data(Data),
    /// Something that cannot be understood: it may be meant for others.
    Unknown,
}

impl Condition {
    fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Condition); 5] = [
            (b"OK", Condition::Ok),
            (b"NO", Condition::No),
            (b"BAD", Condition::Bad),
            (b"BYE", Condition::Bye),
            (b"PREAUTH", Condition::PreAuth),
        ];
        let found = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        found.map(|(_, condition)| *condition)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::PreAuth => "PREAUTH",
        })
    }
}

impl Status {
    fn parse(text: &[u8]) -> Option<Self> {
        let (condition, rest) = first_word(text);
        let condition = Condition::named(condition)?;
        let (code, words) = Code::split(rest);
        Some(Self { condition, code, words: printable(words) })
    }

    /// Whether it has the response code of this name.
    #[must_use]
    pub fn has_code(&self, name: &str) -> bool {
        self.code.as_ref().is_some_and(|code| code.name == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.condition)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if self.words.is_empty() { Ok(()) } else { write!(f, " {}", self.words) }
    }
}

impl Code {
    /// The code that `text` begins with, if it does, and the rest. `]` in a list does not end it:
    /// keywords can have one.
    fn split(text: &[u8]) -> (Option<Self>, &[u8]) {
        let Some(inner) = text.strip_prefix(b"[") else { return (None, text) };
        let mut depth = 0_usize;
        let end = inner.iter().position(|byte| {
            match byte {
                b'(' => depth = depth.saturating_add(1),
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            *byte == b']' && depth == 0
        });
        let end = end.or_else(|| inner.iter().position(|&byte| byte == b']'));
        let Some((code, rest)) = end.and_then(|end| inner.split_at_checked(end)) else {
            return (None, text);
        };
        let (name, arguments) = first_word(code);
        let name = printable(name).to_ascii_uppercase();
        let rest = rest.get(1..).unwrap_or_default();
        (Some(Self { name, arguments: arguments.to_vec() }), rest.trim_ascii_start())
    }

    /// Its arguments as values.
    pub fn values(&self) -> Result<Vec<Value>, Error> {
        Value::all_of(&self.arguments)
    }

    /// The UIDVALIDITY and UIDs that an APPENDUID tells of so many messages (RFC 4315); none where it
    /// tells of more or fewer.
    #[must_use]
    pub fn appended_uids(&self, messages: usize) -> Option<(u32, Vec<u32>)> {
        let arguments = std::str::from_utf8(&self.arguments).ok()?;
        let (uidvalidity, set) = arguments.trim().split_once(' ')?;
        let uids = parse_uid_set(set.trim(), messages)?;
        (uids.len() == messages).then_some((uidvalidity.parse().ok()?, uids))
    }

    /// Its argument, where that is one number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self.values().ok()?.as_slice() {
            [value] => value.number(),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.arguments.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", printable(&self.arguments))
        }
    }
}

impl Data {
    fn parse(text: &[u8]) -> Option<Self> {
        let (first, rest) = first_word(text);
        let number = std::str::from_utf8(first).ok().and_then(|word| word.parse().ok());
        let (name, rest) = if number.is_some() { first_word(rest) } else { (first, rest) };
        let values = Value::all_of(rest).ok()?;
        Some(Self { number, name: printable(name).to_ascii_uppercase(), values })
    }
}

impl Reply {
    /// Whatever a server may say is a reply: what cannot be understood is [`Reply::Unknown`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        if let Some(rest) = text.strip_prefix(b"+") {
            return Self::GoOn(rest.trim_ascii().to_vec());
        }
        let Some(rest) = text.strip_prefix(b"* ") else {
            let (tag, rest) = first_word(text);
            return Status::parse(rest).map_or(Self::Unknown, |end| Self::End(tag.to_vec(), end));
        };
        if let Some(status) = Status::parse(rest) {
            return Self::Status(status);
        }
        Data::parse(rest).map_or(Self::Unknown, Self::Data)
    }
}

fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}

/// What a server says, so that it can be printed on a line.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..LONGEST_WORDS).unwrap_or(text));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(text: &str) -> Status {
        match Reply::parse(text.as_bytes()) {
            Reply::End(tag, status) if tag == b"a1" => status,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_end_of_a_command_has_its_code_and_words() {
        let status = end("a1 OK [APPENDUID 17 3:5,9] Completed");
        assert_eq!(status.condition, Condition::Ok);
        assert_eq!(status.code.as_ref().unwrap().arguments, b"17 3:5,9");
        assert_eq!(status.to_string(), "OK [APPENDUID 17 3:5,9] Completed");
        assert!(end("a1 NO [OverQuota] full").has_code("OVERQUOTA"));
        assert_eq!(end("a1 ok").words, "");
        assert_eq!(end("a1 NO [unclosed words").words, "[unclosed words");
    }

    #[test]
    fn a_bracket_in_a_keyword_does_not_end_a_code() {
        let Reply::Status(status) = Reply::parse(b"* OK [PERMANENTFLAGS ([Gmail] a]b \\*)] Ok")
        else {
            panic!("no status")
        };
        assert_eq!(status.words, "Ok");
        let values = status.code.unwrap().values().unwrap();
        assert_eq!(values[0].list().unwrap().len(), 3);
    }

    #[test]
    fn what_nobody_knows_ends_nothing() {
        assert!(
            matches!(Reply::parse(b"* XNEW thing (a)"), Reply::Data(data) if data.name == "XNEW")
        );
        assert!(matches!(Reply::parse(b"* XNEW ((("), Reply::Unknown));
        assert!(matches!(Reply::parse(b""), Reply::Unknown));
        assert!(
            matches!(Reply::parse(b"* OK [XODD 1 2] x"), Reply::Status(status) if status.has_code("XODD"))
        );
        assert!(matches!(Reply::parse(b"+"), Reply::GoOn(said) if said.is_empty()));
    }

    #[test]
    fn words_are_bounded_and_on_one_line() {
        let long = format!("a1 NO \x1b[31m{}", "x".repeat(9999));
        let words = end(&long).words;
        assert!(words.len() <= LONGEST_WORDS && !words.contains('\x1b'), "{words}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&bytes);
            let _ = Reply::parse(&[b"* ", bytes.as_slice()].concat());
            let _ = Reply::parse(&[b"* OK [", bytes.as_slice()].concat());
        }
    }
}
