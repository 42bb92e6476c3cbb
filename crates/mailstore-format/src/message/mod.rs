//! The RFC 5322/MIME reader: from the bytes of a message file to what its index record derives from
//! them, and to its record in `cyrus.cache`, byte for byte as Cyrus writes it: in the [`CacheDialect`]
//! of its release.
//!
//! [`MessageReader::read`] does all of it in one go; [`MessageFields`] is what it returns. A reader
//! keeps its buffers, so use one for many messages.
//!
//! Cyrus's parser is forgiving in ways of its own, and clients have cached what it made of their
//! mail; so this is not a reader of what the standards say, but of what Cyrus does. Each module says
//! where the two part. The configuration is Cyrus's default: `boundary_limit` and `maxheaderlines`
//! 1000, `rfc2046_strict` and `rfc2047_utf8` off.
//!
//! ```
//! use mailstore_format::message::MessageReader;
//!
//! let message = b"From: a@example.org\r\nDate: Thu, 2 Nov 2006 10:01:00 +1100\r\n\r\nHello\r\n";
//! let mut cache = Vec::new();
//! let fields = MessageReader::default().read(message, &mut cache);
//! assert_eq!(fields.header_size, 61);
//! assert_eq!(fields.gmtime.map(|time| time.seconds()), Some(1_162_422_060));
//! assert_eq!(fields.cache_len, cache.len());
//! ```

mod address;
mod arena;
mod boundaries;
mod cache_record;
mod cached_headers;
mod charsets;
mod content_fields;
mod content_hash;
mod cursor;
mod date;
mod dialect;
mod encoded_words;
mod header_encoding;
mod header_fields;
mod parameters;
mod part;
mod structure;
mod transfer_encoding;

use sha1_pair::WholeDigest;

use crate::index::Layout;
use crate::{Guid, GuidHasher, Timestamp};
use part::Kind;
use structure::{Structure, wrap};

pub use dialect::CacheDialect;

/// What an index record derives from its message's bytes (`imap/message.c`:
/// `message_create_record`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFields {
    /// SHA-1 of the whole message.
    pub guid: Guid,
    /// Length of the message in bytes.
    pub size: u64,
    /// Length of the header in bytes, the empty line that ends it included.
    pub header_size: u32,
    /// Midnight of the day that the Date field names, in the server's time zone; None where it
    /// names none, or the first second of 1970. The record then holds midnight of the day of its
    /// internaldate (`mailbox_append_index_record`; in the server's time zone too).
    pub sentdate: Option<Timestamp>,
    /// The moment that the Date field names; None where it names none, or the first second of 1970.
    /// The record then holds its internaldate. Both are as the index stores them: up to version 19
    /// seconds modulo 2^32, so that the year 2200 is one before 2106.
    pub gmtime: Option<Timestamp>,
    /// The version of the cache record: that of the reader's dialect.
    pub cache_version: u16,
    /// CRC-32 of the cache record.
    pub cache_crc: u32,
    /// Length of the cache record in bytes.
    pub cache_len: usize,
    /// The date of the newest Received field that has one, the topmost; None where an index cannot
    /// hold it. No server keeps it: it is for whoever has lost an internaldate.
    pub received: Option<Timestamp>,
    /// Whether it begins as a message does: with a header field, or with a `From ` line and one.
    pub has_header: bool,
}

/// Reads messages. Holds buffers that grow to the largest message's needs.
#[derive(Debug)]
pub struct MessageReader {
    structure: Structure,
    day_start: fn(i64) -> i64,
    dialect: CacheDialect,
    wide_times: bool,
}

impl Default for MessageReader {
    fn default() -> Self {
        Self::with_day_start(|day| day.saturating_mul(86_400))
    }
}

impl MessageReader {
    /// A reader for a server whose time zone is not UTC: `day_start` gives the time, in seconds since
    /// 1970 UTC, at which a day begins there, the day being given in days since 1970-01-01.
    /// `sentdate` depends on it, and nothing else.
    #[must_use]
    pub fn with_day_start(day_start: fn(i64) -> i64) -> Self {
        let dialect = CacheDialect::default();
        Self { structure: Structure::default(), day_start, dialect, wide_times: false }
    }

    /// The same in the manner of other releases than the default's.
    #[must_use]
    pub fn with_dialect(self, dialect: CacheDialect) -> Self {
        Self { dialect, ..self }
    }

    /// The same for an index of this layout: from version 20 on dates beyond 2106 can be told.
    #[must_use]
    pub fn for_index(self, layout: &Layout) -> Self {
        Self { wide_times: layout.has_wide_times(), ..self }
    }

    /// Reads one message. Appends its cache record to `cache`, as it stands in `cyrus.cache`: ten
    /// items with their lengths and padding.
    ///
    /// Any bytes are a message. (Cyrus refuses to read an empty file; here it is a message without
    /// header and content.)
    pub fn read(&mut self, message: &[u8], cache: &mut Vec<u8>) -> MessageFields {
        let mut whole = WholeDigest::new(message);
        self.structure.read(message, self.dialect, &mut whole);
        let start = cache.len();
        cache_record::encode(&self.structure, cache);
        let record = cache.get(start..).unwrap_or_default();

        let header = self.structure.parts.first().map(|part| part.header).unwrap_or_default();
        let date = self.structure.parts.first().and_then(|part| part.envelope.date);
        let sent = date.map(|date| date::decode_date(self.structure.arena.text(date)));
        let sent = sent.unwrap_or_default();
        let sentdate = sent.day.map(self.day_start).filter(|&seconds| seconds > 0);
        let gmtime = sent.moment.filter(|&seconds| seconds != 0);
        MessageFields {
            guid: Guid(whole.finish()),
            size: u64::try_from(message.len()).unwrap_or(u64::MAX),
            header_size: header.size,
            sentdate: sentdate.map(|seconds| self.as_stored(seconds)),
            gmtime: gmtime.map(|seconds| self.as_stored(seconds)),
            cache_version: self.dialect.cache_version(),
            cache_crc: crc32fast::hash(record),
            cache_len: record.len(),
            received: self.structure.received.and_then(|seconds| self.if_storable(seconds)),
            has_header: has_header(message),
        }
    }

    /// A digest of what a message holds, its own header apart: of each part its type and its content
    /// with the transfer encoding undone, in order. Servers that encode a part anew on the way, or
    /// choose other boundaries, do not change it; a message within a message counts as it is.
    pub fn content_digest(&mut self, message: &[u8]) -> Guid {
        self.structure.read(message, self.dialect, &mut WholeDigest::new(&[]));
        let Structure { parts, arena, .. } = &self.structure;
        let mut hasher = GuidHasher::default();
        for part in parts {
            let content_type = &part.content_type;
            for name in [content_type.media_type, content_type.subtype] {
                hasher.update(&wrap(name.len()).to_be_bytes());
                hasher.update(arena.text(name));
            }
            hasher.update(&part.multipart_children.to_be_bytes());
            if part.kind != Kind::Multipart || part.multipart_children == 0 {
                hasher.update(&part.content_guid(message).0);
            }
        }
        hasher.finish()
    }

    /// A time as the index stores it, whatever is lost by that: up to version 19 its seconds in 32
    /// unsigned bits, later its nanoseconds in 64.
    fn as_stored(&self, seconds: i64) -> Timestamp {
        if self.wide_times {
            Timestamp(seconds.wrapping_mul(1_000_000_000))
        } else {
            Timestamp::from_seconds(seconds & 0xffff_ffff)
        }
    }

    /// The same, where nothing is lost by that.
    fn if_storable(&self, seconds: i64) -> Option<Timestamp> {
        let stored = self.as_stored(seconds);
        (stored.seconds() == seconds).then_some(stored)
    }
}

/// Whether a message begins with a header field, or with a `From ` line and one.
fn has_header(message: &[u8]) -> bool {
    let mut lines = message.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let line = if first.starts_with(b"From ") { lines.next().unwrap_or_default() } else { first };
    let name = line.iter().take_while(|byte| byte.is_ascii_graphic() && **byte != b':').count();
    name > 0 && line.get(name) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(message: &str) -> Guid {
        MessageReader::default().content_digest(message.as_bytes())
    }

    #[test]
    fn a_part_that_was_encoded_anew_has_the_same_content() {
        let message = |boundary: &str, encoding: &str, text: &str| {
            format!(
                "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\
                 Content-Type: text/plain\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n\
                 {text}\r\n--{boundary}\r\n\r\nthe end\r\n--{boundary}--\r\n"
            )
        };
        let plain = digest(&message("a", "8bit", "caf\u{e9}"));
        assert_eq!(digest(&message("b", "quoted-printable", "caf=C3=A9")), plain);
        assert_eq!(digest(&message("c", "base64", "Y2Fmw6k=")), plain);
        assert_ne!(digest(&message("a", "8bit", "cafe")), plain);
        let unknown = |text| digest(&message("a", "x-own", text));
        assert_ne!(unknown("one"), unknown("two"), "what cannot be decoded counts as it is");
    }

    #[test]
    fn the_same_text_as_another_type_or_in_another_place_is_another_content() {
        let html = digest("Content-Type: text/html\r\n\r\nx\r\n");
        assert_ne!(html, digest("Content-Type: text/plain\r\n\r\nx\r\n"));
        assert_eq!(digest("Subject: a\r\n\r\nx\r\n"), digest("Subject: b\r\n\r\nx\r\n"));
        let within = |subject| {
            let text =
                format!("Content-Type: message/rfc822\r\n\r\nSubject: {subject}\r\n\r\nx\r\n");
            digest(&text)
        };
        assert_ne!(within("a"), within("b"), "a message within has a header of its own");
    }
}
