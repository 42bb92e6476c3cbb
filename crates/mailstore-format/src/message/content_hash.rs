//! The digest of a part's decoded content (`imap/message.c`: `body_add_content_guid`;
//! `lib/charset.c`: `charset_decode_sha1`).

use sha1::{Digest, Sha1};

use super::transfer_encoding::{Base64, QuotedPrintable};
use crate::Guid;

/// What Cyrus makes of a Content-Transfer-Encoding. The numbers go into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TransferEncoding {
    #[default]
    None,
    QuotedPrintable,
    Base64,
    Unknown,
}

impl TransferEncoding {
    /// `name` in capitals; None where there is no (valid) field (`message_parse_charset`).
    pub(super) fn of_name(name: Option<&[u8]>) -> Self {
        match name {
            None | Some(b"7BIT" | b"8BIT" | b"BINARY") => Self::None,
            Some(b"BASE64") => Self::Base64,
            Some(b"QUOTED-PRINTABLE") => Self::QuotedPrintable,
            Some(_) => Self::Unknown,
        }
    }

    /// As the cache has it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::QuotedPrintable => 1,
            Self::Base64 => 2,
            Self::Unknown => 255,
        }
    }
}

/// Digest and size of a part's content once its transfer encoding is undone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DecodedContent {
    pub(super) guid: Guid,
    pub(super) size: u32,
}

impl DecodedContent {
    /// Null and 0 where the encoding is unknown. `scratch` is overwritten.
    pub(super) fn of(content: &[u8], encoding: TransferEncoding, scratch: &mut Vec<u8>) -> Self {
        let decoded = match encoding {
            TransferEncoding::None => content,
            TransferEncoding::Unknown => return Self::default(),
            TransferEncoding::Base64 => {
                scratch.clear();
                Base64::default().decode(content, scratch);
                scratch
            }
            TransferEncoding::QuotedPrintable => {
                scratch.clear();
                QuotedPrintable::Body.decode(content, scratch);
                scratch
            }
        };
        let guid = Guid(Sha1::digest(decoded).into());
        Self { guid, size: super::structure::size_of(decoded) }
    }
}
