//! The values that replies are made of: atoms, strings, literals, lists.

use std::str;

use crate::error::Error;

/// Lists within lists: no reply that is asked for has more than five.
const DEEPEST: usize = 16;

/// A value of a reply. Strings and literals are the same to whoever reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An atom, a number, a flag; `NIL` too.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A list in parentheses.
    List(Vec<Value>),
}

impl Value {
    /// All values of `reply`, in which each literal stands behind its `{size}` and CRLF.
    pub fn all_of(reply: &[u8]) -> Result<Vec<Self>, Error> {
        let mut reader = Reader { rest: reply };
        let mut open: Vec<Vec<Self>> = Vec::new();
        let mut values = Vec::new();
        while let Some(token) = reader.token()? {
            match token {
                Token::Value(value) => values.push(value),
                Token::Open if open.len() >= DEEPEST => return Err(wrong("too deep a list")),
                Token::Open => open.push(std::mem::take(&mut values)),
                Token::Close => {
                    let outer = open.pop().ok_or_else(|| wrong("a list ends that never began"))?;
                    let list = std::mem::replace(&mut values, outer);
                    values.push(Self::List(list));
                }
            }
        }
        if open.is_empty() { Ok(values) } else { Err(wrong("a list does not end")) }
    }

    /// Its bytes; none of a list, nor of `NIL`.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(atom) if atom.eq_ignore_ascii_case(b"NIL") => None,
            Self::Atom(bytes) | Self::Text(bytes) => Some(bytes),
            Self::List(_) => None,
        }
    }

    /// It as text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(self.bytes()?).ok()
    }

    /// It as a number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Atom(_) => self.text()?.parse().ok(),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Its members.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(members) => Some(members),
            Self::Atom(_) | Self::Text(_) => None,
        }
    }
}

fn wrong(what: &str) -> Error {
    Error::Protocol(what.to_owned())
}

enum Token {
    Value(Value),
    Open,
    Close,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Result<Option<Token>, Error> {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let Some((&first, rest)) = self.rest.split_first() else { return Ok(None) };
        let value = match first {
            b'(' | b')' => {
                self.rest = rest;
                return Ok(Some(if first == b'(' { Token::Open } else { Token::Close }));
            }
            b'"' => {
                self.rest = rest;
                Value::Text(self.quoted()?)
            }
            b'{' => Value::Text(self.literal()?.to_vec()),
            b'~' if rest.first() == Some(&b'{') => {
                self.rest = rest;
                Value::Text(self.literal()?.to_vec())
            }
            _ => Value::Atom(self.atom().to_vec()),
        };
        Ok(Some(Token::Value(value)))
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                b'\\' => text.extend(bytes.next().map(|(_, &byte)| byte)),
                _ => text.push(byte),
            }
        }
        Err(wrong("a string does not end"))
    }

    fn literal(&mut self) -> Result<&'a [u8], Error> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        let (head, rest) = end
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or_else(|| wrong("a literal without its bytes"))?;
        let size = literal_size(head.trim_ascii_end()).ok_or_else(|| wrong("no literal"))?;
        let size = usize::try_from(size).map_err(|_| wrong("too long a literal"))?;
        let (literal, rest) =
            rest.split_at_checked(size).ok_or_else(|| wrong("a literal without its end"))?;
        self.rest = rest;
        Ok(literal)
    }

    /// What stands in brackets behind the name of a body section belongs to the atom.
    fn atom(&mut self) -> &'a [u8] {
        const SECTIONS: [&[u8]; 2] = [b"BODY[", b"BINARY["];
        let starts = |section: &&[u8]| {
            self.rest.get(..section.len()).is_some_and(|start| start.eq_ignore_ascii_case(section))
        };
        let section = SECTIONS.iter().find(|section| starts(section));
        let inner = section.map_or(0, |section| {
            let end = self.rest.iter().position(|&byte| byte == b']');
            end.map_or(section.len(), |end| end + 1)
        });
        let tail = self.rest.get(inner..).unwrap_or_default();
        let end = tail.iter().position(|byte| matches!(byte, b' ' | b'(' | b')'));
        let len = inner + end.unwrap_or(tail.len());
        let (atom, rest) = self.rest.split_at_checked(len.max(1)).unwrap_or((self.rest, &[]));
        self.rest = rest;
        atom
    }
}

/// The size of the literal that `line` announces at its end, if it does.
pub(crate) fn literal_size(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|&byte| byte == b'{')?;
    let digits = inner.get(start + 1..)?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom(text: &str) -> Value {
        Value::Atom(text.into())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_fetch_reply_is_taken_apart_with_its_literal() {
        let reply = b"3 FETCH (UID 7 FLAGS (\\Seen a]b [Gmail]) BODY[] {5}\r\n(\"a) SAVEDATE NIL)";
        let values = Value::all_of(reply).unwrap();
        let flags = Value::List(vec![atom("\\Seen"), atom("a]b"), atom("[Gmail]")]);
        let members = [atom("UID"), atom("7"), atom("FLAGS"), flags, atom("BODY[]")];
        let last = [text("(\"a) "), atom("SAVEDATE"), atom("NIL")];
        let all = Value::List(members.into_iter().chain(last).collect());
        assert_eq!(values, [atom("3"), atom("FETCH"), all]);
    }

    #[test]
    fn strings_are_unescaped_and_sections_keep_their_brackets() {
        let values =
            Value::all_of(b"BODY[HEADER.FIELDS (A B)]<0> \"a \\\"b\\\\\" (()) NIL").unwrap();
        let nested = Value::List(vec![Value::List(Vec::new())]);
        let expected = [atom("BODY[HEADER.FIELDS (A B)]<0>"), text("a \"b\\"), nested, atom("NIL")];
        assert_eq!(values, expected);
        assert_eq!((values[3].bytes(), values[1].number()), (None, None));
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        let wrong = ["(", ")", "\"a", "{5}\r\nabc", "{5", "{x}\r\n", &"(".repeat(99)];
        for reply in wrong {
            assert!(Value::all_of(reply.as_bytes()).is_err(), "{reply}");
        }
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line_only() {
        assert_eq!(literal_size(b"* 1 FETCH (BODY[] {17}"), Some(17));
        assert_eq!(literal_size(b"A {3+}"), Some(3));
        for none in [&b"{17} "[..], b"{}", b"{-1}", b"17}", b"{99999999999999999999}"] {
            assert_eq!(literal_size(none), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_yield_more_than_they_are(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok(values) = Value::all_of(&bytes) {
                prop_assert!(values.len() <= bytes.len());
            }
        }

        #[test]
        fn no_text_of_imaps_own_characters_makes_it_panic(
            text in "[A-Z0-9 (){}\"\\\\\r\n\\[\\]~+]{0,80}"
        ) {
            let _ = Value::all_of(text.as_bytes());
        }
    }
}
