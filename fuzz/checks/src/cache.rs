//! `cyrus.cache`: a chain of records, which the check follows as one that appends to it left it.

use mailstore_format::cache::{CacheRecord, HEADER_SIZE, RecordLength, encode_record};
use mailstore_format::cache::{encode_generation, generation, record_length};

/// All records from the first on, and the one at the offset that the first four bytes tell.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(number) = generation(bytes) else { return };
    assert!(bytes.starts_with(&encode_generation(number)));
    at(bytes, number.into());
    let mut offset = HEADER_SIZE;
    while let Some(length) = at(bytes, offset as u64) {
        assert!(length >= 40 && length.is_multiple_of(4), "ten items have {length} bytes");
        offset += length;
    }
}

/// The record at an offset; how long it is.
fn at(bytes: &[u8], offset: u64) -> Option<usize> {
    let from = usize::try_from(offset).ok().and_then(|start| bytes.get(start..));
    let measured = from.map(record_length);
    let record = match CacheRecord::decode(bytes, offset) {
        Ok(record) => record,
        Err(error) => {
            assert!(error.offset <= bytes.len() as u64 || error.offset == offset);
            let outside = offset < HEADER_SIZE as u64 || from.is_none();
            let cut = matches!(measured, Some(RecordLength::AtLeast(most)) if Some(most) > from.map(<[u8]>::len));
            assert!(outside || cut, "{measured:?} of {error}");
            return None;
        }
    };
    assert_eq!(measured, Some(RecordLength::Whole(record.bytes().len())));
    let mut written = Vec::new();
    encode_record(record.items(), &mut written);
    assert_eq!(written.len(), record.bytes().len());
    let with_generation = [&encode_generation(0)[..], &written].concat();
    let again = CacheRecord::decode(&with_generation, HEADER_SIZE as u64).expect("it was written");
    assert_eq!(again.items(), record.items());
    Some(record.bytes().len())
}
