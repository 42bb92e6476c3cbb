//! The BODYSTRUCTURE and BODY items (`message_write_body`).
//!
//! A multipart without parts is shown as empty plain text. A multipart is `(`, its children, its own
//! fields and `)`; a message/rfc822 part has its message in the middle of its fields; so each of them
//! is visited twice, and the visits still to come are on a stack.

use super::{envelope, strings};
use crate::message::arena::{Arena, Run, Span};
use crate::message::part::{Kind, Part};
use crate::message::structure::Structure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// BODY
    Basic,
    /// BODYSTRUCTURE
    Extended,
}

enum Visit {
    Open(usize),
    Close(usize),
}

pub(super) fn encode(structure: &Structure, form: Form, out: &mut Vec<u8>) {
    let mut visits = vec![Visit::Open(0)];
    let arena = &structure.arena;
    while let Some(visit) = visits.pop() {
        match visit {
            Visit::Open(index) => {
                let Some(part) = structure.parts.get(index) else { continue };
                match (part.kind, part.first_child) {
                    (Kind::Multipart, None) => empty_text(form, out),
                    (Kind::Multipart, Some(_)) => {
                        out.push(b'(');
                        visits.push(Visit::Close(index));
                        let first_visit = visits.len();
                        let mut child = part.first_child;
                        while let Some(index) = child {
                            visits.push(Visit::Open(index));
                            child = structure.parts.get(index).and_then(|part| part.next_sibling);
                        }
                        // The last pushed is visited first.
                        visits.get_mut(first_visit..).unwrap_or_default().reverse();
                    }
                    (Kind::Message, Some(child)) => {
                        out.push(b'(');
                        basic_fields(part, arena, out);
                        out.push(b' ');
                        if let Some(message) = structure.parts.get(child) {
                            envelope::encode(&message.envelope, arena, out);
                        }
                        out.push(b' ');
                        visits.push(Visit::Close(index));
                        visits.push(Visit::Open(child));
                    }
                    _ => {
                        out.push(b'(');
                        basic_fields(part, arena, out);
                        if part.kind == Kind::Text {
                            out.push(b' ');
                            strings::number(part.content.lines, out);
                        }
                        close(part, form, arena, out);
                    }
                }
            }
            Visit::Close(index) => {
                let Some(part) = structure.parts.get(index) else { continue };
                out.push(b' ');
                if part.kind == Kind::Multipart {
                    strings::string(arena.text(part.content_type.subtype), out);
                    if form == Form::Extended {
                        out.push(b' ');
                        parameters(part.content_type.parameters, arena, out);
                        extension_fields(part, arena, out);
                    }
                    out.push(b')');
                } else {
                    strings::number(part.content.lines, out);
                    close(part, form, arena, out);
                }
            }
        }
    }
}

fn empty_text(form: Form, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0"#);
    if form == Form::Extended {
        out.extend_from_slice(b" NIL NIL NIL NIL");
    }
    out.push(b')');
}

/// Type, parameters, id, description, encoding and size of a part that is no multipart.
fn basic_fields(part: &Part, arena: &Arena, out: &mut Vec<u8>) {
    strings::string(arena.text(part.content_type.media_type), out);
    out.push(b' ');
    strings::string(arena.text(part.content_type.subtype), out);
    out.push(b' ');
    parameters(part.content_type.parameters, arena, out);
    out.push(b' ');
    strings::optional(part.id, arena, out);
    out.push(b' ');
    strings::optional(part.description, arena, out);
    out.push(b' ');
    strings::string(part.encoding.map_or(b"7BIT", |encoding| arena.text(encoding)), out);
    out.push(b' ');
    strings::number(part.content.size, out);
}

/// What ends a part that is no multipart.
fn close(part: &Part, form: Form, arena: &Arena, out: &mut Vec<u8>) {
    if form == Form::Extended {
        out.push(b' ');
        strings::optional(part.md5, arena, out);
        extension_fields(part, arena, out);
    }
    out.push(b')');
}

/// Disposition, languages and location.
fn extension_fields(part: &Part, arena: &Arena, out: &mut Vec<u8>) {
    out.push(b' ');
    match part.disposition {
        None => strings::nil(out),
        Some(disposition) => {
            out.push(b'(');
            strings::string(arena.text(disposition.kind), out);
            out.push(b' ');
            parameters(disposition.parameters, arena, out);
            out.push(b')');
        }
    }
    out.push(b' ');
    list(arena.parameters(part.languages).iter().map(|language| language.value), arena, out);
    out.push(b' ');
    strings::optional(part.location, arena, out);
}

fn parameters(run: Run, arena: &Arena, out: &mut Vec<u8>) {
    let pairs = arena.parameters(run).iter();
    list(pairs.flat_map(|parameter| [parameter.attribute, parameter.value]), arena, out);
}

/// Strings in parentheses, or NIL where there is none.
fn list(strings: impl Iterator<Item = Span>, arena: &Arena, out: &mut Vec<u8>) {
    let start = out.len();
    for text in strings {
        out.push(if out.len() == start { b'(' } else { b' ' });
        strings::string(arena.text(text), out);
    }
    if out.len() == start {
        strings::nil(out);
    } else {
        out.push(b')');
    }
}
