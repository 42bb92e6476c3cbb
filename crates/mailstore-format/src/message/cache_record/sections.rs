//! The SECTION item: for each part that has numbered parts below it, where those lie, how they are
//! encoded and what digest their decoded content has (`message_write_section`,
//! `message_write_charset`, `message_write_nocharset`).
//!
//! All numbers are big-endian 32-bit. A list of parts is their number plus one, the place of part 0
//! (a message's own header and text) and the places of the parts; then come the lists of the parts
//! that have parts. 0 stands for a part without any.

use crate::message::content_hash::DecodedContent;
use crate::message::part::{Kind, Part};
use crate::message::structure::{Structure, size_of};

/// Stands for an encoding where there is neither encoding nor character set.
const NO_CHARSET: u32 = 0xffff;

pub(super) fn encode(structure: &Structure, out: &mut Vec<u8>) {
    let Some(message) = structure.parts.first() else { return };
    let sections = Sections { structure };
    let mut lists = Vec::new();
    sections.message_list(message, &mut lists, out);
    while let Some(part) = lists.pop() {
        sections.list(part, &mut lists, out);
    }
}

struct Sections<'a> {
    structure: &'a Structure,
}

impl<'a> Sections<'a> {
    fn children(&self, part: &Part) -> impl Iterator<Item = &'a Part> {
        let parts = &self.structure.parts;
        let at = move |index: Option<usize>| index.and_then(|index| parts.get(index));
        std::iter::successors(at(part.first_child), move |part| at(part.next_sibling))
    }

    /// The list of what is below `part`; the parts whose lists follow are added to `lists`, the next
    /// one last.
    fn list(&self, part: &'a Part, lists: &mut Vec<&'a Part>, out: &mut Vec<u8>) {
        match (part.kind, self.children(part).next()) {
            (Kind::Message, Some(message)) => self.message_list(message, lists, out),
            (Kind::Multipart, Some(_)) => {
                number(part.multipart_children.wrapping_add(1), out);
                // There is no part 0 of a multipart that is no message.
                for absent in [0, u32::MAX, 0, u32::MAX] {
                    number(absent, out);
                }
                no_charset(None, out);
                for child in self.children(part) {
                    place(child, out);
                    if is_empty_multipart(child) {
                        number(0, out);
                        no_charset(Some(child), out);
                    } else {
                        number(child.content.size, out);
                        self.charset(child, out);
                    }
                }
                self.follow_with_children(part, lists);
            }
            _ => number(0, out),
        }
    }

    /// The list of a message, whether or not it is a multipart.
    fn message_list(&self, message: &'a Part, lists: &mut Vec<&'a Part>, out: &mut Vec<u8>) {
        let parts = message.multipart_children.max(1);
        number(parts.wrapping_add(1), out);
        place(message, out);
        number(message.content.size, out);
        no_charset(Some(message), out);
        if message.multipart_children > 0 {
            for child in self.children(message) {
                place(child, out);
                number(if is_empty_multipart(child) { 0 } else { child.content.size }, out);
                self.charset(child, out);
            }
            self.follow_with_children(message, lists);
            return;
        }
        place(message, out);
        if message.kind == Kind::Multipart {
            number(0, out);
            no_charset(None, out);
        } else {
            number(message.content.size, out);
            self.charset(message, out);
        }
        lists.push(message);
    }

    /// The character set's name with one to four NULs after it, its length and the encoding before
    /// it.
    fn charset(&self, part: &Part, out: &mut Vec<u8>) {
        let Structure { arena, dialect, .. } = self.structure;
        let name = part.charset_name(arena).unwrap_or_default();
        let mut length = 0;
        if !name.is_empty() {
            length = (size_of(name) | 3).wrapping_add(1);
            if length > 0xffff {
                length = 0;
            }
        }
        let encoding = part.transfer_encoding(*dialect, arena);
        number(length << 16 | u32::from(encoding.code()), out);
        if length > 0 {
            let start = out.len();
            out.extend_from_slice(name);
            let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            out.resize(end.max(out.len()), 0);
        }
        content(Some(part), out);
    }

    fn follow_with_children(&self, part: &Part, lists: &mut Vec<&'a Part>) {
        let first = lists.len();
        lists.extend(self.children(part));
        lists.get_mut(first..).unwrap_or_default().reverse();
    }
}

fn is_empty_multipart(part: &Part) -> bool {
    part.kind == Kind::Multipart && part.multipart_children == 0
}

fn number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn place(part: &Part, out: &mut Vec<u8>) {
    number(part.header_offset, out);
    number(part.header.size, out);
    number(part.content_offset, out);
}

fn content(part: Option<&Part>, out: &mut Vec<u8>) {
    let decoded = part.map_or_else(DecodedContent::default, |part| part.decoded);
    out.extend_from_slice(&decoded.guid.0);
    number(decoded.size, out);
    number(part.map_or(0, |part| part.content.lines), out);
}

fn no_charset(part: Option<&Part>, out: &mut Vec<u8>) {
    number(NO_CHARSET, out);
    content(part, out);
}
