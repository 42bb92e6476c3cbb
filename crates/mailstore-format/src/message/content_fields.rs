//! The MIME fields whose value is a token: Content-Type, Content-Disposition,
//! Content-Transfer-Encoding and Content-Language (`imap/message.c`: `message_parse_type`,
//! `message_parse_disposition`, `message_parse_encoding`, `message_parse_language`).
//!
//! A value with anything unexpected in it counts as if the field were not there, but for a Content-Type
//! in 3.13. Tokens are kept in capitals.

use super::arena::{Arena, Run, Span};
use super::cursor::{Cursor, is_space};
use super::dialect::CacheDialect;
use super::encoded_words::decode_encoded_words;
use super::header_encoding::encode_8bit_value;
use super::parameters::{Parameter, decode_parameters, is_token_breaker};

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ContentType {
    pub(super) media_type: Span,
    pub(super) subtype: Span,
    pub(super) parameters: Run,
}

impl ContentType {
    /// What stands for a value that cannot be read; not in capitals.
    fn unreadable(arena: &mut Arena) -> Self {
        let (media_type, subtype) = (arena.store(b"application"), arena.store(b"octet-stream"));
        Self { media_type, subtype, parameters: Run::default() }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Disposition {
    pub(super) kind: Span,
    pub(super) parameters: Run,
}

/// Reads a token up to white space, a comment or one of `ends`. None where something else than a
/// token stands there.
fn token<'a>(cursor: &mut Cursor<'a>, ends: &[u8]) -> Option<&'a [u8]> {
    let start = cursor.position();
    loop {
        match cursor.peek() {
            0 | b'(' => break,
            byte if is_space(byte) || ends.contains(&byte) => break,
            byte if is_token_breaker(byte) => return None,
            _ => cursor.advance(1),
        }
    }
    Some(cursor.since(start))
}

/// Reads a Content-Type whose value begins `text`, which may run on into later fields.
pub(super) fn decode_content_type(
    text: &[u8],
    dialect: CacheDialect,
    arena: &mut Arena,
) -> Option<ContentType> {
    let mut cursor = Cursor::new(text);
    if !cursor.skip_space_and_comments() {
        return None;
    }
    let unreadable = dialect.distrusts_bad_types();
    decode_type(cursor, arena).or_else(|| unreadable.then(|| ContentType::unreadable(arena)))
}

fn decode_type(cursor: Cursor<'_>, arena: &mut Arena) -> Option<ContentType> {
    // Old versions of macOS Mail encode the whole value as encoded words.
    let rest = cursor.rest();
    if rest.len() > 2 && rest.starts_with(b"=?") {
        let mut decoded = Vec::new();
        decode_encoded_words(rest, &mut decoded);
        let length = memchr::memchr(0, &decoded).unwrap_or(decoded.len());
        decoded.truncate(length);
        let content_type = decode_type_and_parameters(Cursor::new(&decoded), arena)?;
        if decoded != rest {
            encode_8bit_parameters(content_type.parameters, arena);
        }
        return Some(content_type);
    }
    decode_type_and_parameters(cursor, arena)
}

fn decode_type_and_parameters(mut cursor: Cursor<'_>, arena: &mut Arena) -> Option<ContentType> {
    let media_type = token(&mut cursor, b"/")?;
    if !cursor.skip_space_and_comments() || cursor.bump() != b'/' {
        return None;
    }
    if !cursor.skip_space_and_comments() {
        return None;
    }
    let subtype = token(&mut cursor, b";")?;
    let more = cursor.skip_space_and_comments();
    if more && cursor.bump() != b';' {
        return None;
    }
    let media_type = arena.store_uppercase(media_type);
    let subtype = arena.store_uppercase(subtype);
    let parameters = if more { decode_parameters(cursor, arena) } else { Run::default() };
    Some(ContentType { media_type, subtype, parameters })
}

/// A value that came decoded out of encoded words is encoded again, each parameter by itself, save
/// those in the extended form.
fn encode_8bit_parameters(parameters: Run, arena: &mut Arena) {
    for index in parameters.indices() {
        let Some(&mut Parameter { attribute, value }) = arena.parameter_mut(index) else {
            continue;
        };
        let attribute = arena.text(attribute);
        let value = arena.text(value);
        if attribute.is_empty() || attribute.ends_with(b"*") || value.is_ascii() {
            continue;
        }
        let encoded = encode_8bit_value(value);
        let encoded = arena.store(&encoded);
        if let Some(parameter) = arena.parameter_mut(index) {
            parameter.value = encoded;
        }
    }
}

pub(super) fn decode_disposition(text: &[u8], arena: &mut Arena) -> Option<Disposition> {
    let mut cursor = Cursor::new(text);
    if !cursor.skip_space_and_comments() {
        return None;
    }
    let kind = token(&mut cursor, b";")?;
    let more = cursor.skip_space_and_comments();
    if more && cursor.bump() != b';' {
        return None;
    }
    let kind = arena.store_uppercase(kind);
    let parameters = if more { decode_parameters(cursor, arena) } else { Run::default() };
    Some(Disposition { kind, parameters })
}

/// Reads a Content-Transfer-Encoding; anything after the token but comments makes it void.
pub(super) fn decode_transfer_encoding(text: &[u8], arena: &mut Arena) -> Option<Span> {
    let mut cursor = Cursor::new(text);
    if !cursor.skip_space_and_comments() {
        return None;
    }
    let encoding = token(&mut cursor, b"")?;
    if cursor.skip_space_and_comments() {
        return None;
    }
    Some(arena.store_uppercase(encoding))
}

/// Reads a list of language tags, as far as it can be read: letters and `-` only, so a tag with a
/// digit ends it.
pub(super) fn decode_languages(text: &[u8], arena: &mut Arena) -> Run {
    let start = arena.parameter_count();
    let mut cursor = Cursor::new(text);
    while cursor.skip_space_and_comments() {
        let tag_start = cursor.position();
        loop {
            match cursor.peek() {
                0 | b',' | b'(' => break,
                byte if is_space(byte) => break,
                byte if byte == b'-' || byte.is_ascii_alphabetic() => cursor.advance(1),
                _ => return arena.parameters_since(start),
            }
        }
        let tag = cursor.since(tag_start);
        if cursor.skip_space_and_comments() && cursor.bump() != b',' {
            break;
        }
        let value = arena.store_uppercase(tag);
        arena.push_parameter(Parameter { attribute: Span::default(), value });
    }
    arena.parameters_since(start)
}
