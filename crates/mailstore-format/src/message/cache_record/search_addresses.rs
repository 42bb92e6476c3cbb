//! The FROM, TO, CC and BCC items: addresses as SEARCH looks for them, names decoded
//! (`message_write_searchaddr`).

use super::strings::until_nul;
use crate::message::address::Address;
use crate::message::arena::{Arena, Run, Span};
use crate::message::cursor::is_space;
use crate::message::encoded_words::decode_encoded_words;

pub(super) fn encode(addresses: Run, arena: &Arena, out: &mut Vec<u8>) {
    let mut after_address = false;
    for &Address { name, route, mailbox, domain } in arena.addresses(addresses) {
        match (domain, mailbox) {
            (None, Some(group)) => {
                comma_if(after_address, out);
                let mut decoded = Vec::new();
                decode_encoded_words(arena.text(group), &mut decoded);
                out.extend_from_slice(until_nul(&decoded));
                out.push(b':');
                after_address = false;
            }
            (None, None) => {
                out.push(b';');
                after_address = true;
            }
            (Some(domain), mailbox) => {
                comma_if(after_address, out);
                if let Some(name) = name {
                    encode_name(arena.text(name), out);
                    out.push(b' ');
                }
                out.push(b'<');
                if let Some(route) = route {
                    lowercase(route, arena, out);
                    out.push(b':');
                }
                if let Some(mailbox) = mailbox {
                    lowercase(mailbox, arena, out);
                }
                out.push(b'@');
                lowercase(domain, arena, out);
                out.push(b'>');
                after_address = true;
            }
        }
    }
}

fn comma_if(condition: bool, out: &mut Vec<u8>) {
    if condition {
        out.push(b',');
    }
}

fn lowercase(text: Span, arena: &Arena, out: &mut Vec<u8>) {
    out.extend(arena.text(text).iter().map(u8::to_ascii_lowercase));
}

/// A name, decoded, in quotes unless it is atoms and white space.
fn encode_name(name: &[u8], out: &mut Vec<u8>) {
    let mut decoded = Vec::new();
    decode_encoded_words(name, &mut decoded);
    let name = until_nul(&decoded);
    let is_plain = |&byte: &u8| {
        byte.is_ascii_alphanumeric() || is_space(byte) || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
    };
    if name.iter().all(is_plain) {
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    for &byte in name {
        if matches!(byte, b'\\' | b'"') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
