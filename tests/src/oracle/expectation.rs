//! What Cyrus derives from a message, in the form of `NAME.expected` in
//! `crates/mailstore-format/testdata/messages`.

use anyhow::{Context as _, Result};

use super::records::{DerivedRecord, FIELDS};

/// One line with the fields of the index record, dates 0 where the message gives none, then the
/// bytes of the cache record.
pub fn expectation(record: &DerivedRecord) -> Result<Vec<u8>> {
    // A date that the message does not give is that of its file, or the day of it.
    let day = record.internaldate - record.internaldate % 86_400;
    let date =
        |field, instead| record.number(field).map(|date| if date == instead { 0 } else { date });
    let guid = FIELDS.iter().position(|field| *field == "guid").context("there is a GUID")?;
    let guid: Vec<String> = record.values[guid].iter().map(|byte| format!("{byte:02x}")).collect();
    let guid = guid.concat();
    let line = format!(
        "guid={guid} size={} header_size={} sentdate={} gmtime={} cache_crc={:08x}\n",
        record.number("size")?,
        record.number("header_size")?,
        date("sentdate", day)?,
        date("gmtime", record.internaldate)?,
        record.number("cache_crc")?
    );
    Ok([line.as_bytes(), &record.cache].concat())
}
