//! The header of a message, decoded as far as it matters.

use mail_parser::{HeaderName, HeaderValue, Message, MessageParser};

/// The header of a message.
pub(super) struct Header<'a>(Message<'a>);

impl<'a> Header<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let parser = MessageParser::new()
            .header_text(HeaderName::Subject)
            .header_address(HeaderName::From)
            .default_header_raw();
        Self(parser.parse_headers(bytes).unwrap_or_default())
    }

    /// All fields. `Message::headers` would panic where there are none.
    pub(super) fn fields(&self) -> &[mail_parser::Header<'a>] {
        self.0.parts.first().map_or(&[], |part| &part.headers)
    }

    /// A field's value as it was written.
    pub(super) fn raw(&self, field: &mail_parser::Header<'_>) -> &[u8] {
        let range = field.offset_start as usize..field.offset_end as usize;
        self.0.raw_message.get(range).unwrap_or_default()
    }

    /// The value of the first field of that name; empty where it has none that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let field = self.fields().iter().find(|field| field.name().eq_ignore_ascii_case(name))?;
        Some(text_of(&field.value))
    }
}

/// The text of a field's value.
pub(super) fn text_of<'a>(value: &'a HeaderValue<'_>) -> &'a str {
    value.as_text().unwrap_or_default()
}
