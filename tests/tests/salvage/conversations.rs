//! What the checks take for granted: conversations.db tells of every message, expunged ones
//! included, its flags and its date.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mailstore_format::index::IndexFile;
use mailstore_format::{Guid, InternalFlags, db};
use mailstore_tests::Cyrus;
use mailstore_tests::damage::{Place, Specimen};

/// The 24 bytes before a row's end are, big-endian: system flags (4), internal flags (4), internal
/// date (8), after version (1) and thread id (8): `conv_guidrec` in `imap/conversations.h`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    uid: u32,
    system_flags: u32,
    internal_flags: u32,
    internaldate: i64,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The rows without a part number, by GUID.
fn rows(specimen: &Specimen) -> Result<BTreeMap<String, Vec<Row>>> {
    let path = conversations_db(&specimen.store().conf().join("user"))?;
    let bytes = fs::read(&path)?;
    let mut found: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for entry in db::read(&bytes)?.entries {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        let Some(key) = key.strip_prefix('G').filter(|key| !key.contains('[')) else { continue };
        let [guid, _, uid] = key.split(':').collect::<Vec<_>>()[..] else { continue };
        let value = &entry.value;
        let row = Row {
            uid: uid.parse()?,
            system_flags: u32::try_from(number(value.get(9..13).context("system flags")?))?,
            internal_flags: u32::try_from(number(value.get(13..17).context("internal flags")?))?,
            internaldate: i64::try_from(number(value.get(17..25).context("a date")?))?,
        };
        found.entry(guid.to_string()).or_default().push(row);
    }
    Ok(found)
}

fn conversations_db(directory: &PathBuf) -> Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Ok(found) = conversations_db(&path) {
                return Ok(found);
            }
        } else if path.file_name().is_some_and(|name| name == "conversations.db") {
            return Ok(path);
        }
    }
    anyhow::bail!("no conversations.db in {}", directory.display())
}

#[test]
fn conversations_tell_flags_dates_and_expunges_of_every_message() -> Result<()> {
    let name = "conversations_tell_flags_dates_and_expunges_of_every_message";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let specimen = Specimen::made(&cyrus, true, 2)?;
    let rows = rows(&specimen)?;
    let mut expunged = 0;
    for place in Place::all(&specimen.store().imapd_conf())? {
        let bytes = fs::read(&place.index)?;
        for slot in IndexFile::open(&bytes)?.counted_slots() {
            let record = slot.record;
            let expected = Row {
                uid: record.uid.0,
                system_flags: record.system_flags.0.into(),
                internal_flags: record.internal_flags.0,
                internaldate: record.internaldate.seconds(),
            };
            let of_guid = rows.get(&Guid::to_string(&record.guid));
            let told = of_guid.is_some_and(|rows| rows.contains(&expected));
            assert!(told, "{} {expected:?}: {of_guid:?}", place.mailbox);
            expunged += u32::from(record.internal_flags.contains(InternalFlags::EXPUNGED));
        }
    }
    assert!(expunged > 0, "there are expunged messages");
    Ok(())
}
