//! Messages: any bytes are one.

use mailstore_format::cache::{CacheRecord, HEADER_SIZE};
use mailstore_format::index::Layout;
use mailstore_format::message::{CacheDialect, MessageFields, MessageReader};
use mailstore_format::{Guid, Timestamp};

/// The most that a byte of a message adds to its cache record. A From of `,`-separated single letters
/// is the worst: each of two bytes is shown three times in the envelope, as sender and reply-to too,
/// and is once prepared for searching, with `unspecified-domain` every time.
const MOST_FOR_A_BYTE: usize = 80;
/// What the cache record of an empty message takes, and more.
const MOST_FOR_NOTHING: usize = 512;

/// In the manner of every release that is known, and for the indexes that these write.
pub(crate) fn check(message: &[u8]) {
    for dialect in CacheDialect::ALL {
        check_with(message, MessageReader::default().with_dialect(dialect), times_fit_32_bits);
    }
    let wide = Layout::of_version(20).expect("a version there is");
    check_with(message, MessageReader::default().for_index(wide), |_| ());
}

/// The message read by a fresh reader, then by one that has read its second half before.
fn check_with(message: &[u8], mut reader: MessageReader, times_hold: impl Fn(&MessageFields)) {
    let mut cache = Vec::new();
    let fields = reader.read(message, &mut cache);
    fields_are_the_messages(message, &fields);
    times_hold(&fields);
    record_is_whole(&cache, &fields);
    assert!(
        cache.len() <= MOST_FOR_NOTHING + MOST_FOR_A_BYTE * message.len(),
        "{} bytes became {}",
        message.len(),
        cache.len()
    );

    let mut again = b"before".to_vec();
    reader.read(&message[message.len() / 2..], &mut Vec::new());
    assert_eq!(reader.read(message, &mut again), fields, "nothing is left of another message");
    assert_eq!(again.strip_prefix(b"before"), Some(cache.as_slice()));
}

fn fields_are_the_messages(message: &[u8], fields: &MessageFields) {
    assert_eq!(fields.size, message.len() as u64);
    assert_eq!(fields.guid, Guid::of(message));
    assert!(u64::from(fields.header_size) <= fields.size);
}

/// All that an index before version 20 holds.
fn times_fit_32_bits(fields: &MessageFields) {
    for time in [fields.sentdate, fields.gmtime, fields.received].into_iter().flatten() {
        assert_eq!(time, Timestamp::from_seconds(time.seconds() & 0xffff_ffff));
    }
}

fn record_is_whole(cache: &[u8], fields: &MessageFields) {
    let file = [&[0; HEADER_SIZE], cache].concat();
    let record = CacheRecord::decode(&file, HEADER_SIZE as u64).expect("a cache record");
    assert_eq!((record.bytes(), record.crc()), (cache, fields.cache_crc));
    assert_eq!(cache.len(), fields.cache_len);
    let [envelope, structure, body, sections, ..] = record.items();
    for item in [envelope, structure, body] {
        assert!(item.starts_with(b"(") && item.ends_with(b")"));
    }
    assert!(sections.len().is_multiple_of(4) && !sections.is_empty());
}
