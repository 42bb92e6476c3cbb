//! The damage generator, on stores of every release: it hits what it says, the same way each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use mailstore_tests::damage::{Damage, Kind, Place, RANDOM, Survivors, Wreck};
use mailstore_tests::{Entry, Fixture, Tree, long_form};
use tempfile::TempDir;

const MAILBOX: &str = "user.erin";

/// Everything in the mailbox's directories but times and inodes.
fn contents(place: &Place) -> Result<Vec<String>> {
    let mut shown = Vec::new();
    for directory in directories(place) {
        for (path, entry) in Tree::read(directory)?.entries {
            let content = &entry.content;
            shown.push(format!("{} {:o} {} {content}", path.display(), entry.mode, entry.size));
        }
    }
    Ok(shown)
}

fn directories(place: &Place) -> Vec<&PathBuf> {
    [Some(&place.spool), place.archive.as_ref()].into_iter().flatten().collect()
}

fn damaged(name: &str, kind: &str, seed: u64) -> Result<(Fixture, Vec<Damage>)> {
    let fixture = Fixture::unpack(name)?;
    let older = Fixture::unpack(name)?;
    let wreck = Wreck::of(&fixture.imapd_conf(), seed)?.with_older(&older.imapd_conf())?;
    let damages = wreck.inflict(kind, MAILBOX)?;
    Ok((fixture, damages))
}

/// A mailbox to be damaged again and again, each time as it was at first.
struct Patient {
    fixture: Fixture,
    older: Fixture,
    place: Place,
    sound: TempDir,
}

impl Patient {
    fn new(name: &str) -> Result<Self> {
        let (fixture, older) = (Fixture::unpack(name)?, Fixture::unpack(name)?);
        // An older copy that is the same would change nothing.
        fs::write(&Place::of(&older.imapd_conf(), MAILBOX)?.index, b"an older index")?;
        let place = Place::of(&fixture.imapd_conf(), MAILBOX)?;
        let sound = tempfile::tempdir()?;
        for (number, directory) in directories(&place).into_iter().enumerate() {
            copy(directory, &sound.path().join(number.to_string()))?;
        }
        Ok(Self { fixture, older, place, sound })
    }

    fn restored(&self) -> Result<()> {
        for (number, directory) in directories(&self.place).into_iter().enumerate() {
            fs::remove_dir_all(directory)?;
            copy(&self.sound.path().join(number.to_string()), directory)?;
        }
        Ok(())
    }

    fn inflict(&self, kind: &str) -> Result<Vec<Damage>> {
        let wreck = Wreck::of(&self.fixture.imapd_conf(), 1)?;
        wreck.with_older(&self.older.imapd_conf())?.inflict(kind, MAILBOX)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("--archive").arg(from).arg(to).status()?;
    anyhow::ensure!(status.success(), "can't copy {}", from.display());
    Ok(())
}

#[test]
fn every_kind_hits_a_store_of_every_release() -> Result<()> {
    let mut names = Fixture::names()?;
    // Without CRCs, of today, with an archive, of tomorrow.
    let few = ["-v7-", "-v17-", "-v20-legacy"];
    names.retain(|name| long_form() || few.iter().any(|part| name.contains(part)));
    for name in names {
        let patient = Patient::new(&name)?;
        let before = contents(&patient.place)?;
        for kind in Kind::all() {
            patient.restored()?;
            let done = patient.inflict(kind.name)?;
            let after = contents(&patient.place)?;
            assert_eq!(done.len(), 1, "{} does not hit {name}", kind.name);
            assert_ne!(before, after, "{} changes nothing in {name}: {done:?}", kind.name);
        }
    }
    Ok(())
}

#[test]
fn a_seed_stands_for_its_damage() -> Result<()> {
    let seeds = if long_form() { 40 } else { 6 };
    let of = |fixture: &Fixture| contents(&Place::of(&fixture.imapd_conf(), MAILBOX)?);
    let mut seen = BTreeSet::new();
    for seed in 0..seeds {
        let (first, damages) = damaged(Fixture::BY_ID, RANDOM, seed)?;
        let (second, again) = damaged(Fixture::BY_ID, RANDOM, seed)?;
        assert_eq!(damages, again, "seed {seed}");
        // A link to another message leads into its own store.
        if damages.iter().all(|damage| damage.kind != "entry-symlink-other") {
            assert_eq!(of(&first)?, of(&second)?, "seed {seed}: {damages:?}");
        }
        seen.insert(of(&first)?);
    }
    assert!(seen.len() > 1, "one seed is not like the other");
    Ok(())
}

#[test]
fn only_the_named_mailbox_is_hit() -> Result<()> {
    let patient = Patient::new(Fixture::BY_ID)?;
    let hit = Place::of(&patient.fixture.imapd_conf(), MAILBOX)?.spool;
    for kind in Kind::all() {
        patient.restored()?;
        let before = Tree::read(&patient.fixture.spool())?;
        patient.inflict(kind.name)?;
        let after = Tree::read(&patient.fixture.spool())?;
        let hit = hit.strip_prefix(patient.fixture.spool())?;
        // A message that was copied to another mailbox is one file with two names.
        let is_hit = |path: &Path| path.starts_with(hit);
        let inodes: BTreeSet<u64> = before
            .entries
            .iter()
            .filter(|(path, _)| is_hit(path))
            .map(|(_, entry)| entry.inode)
            .collect();
        let elsewhere = |tree: &Tree| -> BTreeMap<PathBuf, Entry> {
            let entries = tree
                .entries
                .iter()
                .filter(|(path, entry)| !is_hit(path) && !inodes.contains(&entry.inode));
            entries.map(|(path, entry)| (path.clone(), entry.clone())).collect()
        };
        assert_eq!(elsewhere(&before), elsewhere(&after), "{}", kind.name);
    }
    Ok(())
}

#[test]
fn what_is_left_is_found_without_being_told() -> Result<()> {
    let sound = Fixture::unpack(Fixture::BY_ID)?;
    let place = Place::of(&sound.imapd_conf(), MAILBOX)?;
    let left = |kind: &str| -> Result<(Survivors, Damage)> {
        let (fixture, mut damages) = damaged(Fixture::BY_ID, kind, 5)?;
        let hit = Place::of(&fixture.imapd_conf(), MAILBOX)?;
        Ok((Survivors::of(&place, &hit, false)?, damages.remove(0)))
    };
    let lost = |left: &Survivors| -> BTreeSet<u32> {
        let lost = left.originals.keys().filter(|uid| !left.has_record(**uid));
        lost.copied().collect()
    };

    let (cache_removed, _) = left("cache-removed")?;
    assert!(cache_removed.index_whole && lost(&cache_removed).is_empty());
    assert_eq!(cache_removed.known_names.len(), cache_removed.names.len());
    assert!(!cache_removed.names.is_empty(), "erin has keywords");

    let (removed, _) = left("index-removed")?;
    assert_eq!(lost(&removed).len(), removed.originals.len());
    let (zeroed, damage) = left("record-zeroed")?;
    assert_eq!(lost(&zeroed), damage.uids);
    let (bit, _) = left("record-bit")?;
    assert!(lost(&bit).is_empty(), "one bit can be put right");
    let (bits, damage) = left("record-bits")?;
    assert_eq!(lost(&bits), damage.uids);
    for kind in ["index-block-inserted-odd", "records-shuffled", "records-duplicated"] {
        let (moved, _) = left(kind)?;
        assert!(lost(&moved).len() <= 1, "{kind} loses {:?}", lost(&moved));
    }

    let guid = |left: &Survivors, uid: u32| left.originals[&uid].record.guid;
    let (swapped, damage) = left("messages-swapped")?;
    for uid in damage.uids {
        assert!(swapped.has_body(guid(&swapped, uid)), "{uid} is there under another name");
        assert_ne!(swapped.named[&uid], guid(&swapped, uid));
    }
    let (lf, damage) = left("message-lf")?;
    assert!(damage.uids.iter().all(|uid| lf.has_body(guid(&lf, *uid))), "CRs can come back");
    let (cut, damage) = left("message-truncated")?;
    assert!(damage.uids.iter().all(|uid| cut.remains_named.contains(uid)));
    let (names, _) = left("header-file-removed")?;
    assert!(names.known_names.is_empty());
    Ok(())
}
