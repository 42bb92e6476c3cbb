//! Whom a message is from.

use mail_parser::{Address, HeaderName, HeaderValue};

use super::header::Header;
use super::text::one_line;

/// Bytes of an address: RFC 5321 allows no more.
const MAX_ADDRESS: usize = 254;

/// Bytes of a `From` that is believed: far more than one mailbox takes, and never cut off.
const MAX_FROM: u32 = 2048;

/// Who wrote a message, as its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The address as written: a local part, `@`, a domain; no spaces, quotes or brackets.
    pub address: String,
    /// The name before it, where there is one.
    pub name: String,
}

impl Sender {
    /// The one mailbox of all `From` fields.
    pub(super) fn of(header: &Header<'_>) -> Option<Self> {
        let mut fields = header.fields().iter().filter(|field| field.name == HeaderName::From);
        let (field, None) = (fields.next()?, fields.next()) else { return None };
        if field.offset_end.saturating_sub(field.offset_start) > MAX_FROM {
            return None;
        }
        let HeaderValue::Address(Address::List(mailboxes)) = &field.value else { return None };
        let [mailbox] = mailboxes.as_slice() else { return None };
        let address = mailbox.address().filter(|address| is_address(address))?.to_owned();
        // The parser takes `er(x)in@example.org` for the address of `in`.
        if !stands_alone(&address, &String::from_utf8_lossy(header.raw(field))) {
            return None;
        }
        Some(Self { address, name: one_line(mailbox.name().unwrap_or_default(), MAX_ADDRESS) })
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }
}

/// Whether the address stands in the field as a whole, with nothing at its ends that could belong to
/// another.
fn stands_alone(address: &str, field: &str) -> bool {
    field.match_indices(address).any(|(at, _)| {
        let before = field.get(..at).and_then(|before| before.chars().next_back());
        let after = field.get(at + address.len()..).and_then(|after| after.chars().next());
        before.is_none_or(|before| before.is_whitespace() || before == '<')
            && after.is_none_or(|after| after.is_whitespace() || after == '>')
    })
}

/// Whether it is a plain address: one `@` with something on both sides. None begins like an option
/// of a command.
pub(super) fn is_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|each| each.is_alphanumeric() || is_mark(each))
    };
    text.len() <= MAX_ADDRESS
        && !text.starts_with('-')
        && text.split_once('@').is_some_and(|(local, domain)| is_plain(local) && is_plain(domain))
}

/// Marks in names of accounts and in addresses.
pub(super) fn is_mark(character: char) -> bool {
    "._-+=&'!#$%*/?^`{|}~".contains(character)
}

/// Where the mail system returns a message to: what it noted in `Return-Path`, else in the line that
/// begins a message in an mbox. Empty: to nobody.
pub(super) fn envelope(header: &Header<'_>, mbox_line: Option<&[u8]>) -> Option<String> {
    let of_line = || {
        let line = String::from_utf8_lossy(mbox_line?);
        Some(line.split_whitespace().nth(1).unwrap_or_default().to_owned())
    };
    let path = header.text("Return-Path").map(str::to_owned).or_else(of_line)?;
    let path = path.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let path = if path == "MAILER-DAEMON" { "" } else { path };
    Some(one_line(path, MAX_ADDRESS))
}
