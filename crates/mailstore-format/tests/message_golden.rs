//! What the message reader derives from a message is what Cyrus derived from it: 3.6.1, and the
//! development server of 3.13.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use mailstore_format::Timestamp;
use mailstore_format::index::Layout;
use mailstore_format::message::{CacheDialect, MessageFields, MessageReader};

/// Name, bytes, and what the server of this dialect derives from them.
fn messages(dialect: CacheDialect) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/messages");
    let mut messages = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of messages can be listed") {
        let path = entry.expect("the folder of messages can be listed").path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let own = path.with_extension(format!("{}.expected", dialect.release()));
            let usual = path.with_extension("expected");
            let expected = fs::read(if own.is_file() { own } else { usual });
            let expected = expected.expect("each message has its record");
            messages.push((name, fs::read(&path).expect("messages can be read"), expected));
        }
    }
    messages.sort();
    messages
}

fn fields_line(fields: &MessageFields) -> String {
    let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::seconds);
    format!(
        "guid={} size={} header_size={} sentdate={} gmtime={} cache_crc={:08x}\n",
        fields.guid,
        fields.size,
        fields.header_size,
        seconds(fields.sentdate),
        seconds(fields.gmtime),
        fields.cache_crc
    )
}

/// What `reader` derives from the messages otherwise than the server of `dialect` did.
fn failures(dialect: CacheDialect, mut reader: MessageReader) -> String {
    let messages = messages(dialect);
    assert!(messages.len() > 150, "only {} messages found", messages.len());
    let mut failures = String::new();
    for (name, message, expected) in messages {
        let mut cache = Vec::new();
        let fields = reader.read(&message, &mut cache);
        assert_eq!(fields.cache_version, dialect.cache_version());
        let mut derived = fields_line(&fields).into_bytes();
        derived.extend_from_slice(&cache);
        if derived != expected {
            let (derived, expected) = (derived.escape_ascii(), expected.escape_ascii());
            writeln!(failures, "{name}\n  derived  {derived}\n  expected {expected}")
                .expect("writing to a string does not fail");
        }
    }
    failures
}

#[test]
fn every_message_gives_the_fields_and_the_cache_record_that_cyrus_3_6_gives() {
    let failures = failures(CacheDialect::Cyrus36, MessageReader::default());
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_message_gives_the_fields_and_the_cache_record_that_cyrus_3_13_gives() {
    let layout = Layout::of_version(20).unwrap();
    let reader = MessageReader::default().with_dialect(CacheDialect::Cyrus313).for_index(layout);
    let failures = failures(CacheDialect::Cyrus313, reader);
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn a_record_is_appended_and_its_crc_and_length_are_its_own() {
    let mut reader = MessageReader::default();
    let mut cache = b"before".to_vec();
    let fields = reader.read(b"Subject: x\r\n\r\n", &mut cache);
    let record = cache.strip_prefix(b"before").unwrap();
    assert_eq!(fields.cache_len, record.len());
    assert_eq!(fields.cache_crc, crc32fast::hash(record));
    assert_eq!(record.len() % 4, 0);
}

/// No server keeps that date, so nothing is gained by storing another one as a server would.
#[test]
fn a_received_date_that_an_index_cannot_hold_is_none() {
    let received = |year: u32, version| {
        let message = format!("Received: x; 1 Jan {year} 00:00:00 +0000\r\n\r\n");
        let layout = Layout::of_version(version).unwrap();
        let mut reader = MessageReader::default().for_index(layout);
        let received = reader.read(message.as_bytes(), &mut Vec::new()).received;
        received.map(Timestamp::seconds)
    };
    assert_eq!(received(2105, 17), Some(4_260_211_200));
    assert_eq!(received(2200, 17), None);
    assert_eq!(received(2200, 20), Some(7_258_118_400));
    assert_eq!(received(2300, 20), None);
}
