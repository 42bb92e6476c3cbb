//! Address lists as Cyrus reads them (`lib/parseaddr.c`: `parseaddr_list` and what it calls).
//!
//! Where Cyrus departs from RFC 5322: a domain is made of letters, digits, `-`, `[`, `]`, `:`, `@`
//! and single dots (in 3.13 of 8-bit bytes too), and anything else ends it; a local part without a domain gets
//! `unspecified-domain`; in `addr (comment)` the comment is the name; an unbalanced quote ends the
//! list and takes with it what it stood in; a comma after `<addr>` is not needed.

use super::arena::{Arena, Run, Span};
use super::cursor::{is_blank, is_space};
use super::dialect::CacheDialect;

/// One address, or the start or the end of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) name: Option<Span>,
    pub(super) route: Option<Span>,
    /// The local part, or the name of the group that begins; None where a group ends.
    pub(super) mailbox: Option<Span>,
    /// None for the start and the end of a group.
    pub(super) domain: Option<Span>,
}

const NO_DOMAIN: &[u8] = b"unspecified-domain";

/// Reads the value of an address field, folds and all.
pub(super) fn decode_addresses(value: &[u8], dialect: CacheDialect, arena: &mut Arena) -> Run {
    let start = arena.address_count();
    Reader { text: value, at: 0, dialect, arena }.list();
    arena.addresses_since(start)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    dialect: CacheDialect,
    arena: &'a mut Arena,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    fn peek_at(&self, distance: usize) -> u8 {
        self.text.get(self.at.saturating_add(distance)).copied().unwrap_or(0)
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn bump(&mut self) -> u8 {
        let byte = self.peek();
        self.step();
        byte
    }

    fn list(&mut self) {
        let mut in_group = false;
        loop {
            let (mut end, phrase) = self.phrase(if in_group { b",@<;" } else { b",@<:" });
            match end {
                b':' => {
                    self.push_group(Some(phrase));
                    in_group = true;
                }
                b'<' => end = self.angle_address(phrase),
                _ => {
                    if end == b'@' {
                        let comment;
                        let domain;
                        (end, domain, comment) = self.domain(true);
                        self.push(comment, Span::default(), phrase, domain);
                    } else if !phrase.is_empty() {
                        self.push(Span::default(), Span::default(), phrase, Span::default());
                    }
                    if end == b';' {
                        self.push_group(None);
                        in_group = false;
                    }
                }
            }
            if end == 0 {
                break;
            }
        }
        if in_group {
            self.push_group(None);
        }
    }

    /// What follows `<`, up to `>` or the end; the character it ends with.
    fn angle_address(&mut self, name: Span) -> u8 {
        let (mut end, mut mailbox) = self.phrase(b"@>");
        if end != b'@' {
            self.push(name, Span::default(), mailbox, Span::default());
            return end;
        }
        let mut route = Span::default();
        if mailbox.is_empty() {
            // `<@relay,@relay:local@domain>`: the route takes in the `@`.
            self.at = self.at.saturating_sub(1);
            (end, route) = self.route();
            if end != b':' {
                self.push(name, route, Span::default(), Span::default());
                return self.skip_to_angle(end);
            }
            (end, mailbox) = self.phrase(b"@>");
            if end != b'@' {
                self.push(name, route, mailbox, Span::default());
                return end;
            }
        }
        let (end, domain, _) = self.domain(false);
        self.push(name, route, mailbox, domain);
        self.skip_to_angle(end)
    }

    fn skip_to_angle(&mut self, mut byte: u8) -> u8 {
        while byte != 0 && byte != b'>' {
            byte = self.bump();
        }
        byte
    }

    fn push(&mut self, name: Span, route: Span, mailbox: Span, domain: Span) {
        let some = |span: Span| (!span.is_empty()).then_some(span);
        let domain = if domain.is_empty() { self.arena.store(NO_DOMAIN) } else { domain };
        self.arena.push_address(Address {
            name: some(name),
            route: some(route),
            mailbox: Some(mailbox),
            domain: Some(domain),
        });
    }

    /// The start of a group that has this name, or the end of one.
    fn push_group(&mut self, name: Option<Span>) {
        self.arena.push_address(Address { name: None, route: None, mailbox: name, domain: None });
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            match self.peek() {
                b'(' => {
                    self.step();
                    let mut level = 1_usize;
                    while level > 0 && self.peek() != 0 {
                        match self.bump() {
                            b'\\' if self.peek() != 0 => self.step(),
                            b'(' => level = level.saturating_add(1),
                            b')' => level = level.saturating_sub(1),
                            _ => {}
                        }
                    }
                }
                byte if is_space(byte) => self.step(),
                _ => break,
            }
        }
    }

    /// Words up to one of `ends` or the end of the list, without quotes, each stretch of white space
    /// and comments as one space. An unbalanced quote makes it empty and ends the list.
    fn phrase(&mut self, ends: &[u8]) -> (u8, Span) {
        self.skip_space_and_comments();
        let mark = self.arena.mark();
        loop {
            let byte = self.peek();
            match byte {
                b'"' => {
                    self.step();
                    if !self.quoted_string() {
                        return (0, Span::default());
                    }
                }
                _ if is_space(byte) || byte == b'(' => {
                    self.skip_space_and_comments();
                    self.arena.push(b' ');
                }
                _ if byte == 0 || ends.contains(&byte) => {
                    self.step();
                    if self.arena.tail(mark).last() == Some(&b' ') {
                        self.arena.pop();
                    }
                    return (byte, self.arena.since(mark));
                }
                _ => {
                    self.step();
                    self.arena.push(byte);
                }
            }
        }
    }

    /// The rest of a quoted string; false where none ends it.
    fn quoted_string(&mut self) -> bool {
        loop {
            let mut byte = self.bump();
            if byte == b'\\' && self.peek() == b'\r' && self.peek_at(1) == b'\n' {
                // A backslash right before a fold escapes nothing.
                byte = self.bump();
            }
            if byte == b'\r' && self.peek() == b'\n' {
                self.step();
                if is_blank(self.peek()) {
                    continue;
                }
                return false;
            }
            match byte {
                0 => return false,
                b'"' => return true,
                b'\r' | b'\n' => byte = b' ',
                b'\t' => {}
                byte if byte.is_ascii_control() => continue,
                b'\\' => {
                    byte = self.bump();
                    if byte == 0 {
                        return false;
                    }
                }
                _ => {}
            }
            self.arena.push(byte);
        }
    }

    /// A domain, the character that ends it, and the comment after it where `want_comment`.
    fn domain(&mut self, want_comment: bool) -> (u8, Span, Span) {
        self.skip_space_and_comments();
        let mut comment: Option<(usize, usize)> = None;
        let mark = self.arena.mark();
        let end = loop {
            let byte = self.peek();
            match byte {
                b'-' | b'[' | b']' | b':' | b'@' => {
                    self.step();
                    self.arena.push(byte);
                    comment = None;
                }
                _ if self.stands_in_domains(byte) => {
                    self.step();
                    self.arena.push(byte);
                    comment = None;
                }
                b'.' => {
                    self.step();
                    if !matches!(self.arena.tail(mark).last(), None | Some(b'.')) {
                        self.arena.push(byte);
                    }
                    comment = None;
                }
                b'(' if want_comment => {
                    self.step();
                    comment = Some(self.skip_domain_comment());
                }
                b'(' => self.skip_space_and_comments(),
                _ if is_space(byte) => self.step(),
                _ => {
                    self.step();
                    break byte;
                }
            }
        };
        if self.arena.tail(mark).last() == Some(&b'.') {
            self.arena.pop();
        }
        let domain = self.arena.since(mark);
        let comment = comment.map(|(start, end)| self.store_comment(start, end));
        (end, domain, comment.unwrap_or_default())
    }

    fn stands_in_domains(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || !byte.is_ascii() && self.dialect.takes_8bit_domains()
    }

    /// Steps over a comment whose `(` is behind; where its text begins and ends.
    fn skip_domain_comment(&mut self) -> (usize, usize) {
        let start = self.at;
        let mut level = 1_usize;
        while self.peek() != 0 {
            match self.bump() {
                b'(' => level = level.saturating_add(1),
                b')' => {
                    level = level.saturating_sub(1);
                    if level == 0 {
                        return (start, self.at.saturating_sub(1));
                    }
                }
                b'\\' if self.peek() != 0 => self.step(),
                _ => {}
            }
        }
        (start, self.at)
    }

    /// Stores a comment's text without the backslashes of its escapes.
    fn store_comment(&mut self, start: usize, end: usize) -> Span {
        let mark = self.arena.mark();
        let mut escaped = false;
        for &byte in self.text.get(start..end).unwrap_or_default() {
            if byte == b'\\' && !escaped {
                escaped = true;
                continue;
            }
            escaped = false;
            self.arena.push(byte);
        }
        self.arena.since(mark)
    }

    /// A source route, and the character that ends it.
    fn route(&mut self) -> (u8, Span) {
        self.skip_space_and_comments();
        let mark = self.arena.mark();
        loop {
            let byte = self.peek();
            match byte {
                b'-' | b'[' | b']' | b',' | b'@' => {
                    self.step();
                    self.arena.push(byte);
                }
                _ if byte.is_ascii_alphanumeric() => {
                    self.step();
                    self.arena.push(byte);
                }
                b'.' => {
                    self.step();
                    if !matches!(self.arena.tail(mark).last(), None | Some(b'.')) {
                        self.arena.push(byte);
                    }
                }
                _ if is_space(byte) || byte == b'(' => self.skip_space_and_comments(),
                _ => {
                    self.step();
                    while matches!(self.arena.tail(mark).last(), Some(b'.' | b',' | b'@')) {
                        self.arena.pop();
                    }
                    return (byte, self.arena.since(mark));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address as `name|route|mailbox|domain`, `-` for what is not there.
    fn read(value: &str) -> Vec<String> {
        read_in(CacheDialect::Cyrus36, value)
    }

    fn read_in(dialect: CacheDialect, value: &str) -> Vec<String> {
        let mut arena = Arena::default();
        let run = decode_addresses(value.as_bytes(), dialect, &mut arena);
        let show = |span: Option<Span>| {
            span.map_or("-".into(), |span| String::from_utf8_lossy(arena.text(span)).into_owned())
        };
        let of = |a: &Address| [a.name, a.route, a.mailbox, a.domain].map(show).join("|");
        arena.addresses(run).iter().map(of).collect()
    }

    #[test]
    fn names_come_from_the_phrase_or_from_the_comment() {
        assert_eq!(
            read(" Ann Other <ann@x.org>, bob@y.org (Bob)"),
            ["Ann Other|-|ann|x.org", "Bob|-|bob|y.org"]
        );
        assert_eq!(read(r#""O, \"A\"" <a@x>"#), [r#"O, "A"|-|a|x"#]);
    }

    #[test]
    fn a_group_has_a_start_and_an_end() {
        assert_eq!(
            read("friends: a@x, b@y;, c@z"),
            ["-|-|friends|-", "-|-|a|x", "-|-|b|y", "-|-|-|-", "-|-|c|z"]
        );
        assert_eq!(read("open: a@x"), ["-|-|open|-", "-|-|a|x", "-|-|-|-"]);
    }

    #[test]
    fn a_route_is_kept_apart() {
        assert_eq!(read("<@a.x,@b.y:c@d.z>"), ["-|@a.x,@b.y|c|d.z"]);
    }

    #[test]
    fn a_missing_domain_is_named_so() {
        assert_eq!(read("postmaster"), ["-|-|postmaster|unspecified-domain"]);
        assert_eq!(read("<>"), ["-|-||unspecified-domain"]);
    }

    #[test]
    fn an_8bit_byte_ends_a_domain_before_3_13() {
        let value = "a@b\u{fc}.org (x)";
        assert_eq!(read(value)[0], "-|-|a|b");
        assert_eq!(read_in(CacheDialect::Cyrus313, value), ["x|-|a|b\u{fc}.org"]);
    }

    #[test]
    fn an_unbalanced_quote_ends_the_list() {
        assert_eq!(read("a@x, \"b c@y"), ["-|-|a|x"]);
    }

    #[test]
    fn a_fold_inside_quotes_is_taken_out() {
        assert_eq!(read("\"a\r\n b\" <c@d>"), ["a b|-|c|d"]);
    }
}
