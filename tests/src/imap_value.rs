//! What an IMAP server says, as values.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};

/// A piece of an IMAP reply. Quoted strings and literals are both [`Value::Text`]: which of them a
/// server uses is up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`
    Nil,
    /// An atom, a number or a flag.
    Atom(String),
    /// A quoted string or literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl Value {
    /// All values in `line` (which includes its literals, lengths and all).
    pub fn parse_all(line: &[u8]) -> Result<Vec<Self>> {
        let mut parser = Parser { rest: line };
        let mut values = Vec::new();
        while let Some(value) = parser.value()? {
            values.push(value);
        }
        if parser.rest.is_empty() { Ok(values) } else { bail!("an unexpected ) in a reply") }
    }

    /// An atom's or string's text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Atom(atom) => Some(atom.clone()),
            Self::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// A string's bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) => Some(bytes),
            Self::Atom(atom) => Some(atom.as_bytes()),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// A list's elements.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// An atom as a number. `MODSEQ` is given as a list of one number, which counts as one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Atom(atom) => atom.parse().ok(),
            Self::List(values) => match values.as_slice() {
                [only] => only.number(),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// In a form that is equal for equal values: strings quoted, bytes outside ASCII as `\xNN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("NIL"),
            Self::Atom(atom) => f.write_str(atom),
            Self::Text(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::List(values) => {
                f.write_str("(")?;
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        f.write_str(" ")?;
                    }
                    value.fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl Parser<'_> {
    /// The next value, or `None` at the end of the input or of the enclosing list.
    fn value(&mut self) -> Result<Option<Value>> {
        while let [b' ' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Ok(match self.rest {
            [] | [b')', ..] => None,
            [b'(', rest @ ..] => {
                self.rest = rest;
                Some(self.list()?)
            }
            [b'"', rest @ ..] => {
                self.rest = rest;
                Some(self.quoted()?)
            }
            [b'{', ..] => Some(self.literal()?),
            // The literal8 of RFC 3516.
            [b'~', b'{', ..] => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Some(self.literal()?)
            }
            _ => Some(self.atom()),
        })
    }

    fn list(&mut self) -> Result<Value> {
        let mut values = Vec::new();
        while let Some(value) = self.value()? {
            values.push(value);
        }
        let [b')', rest @ ..] = self.rest else { bail!("an unclosed ( in a reply") };
        self.rest = rest;
        Ok(Value::List(values))
    }

    fn quoted(&mut self) -> Result<Value> {
        let mut text = Vec::new();
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(Value::Text(text));
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    text.push(*byte);
                    self.rest = rest;
                }
                [] => bail!("an unclosed quoted string in a reply"),
            }
        }
    }

    fn literal(&mut self) -> Result<Value> {
        let close = self.rest.windows(3).position(|three| three == b"}\r\n");
        let close = close.context("an unfinished literal in a reply")?;
        let (length, rest) = self.rest.split_at(close);
        let length = length.get(1..).unwrap_or_default();
        let length: usize = std::str::from_utf8(length)?.parse().context("a literal's length")?;
        let (text, rest) =
            rest.get(3..).unwrap_or_default().split_at_checked(length).context("a cut literal")?;
        self.rest = rest;
        Ok(Value::Text(text.to_vec()))
    }

    /// An atom; brackets belong to it with all that is in them, as in `BODY[HEADER.FIELDS (TO)]`.
    fn atom(&mut self) -> Value {
        let mut depth = 0_usize;
        let end = self.rest.iter().position(|&byte| {
            match byte {
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(byte, b' ' | b'(' | b')' | b'"' | b'\r' | b'\n')
        });
        let (atom, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match atom {
            b"NIL" => Value::Nil,
            _ => Value::Atom(String::from_utf8_lossy(atom).into_owned()),
        }
    }
}

/// What FETCH says of one message: its items by their names, in capitals (`UID`, `BODY[]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its sequence number.
    pub sequence: u32,
    items: BTreeMap<String, Value>,
}

impl Fetched {
    /// From the values of an untagged reply, if that is a FETCH.
    #[must_use]
    pub fn from_values(values: &[Value]) -> Option<Self> {
        let [sequence, Value::Atom(verb), Value::List(pairs)] = values else { return None };
        if verb != "FETCH" {
            return None;
        }
        let mut items = BTreeMap::new();
        for pair in pairs.chunks_exact(2) {
            if let [name, value] = pair {
                items.insert(name.text()?.to_uppercase(), value.clone());
            }
        }
        Some(Self { sequence: u32::try_from(sequence.number()?).ok()?, items })
    }

    /// An item that was asked for.
    pub fn item(&self, name: &str) -> Result<&Value> {
        self.items
            .get(name)
            .with_context(|| format!("the server did not send {name} of message {}", self.sequence))
    }

    /// An item that is a number.
    pub fn number(&self, name: &str) -> Result<u64> {
        let value = self.item(name)?;
        value.number().with_context(|| format!("{name} is not a number: {value}"))
    }

    /// The message's UID, which UID FETCH always sends.
    pub fn uid(&self) -> Result<u32> {
        Ok(u32::try_from(self.number("UID")?)?)
    }

    /// Its flags, sorted, without `\Recent`.
    pub fn flags(&self) -> Result<Vec<String>> {
        let flags = self.item("FLAGS")?.list().context("FLAGS is not a list")?;
        let mut flags: Vec<String> = flags.iter().filter_map(Value::text).collect();
        flags.retain(|flag| flag != "\\Recent");
        flags.sort_unstable();
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_reply_with_literals_brackets_and_nested_lists_is_parsed() {
        let line = b"1 FETCH (UID 7 FLAGS (\\Seen \\Recent b a) MODSEQ (12) \
                     BODY[HEADER.FIELDS (TO)] {4}\r\na)\"( BODY[] \"q\\\"\\\\\" X NIL)";
        let values = Value::parse_all(line).expect("well formed");
        let fetched = Fetched::from_values(&values).expect("a FETCH");
        assert_eq!(fetched.uid().expect("it has a UID"), 7);
        assert_eq!(fetched.number("MODSEQ").expect("it has a modseq"), 12);
        assert_eq!(fetched.flags().expect("it has flags"), ["\\Seen", "a", "b"]);
        let header = fetched.item("BODY[HEADER.FIELDS (TO)]").expect("it was sent");
        assert_eq!(header.bytes(), Some(&b"a)\"("[..]));
        assert_eq!(fetched.item("BODY[]").expect("sent").bytes(), Some(&b"q\"\\"[..]));
        assert_eq!(fetched.item("X").expect("sent"), &Value::Nil);
    }

    #[test]
    fn a_malformed_reply_is_an_error() {
        for line in [&b"(a"[..], b"a)", b"\"a", b"{9}\r\na", b"{x}\r\na"] {
            assert!(Value::parse_all(line).is_err(), "{}", line.escape_ascii());
        }
    }
}
