//! What the message reader derives from a message is what Cyrus 3.6.1 derived from it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use mailstore_format::Timestamp;
use mailstore_format::message::{MessageFields, MessageReader};

fn messages() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/messages");
    let mut messages = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of messages can be listed") {
        let path = entry.expect("the folder of messages can be listed").path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let expected =
                fs::read(path.with_extension("expected")).expect("each message has its record");
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

#[test]
fn every_message_gives_the_fields_and_the_cache_record_that_cyrus_gives() {
    let messages = messages();
    assert!(messages.len() > 150, "only {} messages found", messages.len());
    let mut reader = MessageReader::default();
    let mut failures = String::new();
    for (name, message, expected) in messages {
        let mut cache = Vec::new();
        let fields = reader.read(&message, &mut cache);
        let mut derived = fields_line(&fields).into_bytes();
        derived.extend_from_slice(&cache);
        if derived != expected {
            let (derived, expected) = (derived.escape_ascii(), expected.escape_ascii());
            writeln!(failures, "{name}\n  derived  {derived}\n  expected {expected}").unwrap();
        }
    }
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
