//! The boundaries of the multiparts around a place in a message, and the lines that match them
//! (`imap/message.c`: `message_pendingboundary`).
//!
//! Where Cyrus departs from RFC 2046: all enclosing boundaries are looked for at once, the outermost
//! first; a line matches if a boundary is followed by white space, or by at most one other byte that
//! ends the line or the message; `--` after the boundary ends that multipart and all inside it,
//! whatever follows. A multipart inside which the message ends takes all outer ones with it.

use super::arena::{Arena, Span};
use super::charsets;
use super::cursor::is_space;
use super::parameters::Parameter;
use super::transfer_encoding::hex_digit;

#[derive(Debug, Default)]
pub(super) struct Boundaries {
    pending: Vec<Span>,
}

impl Boundaries {
    pub(super) fn push(&mut self, boundary: Span) {
        self.pending.push(boundary);
    }

    pub(super) fn depth(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Whether `line`, line end included, is a delimiter. A closing one ends its multipart and those
    /// inside.
    pub(super) fn delimits(&mut self, line: &[u8], arena: &Arena) -> bool {
        let Some(line) = line.strip_prefix(b"--") else { return false };
        for (index, &boundary) in self.pending.iter().enumerate() {
            let Some(after) = line.strip_prefix(arena.text(boundary)) else { continue };
            if after.starts_with(b"--") {
                self.pending.truncate(index);
                return true;
            }
            match *after {
                [next, _, ..] if next != 0 && !is_space(next) => {}
                _ => return true,
            }
        }
        false
    }
}

/// The boundary that the parameters of a multipart name, in the extended form of RFC 2231 too.
pub(super) fn decode_boundary(parameters: &[Parameter], arena: &Arena) -> Option<Vec<u8>> {
    for parameter in parameters {
        let value = arena.text(parameter.value);
        match arena.text(parameter.attribute) {
            b"BOUNDARY" => return Some(value.to_vec()),
            b"BOUNDARY*" => {
                return Some(decode_extended_value(value).unwrap_or_else(|| value.to_vec()));
            }
            _ => {}
        }
    }
    None
}

/// Decodes `charset'language'text` (`charset_parse_mimexvalue`); None where it is not of that form.
fn decode_extended_value(value: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = value.splitn(3, |&byte| byte == b'\'');
    let charset = charsets::lookup(pieces.next()?)?;
    let _language = pieces.next()?;
    let mut text = pieces.next()?;
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte == b'%' {
            let [high, low, rest @ ..] = rest else { return None };
            bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
            text = rest;
        } else {
            bytes.push(byte);
        }
    }
    let mut decoded = Vec::new();
    charsets::ToUtf8::new(charset).decode(&bytes, &mut decoded);
    let length = memchr::memchr(0, &decoded).unwrap_or(decoded.len());
    decoded.truncate(length);
    Some(decoded)
}
