//! The stores that real servers of every index version made: a full check finds in them exactly
//! what `testdata/EXPECTED.md` lists and explains.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::index::IndexFile;
use mailstore_tests::{Fixture, Tree};

/// A line of the table in `EXPECTED.md`.
struct Expected {
    store: String,
    versions: BTreeSet<u32>,
    differences: BTreeSet<String>,
    flipped_byte: String,
}

fn expected() -> Result<Vec<Expected>> {
    let text = fs::read_to_string(Fixture::testdata().join("EXPECTED.md"))?;
    let rows = text.lines().filter(|line| line.starts_with("| cyrus-"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [store, versions, differences, flipped_byte] = cells[..] else {
            anyhow::bail!("a line of the table has not four cells: {row}")
        };
        let versions = versions.split(", ").map(str::parse).collect::<Result<_, _>>()?;
        let differences = differences.split(';').map(str::trim).filter(|cell| *cell != "none");
        Ok(Expected {
            store: store.to_string(),
            versions,
            differences: differences.map(String::from).collect(),
            flipped_byte: flipped_byte.to_string(),
        })
    })
    .collect()
}

/// What a full check of the whole store finds: `<mailbox> <uid or -> <code>`.
fn found_in(fixture: &Fixture) -> Result<BTreeSet<String>> {
    let check = fixture.reconstruct().args(["-n", "--check", "full", "--all", "--json"]).run()?;
    let mut found = BTreeSet::new();
    let mailboxes = check.json.iter().filter(|line| line["type"] == "mailbox");
    for mailbox in mailboxes {
        ensure!(mailbox["state"] != "failed", "{mailbox}");
        for finding in mailbox["findings"].as_array().context("findings are a list")? {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_string();
            let uid = finding["uid"].as_u64().map_or("-".into(), |uid| uid.to_string());
            let (mailbox, code) = (text(&mailbox["mailbox"]), text(&finding["code"]));
            found.insert(format!("{mailbox} {uid} {code}"));
        }
    }
    assert_eq!(check.summary()["mailboxes"], 12, "{check:?}");
    assert_eq!(check.summary()["messages"], check.summary()["messages_read"], "{check:?}");
    assert_eq!(check.status, Some(i32::from(!found.is_empty())), "{check:?}");
    Ok(found)
}

fn index_versions(fixture: &Fixture) -> Result<BTreeSet<u32>> {
    let version = |directory: &Path| -> Result<u32> {
        let bytes = fs::read(directory.join("cyrus.index"))?;
        Ok(IndexFile::open(&bytes)?.layout().version)
    };
    fixture.mailbox_dirs()?.iter().map(|directory| version(directory)).collect()
}

#[test]
fn every_store_of_the_test_data_has_a_line_of_what_is_expected() -> Result<()> {
    let listed: BTreeSet<String> = expected()?.into_iter().map(|line| line.store).collect();
    let present: BTreeSet<String> = Fixture::names()?.into_iter().collect();
    assert_eq!(listed, present);
    assert!(present.len() >= 16);
    Ok(())
}

#[test]
fn a_full_check_of_a_servers_store_finds_exactly_what_is_expected() -> Result<()> {
    for line in expected()? {
        let fixture = Fixture::unpack(&line.store)?;
        assert_eq!(index_versions(&fixture)?, line.versions, "{}", line.store);
        let before = Tree::read(&fixture.path())?;
        assert_eq!(found_in(&fixture)?, line.differences, "{}", line.store);
        assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0], "{}", line.store);
    }
    Ok(())
}

#[test]
fn a_repair_of_a_servers_store_that_needs_none_writes_nothing() -> Result<()> {
    for line in expected()? {
        let fixture = Fixture::unpack(&line.store)?;
        let before = Tree::read(&fixture.path())?;
        let repair = fixture.reconstruct().args(["--check", "full", "--all"]).run()?;
        assert_eq!(repair.status, Some(0), "{}: {repair:?}", line.store);
        assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0], "{}", line.store);
    }
    Ok(())
}

#[test]
fn a_flipped_bit_in_a_message_is_found_in_a_store_of_every_version() -> Result<()> {
    for line in expected()? {
        let fixture = Fixture::unpack(&line.store)?;
        let message = fixture.mailbox_dir("user.frank")?.join("5.");
        let mut bytes = fs::read(&message)?;
        *bytes.last_mut().context("a message has bytes")? ^= 1;
        // Not in place: the same message in other mailboxes is a link to the same file.
        fs::remove_file(&message)?;
        fs::write(&message, bytes)?;
        let codes = line.flipped_byte.split(", ");
        let expected: BTreeSet<_> = codes.map(|code| format!("user.frank 5 {code}")).collect();
        assert_eq!(found_in(&fixture)?, expected, "{}", line.store);
    }
    Ok(())
}
