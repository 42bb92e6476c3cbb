//! Damage to whole files: garbage anywhere, an unknown version, something else under their names.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::{Context as _, Result};
use mailstore_tests::generate::Random;
use mailstore_tests::{
    Cyrus, Expect, KnownStore, Layout, Losses, ServerOptions, Snapshot, long_form,
};

use super::{INBOX, Scene};

/// Damages `bytes` somewhere.
fn ruin(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    let begin = random.below(len);
    let end = (begin + 1 + random.below(700)).min(len);
    match random.below(4) {
        0 => (0..=random.below(20)).for_each(|_| {
            let at = random.below(len);
            bytes[at] ^= 1 << random.below(8);
        }),
        1 => bytes[begin..end].fill(0),
        2 => bytes[begin..end].fill_with(|| random.bits().to_le_bytes()[0]),
        _ => bytes.truncate(begin),
    }
}

#[test]
fn whatever_happens_to_index_and_cache_no_message_is_lost() -> Result<()> {
    let name = "whatever_happens_to_index_and_cache_no_message_is_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let base = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(layout))?;
        for seed in 1..=if long_form() { 40 } else { 6 } {
            let mut random = Random::new(seed);
            let mut known = base.copy()?;
            let files = known.files(INBOX)?;
            for file in ["cyrus.index", "cyrus.cache"] {
                let path = files.data.join(file);
                let mut bytes = fs::read(&path)?;
                (0..=random.below(3)).for_each(|_| ruin(&mut bytes, &mut random));
                fs::write(&path, bytes)?;
            }
            let told = format!("{layout:?}, seed {seed}");
            let run = known.reconstruct().run()?;
            assert_eq!(run.status, Some(0), "{told}: {}{}", run.stdout, run.stderr);
            known.check_at_rest().context(told.clone())?;

            known.start_again()?;
            let mut after = Snapshot::take(&known, "alice")?;
            let inbox = after.mailboxes.get_mut("INBOX").context("the INBOX")?;
            // Whether a tombstone survived depends on the seed.
            inbox.messages.retain(|uid, _| !known.expunged(INBOX).contains_key(uid));
            let before = known.shown().get("alice").context("what alice saw")?;
            let differences = before.differences(&after, Expect::IndexLost);
            assert!(differences.is_empty(), "{told}:\n{differences}\n{}", run.stdout);
            assert_eq!(known.deaths(), [""; 0], "{told}");
        }
    }
    Ok(())
}

#[test]
fn an_index_whose_records_fit_a_known_version_is_read_whatever_its_header_says() -> Result<()> {
    let mut scene = scene_or_skip!(
        "an_index_whose_records_fit_a_known_version_is_read_whatever_its_header_says",
        Layout::ById
    );
    scene.edit_index(|index| index.set_header("minor_version", 21))?;
    scene.repair(0, "index-header-damaged")?;
    scene.recovered(&Losses::none())
}

#[test]
fn an_index_of_an_unknown_version_is_left_alone() -> Result<()> {
    let mut scene = scene_or_skip!("an_index_of_an_unknown_version_is_left_alone", Layout::ByName);
    let path = scene.files.index.join("cyrus.index");
    let sound = fs::read(&path)?;
    // As a later release may write it: a larger header and records, all with checksums.
    let mut later = sound[..156].to_vec();
    later.resize(220, 0);
    for (offset, value) in [(8, 22_u32), (12, 224), (16, 160)] {
        later[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    }
    later.extend(crc32fast::hash(&later).to_be_bytes());
    for record in sound[160..].chunks_exact(112) {
        later.extend(record.iter().map(|byte| byte ^ 0x5a));
        later.extend([0; 48]);
    }
    fs::write(&path, later)?;
    scene.must_be_left(2, "index-unreadable")?;
    fs::write(&path, sound)?;
    scene.recovered(&Losses::none())
}

#[test]
fn an_index_that_is_a_directory_or_a_symbolic_link_is_left_alone() -> Result<()> {
    let mut scene = scene_or_skip!(
        "an_index_that_is_a_directory_or_a_symbolic_link_is_left_alone",
        Layout::ById
    );
    let path = scene.files.index.join("cyrus.index");
    let elsewhere = scene.known.path().join("elsewhere");
    fs::rename(&path, &elsewhere)?;
    fs::create_dir(&path)?;
    fs::write(path.join("file"), b"somebody's")?;
    scene.must_be_left(1, "index-unreadable")?;
    fs::remove_dir_all(&path)?;

    std::os::unix::fs::symlink(&elsewhere, &path)?;
    scene.must_be_left(1, "index-unreadable")?;
    fs::remove_file(&path)?;
    fs::rename(&elsewhere, &path)?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_cache_that_is_a_directory_or_a_symbolic_link_is_set_aside() -> Result<()> {
    let scene = scene_or_skip!(
        "a_cache_that_is_a_directory_or_a_symbolic_link_is_set_aside",
        Layout::ByName
    );
    let sound = fs::read(scene.files.cache.join("cyrus.cache"))?;
    for is_link in [true, false] {
        let known = scene.known.copy()?;
        let files = known.files(INBOX)?;
        let mut scene = Scene { known, files };
        let cache = scene.files.cache.join("cyrus.cache");
        let elsewhere = scene.known.path().join("elsewhere");
        fs::rename(&cache, &elsewhere)?;
        if is_link {
            std::os::unix::fs::symlink(&elsewhere, &cache)?;
        } else {
            fs::create_dir(&cache)?;
            fs::write(cache.join("file"), b"somebody's")?;
            scene.known.cyrus().account().own(&cache)?;
        }
        scene.repair(0, "cache-missing")?;
        assert_eq!(fs::read(&elsewhere)?, sound, "what a link points to is nobody's to change");
        assert!(fs::symlink_metadata(&cache)?.is_file());
        if !is_link {
            let before = scene.set_aside("before")?;
            let kept = before.iter().find(|path| path.ends_with("cyrus.cache"));
            let kept = kept.context("what stood there")?;
            assert_eq!(fs::read(kept.join("file"))?, b"somebody's");
        }
        scene.recovered(&Losses::none())?;
    }
    Ok(())
}

#[test]
fn a_cache_that_root_restored_goes_back_to_the_server() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_cache_that_root_restored_goes_back_to_the_server", Layout::ById);
    let account = scene.known.cyrus().account().clone();
    if !account.differs_from_ours() {
        // Nobody but root can give files away, so there is nothing to test.
        return Ok(());
    }
    let cache = scene.files.cache.join("cyrus.cache");
    let cut = &fs::read(&cache)?[..1000];
    fs::write(&cache, cut)?;
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o644))?;
    std::os::unix::fs::chown(&cache, Some(0), Some(0))?;
    scene.repair(0, "cache-record-damaged")?;
    assert_eq!(fs::metadata(&cache)?.uid(), account.uid);
    let before = scene.set_aside("before")?;
    let kept = before.iter().find(|path| path.ends_with("cyrus.cache")).context("the original")?;
    assert_eq!(fs::read(kept)?, cut);
    scene.recovered(&Losses::none())
}
