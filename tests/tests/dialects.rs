//! What Cyrus writes into a cache changed with its releases: new cache records are made as the
//! store's own server makes them, and old ones are judged by what wrote them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use mailstore_format::InternalFlags;
use mailstore_format::cache::CacheRecord;
use mailstore_format::index::{IndexFile, IndexRecord};
use mailstore_tests::{Fixture, IndexImage, ToolRun};
use tempfile::TempDir;

/// Made by the development server of 3.13, as all stores of index versions 18 to 20.
const OF_3_13: &str = "cyrus-3.13-v20-uuid-conversations";
const MAILBOX: &str = "user.frank";
/// The servers of 3.6 and of 3.13 make something else of it.
const ODD_MESSAGE: &[u8] = b"Subject: odd\r\nFrom: a@b\xc3\xbc.example\r\n\
    Date: Mon, 2 Feb 2026 10:00:00 +0000\r\nContent-Type: message/global\r\n\r\n\
    Subject: inside\r\n\r\n.\r\n";

/// Its date does not fit into an index before version 20.
const LATE_MESSAGE: &[u8] =
    b"Subject: late\r\nFrom: a@b.example\r\nDate: Mon, 2 Feb 2150 10:00:00 +0000\r\n\r\nlate\r\n";

/// A record's cache version and cache CRC, by directory and UID.
type Cached = BTreeMap<(PathBuf, u32), (u16, u32)>;

/// What the records of one mailbox directory say of their cache records, each of which has to be
/// there and whole.
fn cached_in(directory: &Path) -> Result<Cached> {
    let bytes = fs::read(directory.join("cyrus.index"))?;
    // A mailbox that never had a message need not have one.
    let cache = fs::read(directory.join("cyrus.cache")).unwrap_or_default();
    let index = IndexFile::open(&bytes)?;
    let mut found = Cached::new();
    for slot in index.counted_slots() {
        let record = slot.record;
        if record.internal_flags.contains(InternalFlags::ARCHIVED) {
            continue;
        }
        let crc = CacheRecord::decode(&cache, record.cache_offset)?.crc();
        ensure!(crc == record.cache_crc, "{}: {}", directory.display(), record.uid);
        found.insert((directory.to_owned(), record.uid.0), (record.cache_version, crc));
    }
    Ok(found)
}

fn cached_in_all(directories: &[PathBuf]) -> Result<Cached> {
    let mut all = Cached::new();
    for directory in directories {
        all.append(&mut cached_in(directory)?);
    }
    ensure!(all.len() > 100, "only {} records", all.len());
    Ok(all)
}

/// Repairs the whole store; there must have been something to repair, and nothing may be left.
fn repair(fixture: &Fixture, options: &[&str]) -> Result<ToolRun> {
    let run = fixture.reconstruct().args(["--all", "--json"]).args(options).run()?;
    ensure!(run.status == Some(0), "{run:?}");
    ensure!(run.summary()["repaired"].as_u64() > Some(0), "{run:?}");
    Ok(run)
}

fn versions(cached: &Cached) -> Vec<u16> {
    let mut versions: Vec<_> = cached.values().map(|&(version, _)| version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[test]
fn caches_that_are_gone_come_back_as_the_server_had_written_them() -> Result<()> {
    let names = Fixture::names()?;
    let names: Vec<_> = names.iter().filter(|name| name.starts_with("cyrus-3.13")).collect();
    assert_eq!(names.len(), 4);
    for name in names.into_iter().map(String::as_str).chain([Fixture::BY_ID]) {
        let fixture = Fixture::unpack(name)?;
        let directories = fixture.mailbox_dirs()?;
        let before = cached_in_all(&directories)?;
        for directory in &directories {
            let cache = directory.join("cyrus.cache");
            if cache.exists() {
                fs::remove_file(cache)?;
            }
        }
        let run = repair(&fixture, &[])?;
        assert!(cached_in_all(&directories)? == before, "{name}");
        assert!(run.findings("cache-dialect-unjudged").is_empty(), "{name}");
    }
    Ok(())
}

#[test]
fn a_mailbox_without_an_index_is_made_as_the_rest_of_its_store_is() -> Result<()> {
    let fixture = Fixture::unpack(OF_3_13)?;
    let directory = fixture.mailbox_dir(MAILBOX)?;
    let before = cached_in(&directory)?;
    fs::remove_file(directory.join("cyrus.index"))?;
    fs::remove_file(directory.join("cyrus.cache"))?;
    fs::write(directory.join("900."), LATE_MESSAGE)?;
    repair(&fixture, &[])?;
    let after = cached_in(&directory)?;
    assert_eq!(versions(&after), [14]);
    for (uid, cached) in &after {
        assert!(before.get(uid).is_none_or(|before| before == cached), "{uid:?}");
    }
    let bytes = fs::read(directory.join("cyrus.index"))?;
    let index = IndexFile::open(&bytes)?;
    let late = index.counted_slots().find(|slot| slot.record.uid.0 == 900);
    let gmtime = late.map(|slot| slot.record.gmtime.seconds());
    assert_eq!((index.layout().version, gmtime), (20, Some(5_683_082_400)));
    Ok(())
}

#[test]
fn where_no_index_is_left_the_servers_tools_tell_and_else_it_is_3_6() -> Result<()> {
    let tools = TempDir::new()?;
    let tell = tools.path().join("cyr_info");
    fs::write(&tell, "#!/bin/sh\n[ \"$1\" = version ] && echo cyrus-imapd 3.13.7\n")?;
    fs::set_permissions(&tell, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(tools.path(), fs::Permissions::from_mode(0o755))?;
    for tool in ["quota", "ctl_conversationsdb", "cyr_dbtool"] {
        symlink("/bin/true", tools.path().join(tool))?;
    }
    let tools = ["--cyrus-bin".to_owned(), tools.path().display().to_string()];
    let tools = tools.each_ref().map(String::as_str);
    let cases: [(&[&str], u16); 2] = [(&tools, 14), (&[], 11)];
    for (options, version) in cases {
        let fixture = Fixture::unpack(OF_3_13)?;
        for directory in fixture.mailbox_dirs()? {
            fs::remove_file(directory.join("cyrus.index"))?;
        }
        let run = fixture.reconstruct().args(["--mailbox", MAILBOX, "--json"]).args(options);
        let run = run.run()?;
        assert_eq!(run.status, Some(0), "{run:?}");
        let cached = cached_in(&fixture.mailbox_dir(MAILBOX)?)?;
        assert_eq!(versions(&cached), [version], "{options:?}");
    }
    Ok(())
}

#[test]
fn a_record_of_another_release_is_judged_by_that_release_and_kept() -> Result<()> {
    let fixture = Fixture::unpack(OF_3_13)?;
    let directory = fixture.mailbox_dir(MAILBOX)?;
    fs::write(directory.join("900."), ODD_MESSAGE)?;
    repair(&fixture, &["--cache-dialect", "3.6"])?;
    let mixed = cached_in(&directory)?;
    assert_eq!(versions(&mixed), [11, 14]);
    let check = fixture.reconstruct().args(["-n", "--all", "--check", "full"]).run()?;
    assert_eq!(check.status, Some(0), "{check:?}");

    fs::remove_file(directory.join("cyrus.cache"))?;
    repair(&fixture, &[])?;
    let after = cached_in(&directory)?;
    assert_eq!(versions(&after), [14]);
    let odd = (directory, 900);
    assert_ne!(after[&odd].1, mixed[&odd].1, "3.13 makes something else of the message");
    Ok(())
}

#[test]
fn a_wrong_record_of_3_13_is_found_and_put_right() -> Result<()> {
    let fixture = Fixture::unpack(OF_3_13)?;
    let directory = fixture.mailbox_dir(MAILBOX)?;
    let odd = (directory.clone(), 900);
    fs::write(directory.join("900."), ODD_MESSAGE)?;
    repair(&fixture, &[])?;
    let right = cached_in(&directory)?;
    // The record of version 11 passed off as one of version 14.
    fs::remove_file(directory.join("cyrus.cache"))?;
    repair(&fixture, &["--cache-dialect", "3.6"])?;
    let index = directory.join("cyrus.index");
    let mut bytes = fs::read(&index)?;
    let layout = IndexFile::open(&bytes)?.layout();
    for record in bytes[layout.header_size..].chunks_exact_mut(layout.record_size) {
        let decoded = IndexRecord::decode(layout, record)?;
        let mut encoded = Vec::new();
        IndexRecord { cache_version: 14, ..decoded }.encode_into(layout, &mut encoded);
        record.copy_from_slice(&encoded);
    }
    fs::write(&index, bytes)?;
    let run = repair(&fixture, &["--check", "full"])?;
    let wrong = run.findings("cache-record-wrong");
    assert_eq!(wrong.iter().filter_map(|found| found["uid"].as_u64()).collect::<Vec<_>>(), [900]);
    assert_eq!(cached_in(&directory)?[&odd], right[&odd]);
    Ok(())
}

#[test]
fn of_a_release_that_no_server_judged_the_report_says_so() -> Result<()> {
    let fixture = Fixture::unpack(Fixture::BY_ID)?;
    let directory = fixture.mailbox_dir(MAILBOX)?;
    let mut index = IndexImage::read(&directory)?;
    index.set_record(5, "cache_version", 13)?;
    index.write()?;
    let sound = fixture.reconstruct().args(["--all", "--json"]).run()?;
    assert_eq!(sound.summary()["repaired"], 0);
    assert!(sound.findings("cache-dialect-unjudged").is_empty(), "nothing is made");

    fs::remove_file(directory.join("cyrus.cache"))?;
    let run = repair(&fixture, &[])?;
    let told = run.findings("cache-dialect-unjudged");
    assert_eq!(told.len(), 1, "{run:?}");
    assert_eq!(told[0]["remedy"], "note");
    assert!(told[0]["detail"].as_str().is_some_and(|detail| detail.contains("version 13")));
    assert_eq!(versions(&cached_in(&directory)?), [11]);
    Ok(())
}

#[test]
fn plans_are_applied_in_the_dialect_for_which_they_were_made() -> Result<()> {
    let fixture = Fixture::unpack(OF_3_13)?;
    let directory = fixture.mailbox_dir(MAILBOX)?;
    fs::remove_file(directory.join("cyrus.cache"))?;
    let plans = fixture.path().join("plans.jsonl");
    let plan = fixture.reconstruct().args(["-n", "--all", "--cache-dialect", "3.6", "--plan"]);
    assert_eq!(plan.arg(&plans).run()?.status, Some(1));
    let applied = fixture.reconstruct().arg("--apply").arg(&plans).run()?;
    assert_eq!(applied.status, Some(0), "{applied:?}");
    assert_eq!(versions(&cached_in(&directory)?), [11]);
    Ok(())
}
