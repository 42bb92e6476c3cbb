//! A message's record in `cyrus.cache`: ten items, each a big-endian length, the bytes and up to
//! three NULs that fill it up to a multiple of four (`imap/message.c`: `message_write_cache`,
//! `message_write_xdrstring`; the order is `CACHE_*` in `imap/mailbox.h`).

mod body_structure;
mod envelope;
mod search_addresses;
mod sections;
mod strings;

use super::encoded_words::decode_encoded_words;
use super::structure::{Structure, wrap};

/// Appends the record to `cache`.
pub(super) fn encode(structure: &Structure, cache: &mut Vec<u8>) {
    let Some(message) = structure.parts.first() else { return };
    let arena = &structure.arena;
    let envelope = &message.envelope;
    item(cache, |item| envelope::encode(envelope, arena, item));
    item(cache, |item| body_structure::encode(structure, body_structure::Form::Extended, item));
    item(cache, |item| body_structure::encode(structure, body_structure::Form::Basic, item));
    item(cache, |item| sections::encode(structure, item));
    item(cache, |item| item.extend_from_slice(&structure.cached_headers));
    for addresses in [envelope.from, envelope.to, envelope.cc, envelope.bcc] {
        item(cache, |item| search_addresses::encode(addresses, arena, item));
    }
    item(cache, |item| match envelope.subject {
        None => strings::nil(item),
        Some(subject) => {
            let mut decoded = Vec::new();
            decode_encoded_words(arena.text(subject), &mut decoded);
            strings::string(strings::until_nul(&decoded), item);
        }
    });
}

/// Appends one item, whose bytes `encode` appends.
fn item(cache: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    const LENGTH: usize = 4;
    let start = cache.len();
    cache.extend_from_slice(&[0; LENGTH]);
    encode(cache);
    let length = cache.len().saturating_sub(start).saturating_sub(LENGTH);
    if let Some(place) = cache.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<LENGTH>) {
        *place = wrap(length).to_be_bytes();
    }
    let padded = length.next_multiple_of(4);
    cache.resize(cache.len().saturating_add(padded.saturating_sub(length)), 0);
}
