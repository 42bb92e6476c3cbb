//! One part of a message, as the parser finds it and the cache shows it (`imap/message.h`:
//! `struct body`).

use super::address::decode_addresses;
use super::arena::{Arena, Run, Span};
use super::charsets;
use super::content_fields::{
    ContentType, Disposition, decode_content_type, decode_disposition, decode_languages,
    decode_transfer_encoding,
};
use super::content_hash::{DecodedContent, TransferEncoding};
use super::dialect::CacheDialect;
use super::header_fields::{Field, HeaderFields};
use crate::Guid;

/// The type of a part without a (readable) Content-Type of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultType {
    PlainText,
    /// Inside multipart/digest.
    Message,
}

impl DefaultType {
    pub(super) fn content_type(self, arena: &mut Arena) -> ContentType {
        let text: &[u8] = match self {
            Self::PlainText => b"TEXT/PLAIN; CHARSET=us-ascii",
            Self::Message => b"MESSAGE/RFC822",
        };
        decode_content_type(text, CacheDialect::default(), arena).unwrap_or_default()
    }
}

/// What a part's type means for what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Multipart,
    /// message/rfc822; where the dialect knows it, message/global
    Message,
    /// text/*
    Text,
    /// message/*, but no [`Kind::Message`]
    OtherMessage,
    Other,
}

impl Kind {
    fn of(content_type: &ContentType, dialect: CacheDialect, arena: &Arena) -> Self {
        match (arena.text(content_type.media_type), arena.text(content_type.subtype)) {
            (b"MULTIPART", _) => Self::Multipart,
            (b"MESSAGE", b"RFC822") => Self::Message,
            (b"MESSAGE", b"GLOBAL") if dialect.knows_message_global() => Self::Message,
            (b"MESSAGE", _) => Self::OtherMessage,
            (b"TEXT", _) => Self::Text,
            _ => Self::Other,
        }
    }
}

/// What IMAP's ENVELOPE shows of a message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Envelope {
    pub(super) date: Option<Span>,
    pub(super) subject: Option<Span>,
    pub(super) from: Run,
    pub(super) sender: Run,
    pub(super) reply_to: Run,
    pub(super) to: Run,
    pub(super) cc: Run,
    pub(super) bcc: Run,
    pub(super) in_reply_to: Option<Span>,
    pub(super) message_id: Option<Span>,
}

impl Envelope {
    fn decode(fields: &HeaderFields<'_>, dialect: CacheDialect, arena: &mut Arena) -> Self {
        let mut addresses = |field| {
            fields
                .raw_value(field)
                .map_or_else(Run::default, |value| decode_addresses(value, dialect, arena))
        };
        Self {
            from: addresses(Field::From),
            sender: addresses(Field::Sender),
            reply_to: addresses(Field::ReplyTo),
            to: addresses(Field::To),
            cc: addresses(Field::Cc),
            bcc: addresses(Field::Bcc),
            date: fields.unfolded_value(Field::Date, arena),
            subject: fields.unfolded_value(Field::Subject, arena),
            in_reply_to: fields.unfolded_value(Field::InReplyTo, arena),
            message_id: fields.unfolded_value(Field::MessageId, arena),
        }
    }
}

/// Bytes and line ends. They wrap as Cyrus's 32-bit counters do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) size: u32,
    pub(super) lines: u32,
}

impl Extent {
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            size: self.size.wrapping_add(other.size),
            lines: self.lines.wrapping_add(other.lines),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) content_type: ContentType,
    pub(super) disposition: Option<Disposition>,
    pub(super) languages: Run,
    pub(super) id: Option<Span>,
    pub(super) description: Option<Span>,
    pub(super) location: Option<Span>,
    pub(super) md5: Option<Span>,
    pub(super) encoding: Option<Span>,
    /// Only of a message: the outermost part, or what a message/rfc822 part holds.
    pub(super) envelope: Envelope,

    pub(super) header_offset: u32,
    pub(super) header: Extent,
    pub(super) content_offset: u32,
    pub(super) content: Extent,
    /// The line that ended the part, if an enclosing boundary did.
    pub(super) boundary: Extent,
    pub(super) decoded: DecodedContent,

    /// Places in the list of parts: those of a multipart, or the message of a message/rfc822.
    pub(super) first_child: Option<usize>,
    pub(super) last_child: Option<usize>,
    pub(super) next_sibling: Option<usize>,
    /// Children of a multipart; 0 for all else.
    pub(super) multipart_children: u32,
}

impl Part {
    /// A part of which nothing is known but its type.
    pub(super) fn new(content_type: ContentType, dialect: CacheDialect, arena: &Arena) -> Self {
        Self {
            kind: Kind::of(&content_type, dialect, arena),
            content_type,
            disposition: None,
            languages: Run::default(),
            id: None,
            description: None,
            location: None,
            md5: None,
            encoding: None,
            envelope: Envelope::default(),
            header_offset: 0,
            header: Extent::default(),
            content_offset: 0,
            content: Extent::default(),
            boundary: Extent::default(),
            decoded: DecodedContent::default(),
            first_child: None,
            last_child: None,
            next_sibling: None,
            multipart_children: 0,
        }
    }

    /// A part with this header. The envelope is read only of a message.
    pub(super) fn decode(
        fields: &HeaderFields<'_>,
        default: DefaultType,
        is_message: bool,
        dialect: CacheDialect,
        arena: &mut Arena,
    ) -> Self {
        let content_type = fields
            .text_from(Field::ContentType)
            .and_then(|text| decode_content_type(text, dialect, arena))
            .unwrap_or_else(|| default.content_type(arena));
        let envelope =
            if is_message { Envelope::decode(fields, dialect, arena) } else { Envelope::default() };
        Self {
            disposition: fields
                .text_from(Field::ContentDisposition)
                .and_then(|text| decode_disposition(text, arena)),
            languages: fields
                .text_from(Field::ContentLanguage)
                .map_or_else(Run::default, |text| decode_languages(text, arena)),
            id: fields.unfolded_value(Field::ContentId, arena),
            description: fields.unfolded_value(Field::ContentDescription, arena),
            location: fields.unfolded_value(Field::ContentLocation, arena),
            md5: fields.unfolded_value(Field::ContentMd5, arena),
            encoding: fields
                .text_from(Field::ContentTransferEncoding)
                .and_then(|text| decode_transfer_encoding(text, arena)),
            envelope,
            ..Self::new(content_type, dialect, arena)
        }
    }

    /// How the content is encoded, as far as it is undone; not in every dialect for message/*
    /// (`message_parse_charset`).
    pub(super) fn transfer_encoding(
        &self,
        dialect: CacheDialect,
        arena: &Arena,
    ) -> TransferEncoding {
        match self.kind {
            Kind::Message | Kind::OtherMessage if !dialect.decodes_messages() => {
                TransferEncoding::None
            }
            _ => TransferEncoding::of_name(self.encoding.map(|name| arena.text(name))),
        }
    }

    /// The SHA-1 of the part's content in `message`: decoded, or as it is where that cannot be.
    pub(super) fn content_guid(&self, message: &[u8]) -> Guid {
        if !self.decoded.guid.is_null() {
            return self.decoded.guid;
        }
        let [start, size] = [self.content_offset, self.content.size]
            .map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let content = message.get(start..).unwrap_or_default();
        Guid::of(content.get(..size).unwrap_or(content))
    }

    /// The character set's name as the part gives it; None where a part has none by its type
    /// (`message_parse_charset`). Of several known names the last counts.
    pub(super) fn charset_name<'a>(&self, arena: &'a Arena) -> Option<&'a [u8]> {
        match self.kind {
            Kind::Text => {}
            Kind::OtherMessage => return Some(b"us-ascii"),
            _ => return None,
        }
        let mut name: &[u8] = b"us-ascii";
        for parameter in arena.parameters(self.content_type.parameters) {
            let value = arena.text(parameter.value);
            if arena.text(parameter.attribute) == b"CHARSET"
                && !value.is_empty()
                && charsets::is_known(value)
            {
                name = value;
            }
        }
        Some(name)
    }
}
