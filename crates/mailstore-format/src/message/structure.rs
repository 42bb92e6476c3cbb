//! The MIME structure of a message: its parts, where they lie, how large they are and what digest
//! their decoded content has (`imap/message.c`: `message_parse_body`, `message_parse_multipart`,
//! `message_parse_content`).
//!
//! Where Cyrus departs from RFC 2046: a multipart without a boundary parameter is one content; the
//! line end before a delimiter is taken to be two bytes, whatever it is (3.6); a delimiter may end a
//! header; so may a line feed alone (3.13).
//!
//! Cyrus recurses. Here the parts under way are on a stack of our own. Multiparts are followed as
//! deep as Cyrus follows them (`boundary_limit`, 1000 by default); Cyrus has no limit for nested
//! messages but its stack, here it is the same number, and what is inside a message/rfc822 part that
//! lies deeper is plain content.

use memchr::{memchr, memchr_iter, memmem};
use sha1_pair::WholeDigest;

use super::arena::Arena;
use super::boundaries::{Boundaries, decode_boundary};
use super::content_hash::DecodedContent;
use super::dialect::CacheDialect;
use super::header_fields::{HeaderFields, newest_received};
use super::part::{DefaultType, Extent, Kind, Part};

/// Cyrus's default for `boundary_limit`.
const MAX_BOUNDARIES: usize = 1000;
const MAX_NESTED_MESSAGES: usize = 1000;
/// A page: what Cyrus reads beyond the end of a file is less, or it dies of it.
const NULS: [u8; 4096] = [0; 4096];

/// A length as Cyrus's 32-bit counters have it.
pub(super) fn wrap(length: usize) -> u32 {
    let [.., a, b, c, d] = length.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The size of `bytes` as Cyrus's 32-bit counters have it.
pub(super) fn size_of(bytes: &[u8]) -> u32 {
    wrap(bytes.len())
}

/// A part whose children are being read.
#[derive(Debug)]
enum Open {
    Multipart { part: usize, depth: usize, children: DefaultType, preamble: Content },
    Message { part: usize, start: usize },
}

/// What lies up to a delimiter, or the end.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    extent: Extent,
    boundary: Extent,
}

/// What the parser is to do next.
enum Step {
    Read {
        default: DefaultType,
        is_message: bool,
    },
    /// Read another child of the innermost open part, or close it.
    GoOn,
    /// The part is read; hand it to the one it is in.
    Done(usize),
}

/// A message as it was read, in buffers that are kept from message to message.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// The parts in the order in which they begin; the first is the message itself.
    pub(super) parts: Vec<Part>,
    pub(super) arena: Arena,
    /// The fields of the outermost header that the cache keeps.
    pub(super) cached_headers: Vec<u8>,
    /// The moment, in seconds since 1970, of the newest Received field that has one.
    pub(super) received: Option<i64>,
    /// In whose manner it was read.
    pub(super) dialect: CacheDialect,
    boundaries: Boundaries,
    open: Vec<Open>,
    scratch: Vec<u8>,
}

impl Structure {
    /// Reads a message, in place of the one before; its digest, `whole`, goes on beside its parts'.
    pub(super) fn read(
        &mut self,
        message: &[u8],
        dialect: CacheDialect,
        whole: &mut WholeDigest<'_>,
    ) {
        self.parts.clear();
        self.arena.clear();
        self.cached_headers.clear();
        self.received = None;
        self.dialect = dialect;
        self.boundaries.clear();
        self.open.clear();
        Parser { message, offset: 0, nested_messages: 0, structure: self, whole }.run();
    }
}

struct Parser<'a, 'w> {
    message: &'a [u8],
    offset: usize,
    nested_messages: usize,
    structure: &'a mut Structure,
    whole: &'a mut WholeDigest<'w>,
}

impl<'a> Parser<'a, '_> {
    fn run(&mut self) {
        let mut step = Some(Step::Read { default: DefaultType::PlainText, is_message: true });
        while let Some(now) = step {
            step = match now {
                Step::Read { default, is_message } => Some(self.read_part(default, is_message)),
                Step::GoOn => self.go_on(),
                Step::Done(part) => self.hand_up(part),
            };
        }
    }

    fn part(&mut self, index: usize) -> &mut Part {
        self.structure
            .parts
            .get_mut(index)
            .expect("parts are only ever added while a message is read")
    }

    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.message.get(start..end).unwrap_or_default()
    }

    fn read_part(&mut self, default: DefaultType, is_message: bool) -> Step {
        let index = self.structure.parts.len();
        let (mut part, delimited) = self.read_header(default, is_message);
        let content_start = self.offset;
        if delimited {
            let is_message = part.kind == Kind::Message;
            self.structure.parts.push(part);
            if is_message {
                self.add_empty_message(index);
            }
            return Step::Done(index);
        }
        match part.kind {
            Kind::Multipart => {
                let parameters = self.structure.arena.parameters(part.content_type.parameters);
                if let Some(boundary) = decode_boundary(parameters, &self.structure.arena) {
                    return self.open_multipart(part, &boundary);
                }
            }
            Kind::Message if self.nested_messages < MAX_NESTED_MESSAGES => {
                self.nested_messages = self.nested_messages.saturating_add(1);
                self.structure.parts.push(part);
                self.structure.open.push(Open::Message { part: index, start: content_start });
                return Step::Read { default: DefaultType::PlainText, is_message: true };
            }
            _ => {}
        }
        let content = self.read_content();
        part.content = content.extent;
        part.boundary = content.boundary;
        self.hash_content(&mut part, content_start);
        self.structure.parts.push(part);
        Step::Done(index)
    }

    /// Reads a header; whether a delimiter ended it, and the part with it.
    fn read_header(&mut self, default: DefaultType, is_message: bool) -> (Part, bool) {
        let start = self.offset;
        let dialect = self.structure.dialect;
        let takes_bare_line_feeds = dialect.takes_bare_line_feeds();
        let outermost = self.structure.parts.is_empty();
        let mut boundary = Extent::default();
        let mut delimited = false;
        let mut text_end = loop {
            let line_start = self.offset;
            let rest = self.message.get(line_start..).unwrap_or_default();
            if rest.is_empty() {
                break line_start;
            }
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end.saturating_add(1));
            let line = rest.get(..length).unwrap_or_default();
            self.offset = line_start.saturating_add(length);
            if line.starts_with(b"\r\n") || takes_bare_line_feeds && line == b"\n" {
                break self.offset;
            }
            if line.first() == Some(&b'-') {
                // A header is text up to its first NUL, and so is a line of it.
                let line = line.get(..memchr(0, line).unwrap_or(length)).unwrap_or_default();
                if self.structure.boundaries.delimits(line, &self.structure.arena) {
                    boundary = Extent { size: size_of(line), lines: 1 };
                    delimited = true;
                    break line_start;
                }
            }
        };

        let mut fields = None;
        if delimited && text_end > start {
            // The two bytes before the delimiter count as part of it.
            boundary = boundary.plus(Extent { size: 2, lines: 1 });
            if text_end.saturating_sub(start) == 1 {
                // Cyrus cuts the header before its start: nothing of it is read, but the delimiter
                // and the lone byte before it count as its size.
                fields = Some(HeaderFields::unread(u32::MAX));
                text_end = self.offset;
            } else {
                text_end = text_end.saturating_sub(2);
            }
        }
        let text = self.slice(start, text_end);
        let text = text.get(..memchr(0, text).unwrap_or(text.len())).unwrap_or_default();
        let fields = fields.unwrap_or_else(|| {
            let cached = outermost.then_some(&mut self.structure.cached_headers);
            HeaderFields::decode(text, cached)
        });
        if outermost {
            self.structure.received = newest_received(text, &mut self.structure.scratch);
        }
        let part = Part {
            header_offset: wrap(start),
            header: Extent { size: size_of(text), lines: fields.lines },
            content_offset: wrap(self.offset),
            boundary,
            ..Part::decode(&fields, default, is_message, dialect, &mut self.structure.arena)
        };
        (part, delimited)
    }

    /// The message of a message/rfc822 part that a delimiter ended before it began.
    fn add_empty_message(&mut self, index: usize) {
        let Structure { parts, arena, dialect, .. } = &mut *self.structure;
        let content_type = DefaultType::PlainText.content_type(arena);
        let child = parts.len();
        parts.push(Part::new(content_type, *dialect, arena));
        self.link_child(index, child);
    }

    fn link_child(&mut self, parent: usize, child: usize) {
        let parent = self.part(parent);
        let before = parent.last_child.replace(child);
        match before {
            None => parent.first_child = Some(child),
            Some(before) => self.part(before).next_sibling = Some(child),
        }
    }

    fn open_multipart(&mut self, part: Part, boundary: &[u8]) -> Step {
        let is_digest = self.structure.arena.text(part.content_type.subtype) == b"DIGEST";
        let children = if is_digest { DefaultType::Message } else { DefaultType::PlainText };
        let boundary = self.structure.arena.store(boundary);
        self.structure.boundaries.push(boundary);
        let depth = self.structure.boundaries.depth();
        let preamble = self.read_content();
        let index = self.structure.parts.len();
        self.structure.parts.push(part);
        self.structure.open.push(Open::Multipart { part: index, depth, children, preamble });
        Step::GoOn
    }

    fn go_on(&mut self) -> Option<Step> {
        let Some(&Open::Multipart { part, depth, children, preamble }) = self.structure.open.last()
        else {
            return None;
        };
        if self.structure.boundaries.depth() == depth && depth < MAX_BOUNDARIES {
            return Some(Step::Read { default: children, is_message: false });
        }
        self.structure.open.pop();
        self.close_multipart(part, depth, preamble);
        Some(Step::Done(part))
    }

    fn close_multipart(&mut self, index: usize, depth: usize, preamble: Content) {
        let mut preamble = preamble;
        let mut epilogue = Content::default();
        let last_child = self.part(index).last_child;
        // The delimiter of an enclosing multipart that ended this one belongs to this one.
        let boundary = if self.structure.boundaries.depth() == depth.saturating_sub(1) {
            epilogue = self.read_content();
            epilogue.boundary
        } else if let Some(last) = last_child {
            std::mem::take(&mut self.part(last).boundary)
        } else {
            std::mem::take(&mut preamble.boundary)
        };

        let mut content = preamble.extent.plus(preamble.boundary);
        let mut child = self.part(index).first_child;
        while let Some(index) = child {
            let part = self.part(index);
            content = content.plus(part.header).plus(part.content).plus(part.boundary);
            child = part.next_sibling;
        }
        let part = self.part(index);
        part.content = content.plus(epilogue.extent);
        part.boundary = boundary;
    }

    fn hand_up(&mut self, child: usize) -> Option<Step> {
        match *self.structure.open.last()? {
            Open::Multipart { part, .. } => {
                self.link_child(part, child);
                let parent = self.part(part);
                parent.multipart_children = parent.multipart_children.saturating_add(1);
                if self.offset >= self.message.len() && self.part(child).boundary.size == 0 {
                    self.structure.boundaries.clear();
                }
                Some(Step::GoOn)
            }
            Open::Message { part: index, start } => {
                self.structure.open.pop();
                self.nested_messages = self.nested_messages.saturating_sub(1);
                self.link_child(index, child);
                let (header, content, boundary) = {
                    let child = self.part(child);
                    (child.header, child.content, child.boundary)
                };
                let mut part = self.part(index).clone();
                part.content = header.plus(content);
                part.boundary = boundary;
                self.hash_content(&mut part, start);
                *self.part(index) = part;
                Some(Step::Done(index))
            }
        }
    }

    /// The size of a message in a message/rfc822 part can exceed what is there, by a byte for each
    /// delimiter that only a line feed stands before. Cyrus hashes what lies beyond the end of the
    /// file in its last page: NULs.
    fn hash_content(&mut self, part: &mut Part, start: usize) {
        let length = usize::try_from(part.content.size).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(self.message.len());
        let encoding = part.transfer_encoding(self.structure.dialect, &self.structure.arena);
        let content = self.slice(start, end);
        let beyond = length.saturating_sub(content.len()).min(NULS.len());
        let nuls = NULS.get(..beyond).unwrap_or_default();
        let scratch = &mut self.structure.scratch;
        part.decoded = DecodedContent::of([content, nuls], encoding, scratch, self.whole);
    }

    /// Reads up to the next delimiter, or to the end of the message.
    fn read_content(&mut self) -> Content {
        let start = self.offset;
        let rest = self.message.get(start..).unwrap_or_default();
        let delimiter = self.find_delimiter(rest);
        let length = delimiter.map_or(rest.len(), |(line_start, _)| line_start);
        let text = rest.get(..length).unwrap_or_default();
        let mut content = Content {
            extent: Extent { size: size_of(text), lines: wrap(memchr_iter(b'\n', text).count()) },
            boundary: Extent::default(),
        };
        self.offset = self.message.len();
        if let Some((_, line)) = delimiter {
            self.offset = start.saturating_add(length).saturating_add(line);
            content.boundary = Extent { size: wrap(line), lines: 1 };
            // The line end before the delimiter is part of it.
            if let Some(lines) = content.extent.lines.checked_sub(1) {
                content.extent.lines = lines;
                content.boundary.lines = 2;
            }
            let takes_bare_line_feeds = self.structure.dialect.takes_bare_line_feeds();
            let is_bare = takes_bare_line_feeds && !text.ends_with(b"\r\n");
            let line_end = if is_bare { 1 } else { 2 };
            if content.extent.size >= 2 {
                content.extent.size = content.extent.size.wrapping_sub(line_end);
                content.boundary.size = content.boundary.size.wrapping_add(line_end);
            }
        }
        content
    }

    /// Where in `text` the first delimiter line begins, and its length.
    fn find_delimiter(&mut self, text: &[u8]) -> Option<(usize, usize)> {
        if self.structure.boundaries.is_empty() {
            return None;
        }
        let line_starts = memmem::find_iter(text, b"\n--").map(|end| end.saturating_add(1));
        for line_start in std::iter::once(0).chain(line_starts) {
            let rest = text.get(line_start..).unwrap_or_default();
            if !rest.starts_with(b"--") {
                continue;
            }
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end.saturating_add(1));
            let line = rest.get(..length).unwrap_or_default();
            if self.structure.boundaries.delimits(line, &self.structure.arena) {
                return Some((line_start, length));
            }
        }
        None
    }
}
