//! The `; attribute=value` lists of Content-Type and Content-Disposition, and their RFC 2231
//! continuations (`imap/message.c`: `message_parse_params`, `message_fold_params`).
//!
//! Where Cyrus departs from RFC 2045: a value may be any text up to `;` or a comment, 8-bit bytes,
//! blanks and tspecials included, and keeps the line ends of folds inside it; an empty value takes
//! the `;` after it; a parameter that cannot be read is skipped, not the list.

use std::collections::{HashMap, VecDeque};

use super::arena::{Arena, Run, Span};
use super::cursor::{Cursor, is_blank, is_space};

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parameter {
    /// In capitals. Empty for the entries of a Content-Language list.
    pub(super) attribute: Span,
    pub(super) value: Span,
}

/// A byte that cannot be part of a MIME token (RFC 2045, `tspecials`, controls and 8-bit).
pub(super) fn is_token_breaker(byte: u8) -> bool {
    !(b' '..0x80).contains(&byte) || b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// What became of one attempt to read a parameter.
enum Outcome {
    Stored,
    Unreadable,
    ListEnds,
}

/// Reads a list that begins after its first `;` and runs to the end of its header, then joins its
/// continuations.
pub(super) fn decode_parameters(mut cursor: Cursor<'_>, arena: &mut Arena) -> Run {
    let start = arena.parameter_count();
    loop {
        match decode_parameter(&mut cursor, arena) {
            Outcome::Stored => {}
            Outcome::Unreadable => {
                while !matches!(cursor.peek(), b';' | b'\r' | b'\n' | 0) {
                    cursor.advance(1);
                }
                if cursor.peek() == b';' {
                    cursor.advance(1);
                }
            }
            Outcome::ListEnds => break,
        }
    }
    join_continuations(start, arena);
    arena.parameters_since(start)
}

fn decode_parameter(cursor: &mut Cursor<'_>, arena: &mut Arena) -> Outcome {
    if !cursor.skip_space_and_comments() {
        return Outcome::ListEnds;
    }
    let attribute_start = cursor.position();
    loop {
        match cursor.peek() {
            0 | b'=' | b'(' => break,
            byte if is_space(byte) => break,
            byte if is_token_breaker(byte) => return Outcome::Unreadable,
            _ => cursor.advance(1),
        }
    }
    let attribute = cursor.since(attribute_start);
    if !cursor.skip_space_and_comments() {
        return Outcome::ListEnds;
    }
    if cursor.bump() != b'=' {
        return Outcome::Unreadable;
    }
    if !cursor.skip_space_and_comments() {
        return Outcome::ListEnds;
    }

    let value_start = cursor.position();
    let quoted = cursor.peek() == b'"';
    if quoted {
        if !skip_quoted_string(cursor) {
            return Outcome::ListEnds;
        }
    } else if !skip_loose_token(cursor) {
        return Outcome::Unreadable;
    }
    let value = cursor.since(value_start);

    if cursor.skip_space_and_comments() && cursor.bump() != b';' {
        return Outcome::Unreadable;
    }
    let attribute = arena.store_uppercase(attribute);
    let value = if quoted { store_unquoted(value, arena) } else { arena.store(value) };
    arena.push_parameter(Parameter { attribute, value });
    Outcome::Stored
}

/// Steps over a quoted string; false where the header ends inside it.
fn skip_quoted_string(cursor: &mut Cursor<'_>) -> bool {
    cursor.advance(1);
    loop {
        match cursor.peek() {
            0 => return false,
            b'"' => {
                cursor.advance(1);
                return true;
            }
            b'\\' => {
                cursor.advance(1);
                if cursor.peek() == 0 {
                    return false;
                }
            }
            _ => {}
        }
        // An escaped carriage return ends the header as a bare one does.
        if cursor.peek() == b'\r' {
            if !cursor.at_fold() {
                return false;
            }
            cursor.advance(2);
        }
        cursor.advance(1);
    }
}

/// Stores what stands between the quotes of a quoted string, without escapes and folds.
fn store_unquoted(quoted: &[u8], arena: &mut Arena) -> Span {
    let mark = arena.mark();
    let mut cursor = Cursor::starting_at(quoted, 1);
    loop {
        match cursor.peek() {
            0 | b'"' => break,
            b'\\' => cursor.advance(1),
            b'\r' => cursor.advance(2),
            _ => {}
        }
        arena.push(cursor.bump());
    }
    arena.since(mark)
}

/// Steps over an unquoted value, leaving out blanks at its end; false at a control character.
fn skip_loose_token(cursor: &mut Cursor<'_>) -> bool {
    let mut last = cursor.position();
    loop {
        match cursor.peek() {
            0 | b';' | b'(' => break,
            b'\r' => {
                if !cursor.at_fold() {
                    break;
                }
                cursor.advance(2);
            }
            byte if is_blank(byte) => cursor.advance(1),
            byte if byte < b' ' => return false,
            _ => {
                last = cursor.position();
                cursor.advance(1);
            }
        }
    }
    cursor.go_to(last.saturating_add(1));
    true
}

/// The name and form of a first section: `NAME*0` or `NAME*0*` (extended).
fn first_section(attribute: &[u8]) -> Option<(&[u8], bool)> {
    let asterisk = memchr::memchr(b'*', attribute)?;
    let (name, section) = attribute.split_at_checked(asterisk)?;
    match section {
        b"*0" => Some((name, false)),
        b"*0*" => Some((name, true)),
        _ => None,
    }
}

/// Joins `NAME*0`, `NAME*1`, … into `NAME` (or `NAME*`, if any section is extended), dropping the
/// sections joined. At most 100 sections; their order in the list does not matter.
fn join_continuations(start: usize, arena: &mut Arena) {
    let count = arena.parameter_count();
    let attribute_of = |arena: &Arena, index: usize| {
        let run = arena.parameters_since(start);
        let span = arena.parameters(run).get(index.saturating_sub(start))?.attribute;
        Some(span)
    };
    let starts_value = |arena: &Arena, index: usize| {
        attribute_of(arena, index).is_some_and(|span| first_section(arena.text(span)).is_some())
    };
    if !(start..count).any(|index| starts_value(arena, index)) {
        return;
    }

    // By attribute, the places of the sections that nothing has joined yet, in list order.
    let mut sections: HashMap<Vec<u8>, VecDeque<usize>> = HashMap::new();
    for index in start..count {
        let attribute = attribute_of(arena, index).map(|span| arena.text(span)).unwrap_or_default();
        if attribute.contains(&b'*') {
            sections.entry(attribute.to_vec()).or_default().push_back(index);
        }
    }
    let mut joined = vec![false; count.saturating_sub(start)];
    for index in start..count {
        if joined.get(index.saturating_sub(start)) == Some(&true) {
            continue;
        }
        let Some(attribute) = attribute_of(arena, index) else { continue };
        let Some((name, mut extended)) = first_section(arena.text(attribute)) else { continue };
        let name = name.to_vec();
        let Some(first_value) = arena.parameter_mut(index).map(|parameter| parameter.value) else {
            continue;
        };

        let mut mark = arena.mark();
        arena.store_again(first_value);
        for section in 1..100 {
            let simple_name = [&name[..], b"*", section.to_string().as_bytes()].concat();
            let extended_name = [&simple_name[..], b"*"].concat();
            let simple = sections.get(&simple_name).and_then(VecDeque::front).copied();
            let encoded = sections.get(&extended_name).and_then(VecDeque::front).copied();
            let (place, place_is_extended) = match (simple, encoded) {
                (Some(simple), Some(encoded)) if encoded < simple => (encoded, true),
                (Some(simple), _) => (simple, false),
                (None, Some(encoded)) => (encoded, true),
                (None, None) => break,
            };
            let key = if place_is_extended { &extended_name } else { &simple_name };
            sections.get_mut(key).and_then(VecDeque::pop_front);
            let Some(value) = arena.parameter_mut(place).map(|parameter| parameter.value) else {
                break;
            };
            match (extended, place_is_extended) {
                (true, false) => store_percent_encoded(value, arena),
                (false, true) => {
                    let so_far = arena.since(mark);
                    mark = arena.mark();
                    // Neither character set nor language is known.
                    arena.store(b"''");
                    store_percent_encoded(so_far, arena);
                    arena.store_again(value);
                    extended = true;
                }
                _ => arena.store_again(value),
            }
            if let Some(flag) = joined.get_mut(place.saturating_sub(start)) {
                *flag = true;
            }
        }
        let value = arena.since(mark);
        let mark = arena.mark();
        arena.store(&name);
        if extended {
            arena.push(b'*');
        }
        let attribute = arena.since(mark);
        if let Some(parameter) = arena.parameter_mut(index) {
            *parameter = Parameter { attribute, value };
        }
    }
    arena.retain_parameters_from(start, |distance| joined.get(distance) != Some(&true));
}

/// Stores text in the extended form of RFC 2231.
fn store_percent_encoded(span: Span, arena: &mut Arena) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for offset in 0..span.len() {
        let byte = arena.text(span).get(offset).copied().unwrap_or(0);
        if byte <= b' ' || byte >= 0x7f || b"*'%".contains(&byte) || is_token_breaker(byte) {
            arena.push(b'%');
            for nibble in [byte >> 4, byte & 0xf] {
                arena.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
        } else {
            arena.push(byte);
        }
    }
}
