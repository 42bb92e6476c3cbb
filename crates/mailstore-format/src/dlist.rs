//! Cyrus's serialisation of nested values, as in `cyrus.header` and `mailboxes.db`
//! (`imap/dlist.c`). The grammar is in `docs/format/dlist.md`.
//!
//! What [`encode`] writes is what Cyrus would write for the same value, so a value that Cyrus wrote
//! comes back byte for byte.
//!
//! ```
//! use mailstore_format::dlist::{self, Dlist};
//!
//! let bytes = b"%(T e P default V 1795235995 A %(erin lrs anyone \"\"))";
//! let value = dlist::parse_whole(bytes)?;
//! assert_eq!(value.get(b"V").and_then(Dlist::as_u64), Some(1_795_235_995));
//! assert_eq!(dlist::encode(&value), bytes);
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

use crate::{DecodeError, Guid};

/// How deeply lists may nest. Cyrus nests four deep; the bound keeps hostile bytes off the stack.
pub const MAX_DEPTH: usize = 64;

/// From this length on Cyrus writes a literal, whatever the bytes (`lib/prot.c`, `MAXQSTRING`;
/// `lib/imparse.c`, `imparse_isnatom`).
const LITERAL_FROM: usize = 1024;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dlist {
    /// `NIL`: no value.
    Nil,
    /// A string, a number, a date or a GUID: the text alone does not tell them apart. Written bare,
    /// quoted or as a literal, as the bytes demand.
    Atom(Vec<u8>),
    /// An IMAP flag with its backslash, such as `\Seen`: always written bare.
    Flag(Vec<u8>),
    /// `(a b c)`. A list of pairs that carries no mark of it (`dlist_newpklist`) reads as this too.
    List(Vec<Dlist>),
    /// `%(key value key value)`, in the order of the bytes, repeated keys included.
    Kv(Vec<(Vec<u8>, Dlist)>),
    /// `%{partition guid size}` and the message itself: only in replication and backup streams.
    File(Box<DlistFile>),
}

/// A message in transit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlistFile {
    /// The partition it is to lie on.
    pub partition: Vec<u8>,
    /// The GUID that was announced; nothing here checks it against `contents`.
    pub guid: Guid,
    /// The bytes of the message.
    pub contents: Vec<u8>,
}

impl Dlist {
    /// The string `bytes`.
    pub fn atom(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Atom(bytes.into())
    }

    /// The number `number` in decimal, as `dlist_setnum64` writes it.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self::Atom(number.to_string().into_bytes())
    }

    /// The value of the first pair under `key` (`dlist_getchild`); `None` where there is none, or
    /// this is not [`Dlist::Kv`].
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Self> {
        self.as_kv()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The bytes of a string or a flag.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(bytes) | Self::Flag(bytes) => Some(bytes),
            Self::Nil | Self::List(_) | Self::Kv(_) | Self::File(_) => None,
        }
    }

    /// The value of a string that is one decimal number and nothing else (`dlist_tonum64`).
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        digits(self, u8::is_ascii_digit, 10)
    }

    /// As [`Dlist::as_u64`], where the number must fit 32 bits.
    #[must_use]
    pub fn as_u32(&self) -> Option<u32> {
        u32::try_from(self.as_u64()?).ok()
    }

    /// The value of a string that is one hexadecimal number and nothing else (`dlist_tohex64`).
    #[must_use]
    pub fn as_hex64(&self) -> Option<u64> {
        digits(self, u8::is_ascii_hexdigit, 16)
    }

    /// The members of a plain list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(members) => Some(members),
            _ => None,
        }
    }

    /// The pairs of a keyed list, in the order of the bytes.
    #[must_use]
    pub fn as_kv(&self) -> Option<&[(Vec<u8>, Self)]> {
        match self {
            Self::Kv(pairs) => Some(pairs),
            _ => None,
        }
    }
}

fn digits(value: &Dlist, is_digit: fn(&u8) -> bool, radix: u32) -> Option<u64> {
    let Dlist::Atom(bytes) = value else { return None };
    // `from_str_radix` would take a sign, which Cyrus does not.
    let text = bytes.iter().all(is_digit).then(|| std::str::from_utf8(bytes).ok())??;
    u64::from_str_radix(text, radix).ok()
}

/// Reads one value from the start of `bytes`; returns it and how many bytes it took.
///
/// Accepts what Cyrus's readers accept (`dlist_parse`, `dlist_parsesax`): any white space between
/// the members of a list, literals with and without `+`.
///
/// # Errors
/// Where the bytes are not a value, end within it, or nest deeper than [`MAX_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<(Dlist, usize), DecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(MAX_DEPTH)?;
    Ok((value, reader.at))
}

/// Reads one value that must be all of `bytes`.
///
/// # Errors
/// As [`parse`], and where bytes follow the value.
pub fn parse_whole(bytes: &[u8]) -> Result<Dlist, DecodeError> {
    let (value, used) = parse(bytes)?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        left => {
            Err(DecodeError::new(used as u64, "dlist", "the end", format!("{left} more bytes")))
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// C's `isspace`, which knows the vertical tab, unlike Rust's.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn ends_atom(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'(' | b')' | b'"')
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn error(&self, expected: &str) -> DecodeError {
        let found = match self.peek() {
            Some(byte) => format!("'{}'", byte.escape_ascii()),
            None => "the end".to_owned(),
        };
        DecodeError::new(self.at as u64, "dlist", expected, found)
    }

    fn expect(&mut self, wanted: u8, expected: &str) -> Result<(), DecodeError> {
        if self.peek() != Some(wanted) {
            return Err(self.error(expected));
        }
        self.next();
        Ok(())
    }

    fn skip_spaces(&mut self) {
        let spaces = self.rest().iter().take_while(|&&byte| is_space(byte)).count();
        self.at = self.at.saturating_add(spaces);
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        let taken = rest.get(..length).ok_or_else(|| {
            DecodeError::truncated(self.at as u64, "dlist literal", length, rest.len())
        })?;
        self.at = self.at.saturating_add(length);
        Ok(taken)
    }

    fn value(&mut self, depth: usize) -> Result<Dlist, DecodeError> {
        match self.peek() {
            Some(b'(') => {
                self.next();
                self.list(depth, Self::value).map(Dlist::List)
            }
            Some(b'%') => {
                self.next();
                match self.next() {
                    Some(b'(') => self.list(depth, Self::pair).map(Dlist::Kv),
                    Some(b'{') => self.file().map(|file| Dlist::File(Box::new(file))),
                    _ => Err(self.error("( or { after %")),
                }
            }
            Some(b'\\') => self.bare().map(|flag| Dlist::Flag(flag.to_vec())),
            Some(b'"' | b'{') => self.string().map(Dlist::Atom),
            _ => Ok(match self.bare()? {
                b"NIL" => Dlist::Nil,
                atom => Dlist::Atom(atom.to_vec()),
            }),
        }
    }

    fn list<T>(
        &mut self,
        depth: usize,
        member: impl Fn(&mut Self, usize) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let inner = depth.checked_sub(1).ok_or_else(|| self.error("lists less deeply nested"))?;
        let mut members = Vec::new();
        loop {
            self.skip_spaces();
            if self.peek() == Some(b')') {
                self.next();
                return Ok(members);
            }
            members.push(member(self, inner)?);
        }
    }

    fn pair(&mut self, depth: usize) -> Result<(Vec<u8>, Dlist), DecodeError> {
        let key = self.string()?;
        if !self.peek().is_some_and(is_space) {
            return Err(self.error("a space after the key"));
        }
        self.skip_spaces();
        Ok((key, self.value(depth)?))
    }

    fn string(&mut self) -> Result<Vec<u8>, DecodeError> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => {
                self.next();
                let length = self.number()?;
                if self.peek() == Some(b'+') {
                    self.next();
                }
                self.expect(b'}', "} after the length")?;
                self.expect(b'\r', "CR after }")?;
                self.expect(b'\n', "LF after CR")?;
                self.take(length).map(<[u8]>::to_vec)
            }
            _ => self.bare().map(<[u8]>::to_vec),
        }
    }

    fn bare(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.rest().iter().take_while(|&&byte| !ends_atom(byte)).count();
        if length == 0 {
            return Err(self.error("a value"));
        }
        self.take(length)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.expect(b'"', "a quoted string")?;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.next();
                    return Ok(text);
                }
                None | Some(b'\r' | b'\n') => return Err(self.error("a closing quote")),
                Some(b'\\') => {
                    self.next();
                    let quoted = self.next().ok_or_else(|| self.error("a character after \\"))?;
                    text.push(quoted);
                }
                Some(byte) => {
                    self.next();
                    text.push(byte);
                }
            }
        }
    }

    fn number(&mut self) -> Result<usize, DecodeError> {
        let length = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let start = self.at;
        let text = std::str::from_utf8(self.take(length)?).unwrap_or_default();
        text.parse().map_err(|_| {
            DecodeError::new(start as u64, "dlist literal", "a length", format!("{text:?}"))
        })
    }

    fn file(&mut self) -> Result<DlistFile, DecodeError> {
        let partition = self.string()?;
        self.expect(b' ', "a space after the partition")?;
        let start = self.at;
        let text = self.string()?;
        let guid = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        let guid = guid.ok_or_else(|| {
            let found = text.escape_ascii().to_string();
            DecodeError::new(start as u64, "dlist file", "40 hexadecimal digits", found)
        })?;
        self.expect(b' ', "a space after the GUID")?;
        let size = self.number()?;
        self.expect(b'}', "} after the size")?;
        if self.peek() == Some(b'\r') {
            self.next();
        }
        self.expect(b'\n', "LF after the size")?;
        Ok(DlistFile { partition, guid, contents: self.take(size)?.to_vec() })
    }
}

/// What a release lets into an atom (`imparse_isnatom`): they differ in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtomRule {
    /// 0x1f, which separates the levels of a mailbox name in `mailboxes.db`, is let in: 3.6.
    #[default]
    WithUnitSeparator,
    /// It is not: 3.13.
    WithoutUnitSeparator,
}

/// The bytes Cyrus 3.6 writes for `value` (`dlist_printbuf` without a key).
#[must_use]
pub fn encode(value: &Dlist) -> Vec<u8> {
    encode_by(value, AtomRule::default())
}

/// As [`encode`], by the rule of another release.
#[must_use]
pub fn encode_by(value: &Dlist, rule: AtomRule) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, Style { rule, one_line: false }, &mut out);
    out
}

/// As [`encode`], on one line: for files that Cyrus reads line by line. What it would write as a literal,
/// whose length ends a line, stands in quotes, as it reads it too (`_parseqstring`).
#[must_use]
pub fn encode_line(value: &Dlist) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, Style { rule: AtomRule::default(), one_line: true }, &mut out);
    out
}

/// How values are written.
#[derive(Debug, Clone, Copy)]
struct Style {
    rule: AtomRule,
    one_line: bool,
}

fn encode_into(value: &Dlist, style: Style, out: &mut Vec<u8>) {
    match value {
        Dlist::Nil => out.extend_from_slice(b"NIL"),
        Dlist::Atom(bytes) => encode_string(bytes, style, out),
        Dlist::Flag(bytes) => match bytes.split_first() {
            Some((b'\\', name)) if !name.iter().any(|&byte| ends_atom(byte)) => {
                out.extend_from_slice(bytes);
            }
            _ => encode_string(bytes, style, out),
        },
        Dlist::List(members) => {
            out.push(b'(');
            for (nth, member) in members.iter().enumerate() {
                if nth > 0 {
                    out.push(b' ');
                }
                encode_into(member, style, out);
            }
            out.push(b')');
        }
        Dlist::Kv(pairs) => {
            out.extend_from_slice(b"%(");
            for (nth, (key, value)) in pairs.iter().enumerate() {
                if nth > 0 {
                    out.push(b' ');
                }
                encode_string(key, style, out);
                out.push(b' ');
                encode_into(value, style, out);
            }
            out.push(b')');
        }
        Dlist::File(file) => {
            out.extend_from_slice(b"%{");
            encode_string(&file.partition, style, out);
            let (guid, size) = (file.guid, file.contents.len());
            out.extend_from_slice(format!(" {guid} {size}}}\r\n").as_bytes());
            out.extend_from_slice(&file.contents);
        }
    }
}

/// As `prot_printastring` and, for bytes with a NUL, `prot_printliteral` (`lib/prot.c`).
fn encode_string(bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    if is_atom(bytes, style.rule) {
        out.extend_from_slice(bytes);
    } else if is_quotable(bytes) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    } else if style.one_line {
        let escaped = |byte: &u8| matches!(byte, b'"' | b'\\').then_some(b'\\');
        out.push(b'"');
        out.extend(bytes.iter().flat_map(|byte| escaped(byte).into_iter().chain([*byte])));
        out.push(b'"');
    } else {
        // With the `+`, as to a client that need not wait: Cyrus's buffers pass for clients.
        out.extend_from_slice(format!("{{{}+}}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    }
}

fn is_atom(bytes: &[u8], rule: AtomRule) -> bool {
    let lowest = match rule {
        AtomRule::WithUnitSeparator => 0x1f,
        AtomRule::WithoutUnitSeparator => 0x20,
    };
    let in_atom = |&byte: &u8| {
        (lowest..0x7f).contains(&byte)
            && !matches!(byte, b' ' | b'{' | b'(' | b')' | b'"' | b'%' | b'*' | b'\\')
    };
    !bytes.is_empty() && bytes.len() < LITERAL_FROM && bytes != b"NIL" && bytes.iter().all(in_atom)
}

fn is_quotable(bytes: &[u8]) -> bool {
    let in_quotes =
        |&byte: &u8| byte < 0x80 && !matches!(byte, 0 | b'\r' | b'\n' | b'"' | b'%' | b'\\');
    bytes.len() < LITERAL_FROM && bytes.iter().all(in_quotes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn on_one_line_nothing_is_a_literal() {
        let value = Dlist::List(vec![Dlist::Atom(b"caf\xc3\xa9 \"\\%".to_vec()), Dlist::Nil]);
        let line = encode_line(&value);
        assert_eq!(line, b"(\"caf\xc3\xa9 \\\"\\\\%\" NIL)");
        assert_eq!(parse(&line), Ok((value, line.len())));
    }

    #[test]
    fn what_cyrus_wrote_is_written_back_byte_for_byte() {
        for bytes in [
            &b"%(T e N user.erin.&AOk-t&AOk- I qgx5pjpgbh9kpj93f5knvet2 Q user.erin A %(erin lrs))"[..],
            b"%(T ei I 11bt3fji0y5vaoninu64vsgh M 1795235994)",
            b"%(N user\x1ferin A %(\"a b\" lrs anyone \"\") H () U ($Forwarded NIL \"NIL\" \\Seen))",
            b"%(k {3+}\r\na%b \"nil?*\" NIL)",
            b"()",
        ] {
            let value = parse_whole(bytes).expect("a value of Cyrus's own");
            assert_eq!(encode(&value).escape_ascii().to_string(), bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_unit_separator_is_bare_or_quoted_by_the_rule_of_the_release() {
        let value = Dlist::atom(*b"user\x1ferin");
        assert_eq!(encode_by(&value, AtomRule::WithUnitSeparator), b"user\x1ferin");
        assert_eq!(encode_by(&value, AtomRule::WithoutUnitSeparator), b"\"user\x1ferin\"");
    }

    #[test]
    fn a_value_ends_where_it_ends_and_says_so() {
        assert_eq!(
            parse(b"%(a 1)\nrest"),
            Ok((Dlist::Kv(vec![(b"a".to_vec(), Dlist::number(1))]), 6))
        );
        let error = parse_whole(b"%(a 1)\nrest").expect_err("bytes are left over");
        assert_eq!((error.offset, error.field), (6, "dlist"));
    }

    #[test]
    fn nil_in_quotes_is_a_string_and_bare_is_none() {
        let value = parse_whole(b"(NIL \"NIL\" {3}\r\nNIL)").expect("a list");
        let string = Dlist::atom(*b"NIL");
        assert_eq!(value.as_list(), Some(&[Dlist::Nil, string.clone(), string][..]));
    }

    #[test]
    fn a_number_is_digits_only_and_must_fit() {
        assert_eq!(Dlist::atom(*b"18446744073709551615").as_u64(), Some(u64::MAX));
        assert_eq!(Dlist::atom(*b"18446744073709551616").as_u64(), None);
        assert_eq!(Dlist::atom(*b"+1").as_u64(), None);
        assert_eq!(Dlist::atom(*b"").as_u64(), None);
        assert_eq!(Dlist::atom(*b"4294967296").as_u32(), None);
        assert_eq!(Dlist::atom(*b"00ff").as_hex64(), Some(255));
    }

    #[test]
    fn a_string_of_1024_bytes_becomes_a_literal() {
        assert_eq!(encode(&Dlist::atom(vec![b'a'; 1023])).len(), 1023);
        assert!(encode(&Dlist::atom(vec![b'a'; 1024])).starts_with(b"{1024+}\r\naaa"));
    }

    #[test]
    fn a_literal_longer_than_the_input_is_an_error_not_an_allocation() {
        let error = parse(b"{18446744073709551615}\r\nx").expect_err("it cannot be there");
        assert_eq!(error.offset, 24);
        assert!(parse(b"{99999999999999999999999}\r\nx").is_err());
    }

    #[test]
    fn lists_nested_too_deeply_are_an_error_not_a_stack_overflow() {
        let deep = |levels| [vec![b'('; levels], vec![b')'; levels]].concat();
        assert!(parse_whole(&deep(MAX_DEPTH)).is_ok());
        assert!(parse_whole(&deep(MAX_DEPTH + 1)).is_err());
        assert!(parse(&vec![b'('; 1_000_000]).is_err());
    }

    #[test]
    fn an_unfinished_value_is_an_error() {
        for bytes in
            [&b""[..], b"(", b"%", b"%(a", b"%(a ", b"\"a", b"\"a\\", b"{", b"{2}\r\na", b"%{p"]
        {
            assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    fn any_value() -> impl Strategy<Value = Dlist> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..12);
        let leaf = prop_oneof![
            Just(Dlist::Nil),
            bytes().prop_map(Dlist::Atom),
            "[a-zA-Z0-9._$-]{0,9}".prop_map(|text| Dlist::Atom(text.into_bytes())),
            "[a-zA-Z]{0,9}".prop_map(|text| Dlist::Flag(format!("\\{text}").into_bytes())),
            (bytes(), bytes()).prop_map(|(partition, contents)| {
                let guid = Guid::of(&contents);
                Dlist::File(Box::new(DlistFile { partition, guid, contents }))
            }),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Dlist::List),
                prop::collection::vec((bytes(), inner), 0..6).prop_map(Dlist::Kv),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_survives_encoding_and_parsing(value in any_value()) {
            prop_assert_eq!(parse_whole(&encode(&value)), Ok(value));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"()%{}\"\\ +\r\n1N"[..])], 0..64),
        ) {
            if let Ok((value, used)) = parse(&bytes) {
                prop_assert!(used <= bytes.len());
                prop_assert_eq!(parse_whole(&encode(&value)), Ok(value));
            }
        }
    }
}
