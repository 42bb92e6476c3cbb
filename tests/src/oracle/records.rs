//! What an index record and its cache record derive from a message, as they stand on disk.
//! Independent of the library under test, as all that judges it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::index_fields::{HEADER_SIZE, RECORD_SIZE, number_in, record_field, usable_version};

/// The fields that follow from a message's bytes: the items of its cache record in their order
/// (`CACHE_*` in `imap/mailbox.h`), then those of its index record.
pub const FIELDS: [&str; 17] = [
    "ENVELOPE",
    "BODYSTRUCTURE",
    "BODY",
    "SECTION",
    "HEADERS",
    "FROM",
    "TO",
    "CC",
    "BCC",
    "SUBJECT",
    "size",
    "header_size",
    "sentdate",
    "gmtime",
    "guid",
    "cache_version",
    "cache_crc",
];

/// How many of [`FIELDS`] are items of the cache record.
const CACHE_ITEMS: usize = 10;

/// The fields of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedRecord {
    /// In the order of [`FIELDS`]: the bytes as they stand on disk.
    pub values: Vec<Vec<u8>>,
    /// The cache record whole, lengths and padding included.
    pub cache: Vec<u8>,
    /// The time of the message's file, which stands in for a date that the message does not give.
    pub internaldate: u64,
}

impl DerivedRecord {
    /// The number that a field of the index record is.
    pub fn number(&self, field: &str) -> Result<u64> {
        let place = FIELDS.iter().position(|name| *name == field).context("no such field")?;
        let value = self.values.get(place).context("no such value")?;
        number_in(value, (0, value.len()))
    }

    /// The records of a mailbox by UID, from the `cyrus.index` and `cyrus.cache` in `directory`.
    pub fn of_mailbox(directory: &Path) -> Result<BTreeMap<u32, Self>> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        let (index, cache) = (read("cyrus.index")?, read("cyrus.cache")?);
        ensure!(usable_version(&index), "{} has an odd index", directory.display());
        let mut found = BTreeMap::new();
        for record in index[HEADER_SIZE..].chunks_exact(RECORD_SIZE) {
            let uid = u32::try_from(number_in(record, record_field("uid")?)?)?;
            let record = Self::decode(record, &cache);
            found.insert(uid, record.with_context(|| format!("the record of UID {uid}"))?);
        }
        Ok(found)
    }

    fn decode(record: &[u8], cache: &[u8]) -> Result<Self> {
        let offset = usize::try_from(number_in(record, record_field("cache_offset")?)?)?;
        let cache = cache.get(offset..).context("its cache record lies past the end")?;
        let mut values = Vec::new();
        let mut length = 0;
        for _ in 0..CACHE_ITEMS {
            let (item, whole) = first_item(&cache[length..]).context("its cache record is cut")?;
            values.push(item.to_vec());
            length += whole;
        }
        for field in &FIELDS[CACHE_ITEMS..] {
            let (begin, end) = record_field(field)?;
            values.push(record[begin..end].to_vec());
        }
        let internaldate = number_in(record, record_field("internaldate")?)?;
        Ok(Self { values, cache: cache[..length].to_vec(), internaldate })
    }
}

/// The item at the start of `cache`, and its length with count and padding.
fn first_item(cache: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = cache.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let padded = length.checked_next_multiple_of(4)?;
    (padded <= rest.len()).then(|| (&rest[..length], 4 + padded))
}
