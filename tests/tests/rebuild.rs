//! Whole stores whose indexes and caches are lost in every way, rebuilt by our `reconstruct`, and
//! served by the real server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use mailstore_tests::generate::Random;
use mailstore_tests::{
    Cyrus, KnownStore, Layout, Losses, MailboxFiles, ServerOptions, USERS, long_form,
};

/// What can have happened to the files of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    IndexDeleted,
    CacheDeleted,
    CacheCut,
    CacheGarbage,
    IndexAndCacheDeleted,
    IndexDeletedAndCacheGarbage,
}

const DAMAGES: [Damage; 6] = [
    Damage::IndexDeleted,
    Damage::CacheDeleted,
    Damage::CacheCut,
    Damage::CacheGarbage,
    Damage::IndexAndCacheDeleted,
    Damage::IndexDeletedAndCacheGarbage,
];

impl Damage {
    fn loses_index(self) -> bool {
        matches!(
            self,
            Self::IndexDeleted | Self::IndexAndCacheDeleted | Self::IndexDeletedAndCacheGarbage
        )
    }

    fn inflict(self, files: &MailboxFiles, random: &mut Random) -> Result<()> {
        if self.loses_index() {
            fs::remove_file(files.index.join("cyrus.index"))?;
        }
        // A mailbox that never had mail has none.
        let directories = files.archive.iter().chain([&files.cache]);
        let caches = directories.map(|directory| directory.join("cyrus.cache"));
        for cache in caches.filter(|cache| cache.exists()) {
            self.inflict_on_cache(&cache, random)?;
        }
        Ok(())
    }

    fn inflict_on_cache(self, cache: &Path, random: &mut Random) -> Result<()> {
        let mut bytes = fs::read(cache)?;
        match self {
            Self::IndexDeleted => return Ok(()),
            Self::CacheDeleted | Self::IndexAndCacheDeleted => {
                fs::remove_file(cache)?;
                return Ok(());
            }
            Self::CacheCut => bytes.truncate(random.below(bytes.len())),
            Self::CacheGarbage | Self::IndexDeletedAndCacheGarbage => {
                let begin = if random.one_in(3) { 0 } else { random.below(bytes.len()) };
                let len = 1 + random.below(bytes.len() - begin);
                for byte in &mut bytes[begin..begin + len] {
                    *byte = random.bits().to_be_bytes()[0];
                }
            }
        }
        fs::write(cache, bytes).context("writing a damaged cache")
    }
}

/// Which mailbox suffers what: in three rounds every damage hits an INBOX, and by chance others.
fn damages_of_round(
    known: &KnownStore,
    round: usize,
    seed: u64,
    random: &mut Random,
) -> BTreeMap<String, Damage> {
    let inboxes = USERS.map(|user| format!("user.{user}"));
    let mut damages = BTreeMap::new();
    for mailbox in known.seen_mailboxes() {
        if random.one_in(2) {
            damages.insert(mailbox, DAMAGES[random.below(DAMAGES.len())]);
        }
    }
    for (number, inbox) in inboxes.into_iter().enumerate() {
        // Another seed, another inbox for each of the kinds.
        let number = if seed.is_multiple_of(2) { number } else { 1 - number };
        damages.insert(inbox, DAMAGES[round * USERS.len() + number]);
    }
    damages
}

/// The UIDs that Bob has seen in Alice's archive: kept by its unique id, in a database of his.
fn seen_by_bob(known: &KnownStore) -> Result<Vec<u32>> {
    let mut bob = known.login("bob")?;
    bob.examine("user.alice.Archive")?;
    let seen = bob.search("SEEN")?;
    bob.logout()?;
    Ok(seen)
}

fn damage_and_rebuild(
    base: &KnownStore,
    round: usize,
    seed: u64,
    read_by_bob: &[u32],
) -> Result<()> {
    let mut random = Random::new(seed << 8 | round as u64);
    let mut known = base.copy()?;
    let server_runs = (seed + round as u64).is_multiple_of(2);
    if server_runs {
        known.start_again()?;
    }
    let damages = damages_of_round(&known, round, seed, &mut random);
    for (mailbox, damage) in &damages {
        let files = known.files(mailbox)?;
        damage.inflict(&files, &mut random)?;
        if damage.loses_index() && !files.data.exists() {
            // On a store with a metadata partition the first message makes this directory. Where
            // the index is gone too, nothing tells such a mailbox from one whose mail is gone, so
            // our tool would leave it alone; this is what it tells the operator to do.
            fs::create_dir_all(&files.data)?;
            known.cyrus().account().own(&files.data)?;
        }
    }
    let lost = damages.iter().filter(|(_, damage)| damage.loses_index());
    let losses = Losses::of_indexes(lost.map(|(mailbox, _)| mailbox.clone()));
    let told = format!("seed {seed}, round {round}, server runs: {server_runs}: {damages:#?}");

    let run = known.reconstruct().run().context(told.clone())?;
    assert_eq!(run.status, Some(0), "{told}\n{}{}", run.stdout, run.stderr);
    for mailbox in damages.keys() {
        // Where a mailbox is empty, a cache without a generation number loses nothing.
        let is_empty = known.files(mailbox)?.messages()?.is_empty();
        let state = &run.mailbox(mailbox)["state"];
        assert!(state == "repaired" || is_empty, "{mailbox} is {state}; {told}");
    }
    known.check_repaired(&losses).context(told.clone())?;

    known.start_again()?;
    assert_eq!(seen_by_bob(&known)?, read_by_bob, "{told}");
    for user in USERS {
        let mut session = known.login(user)?;
        let uidnext = session.examine("INBOX")?.uidnext;
        let uid = session.append("INBOX", &["after"], None, b"Subject: life goes on\r\n\r\n")?;
        assert_eq!(uid, uidnext, "{told}");
        session.select("INBOX")?;
        assert_eq!(session.search("SUBJECT \"life goes on\"")?, [uid], "{told}");
        session.logout()?;
    }
    assert_eq!(known.deaths(), [""; 0], "{told}");
    Ok(())
}

/// All rounds of every seed on stores made with `options`.
fn rebuild_everything(cyrus: &Cyrus, options: &ServerOptions) -> Result<()> {
    let seeds = if long_form() { 1..=5 } else { 1..=1 };
    for seed in seeds {
        // Filling it prints the seed.
        let mut base = KnownStore::populated(cyrus, options.clone(), seed)?;
        base.start_again()?;
        let seen = seen_by_bob(&base)?;
        assert!(!seen.is_empty());
        base.stop()?;
        for user in USERS {
            assert!(!base.expunged(&format!("user.{user}")).is_empty(), "{user} expunged mail");
        }
        for round in 0..DAMAGES.len() / USERS.len() {
            damage_and_rebuild(&base, round, seed, &seen)?;
        }
    }
    Ok(())
}

#[test]
fn a_store_by_unique_id_is_rebuilt_whatever_was_lost() -> Result<()> {
    let name = "a_store_by_unique_id_is_rebuilt_whatever_was_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    rebuild_everything(&cyrus, &ServerOptions::new(Layout::ById))
}

#[test]
fn a_store_by_name_with_conversations_is_rebuilt_whatever_was_lost() -> Result<()> {
    let name = "a_store_by_name_with_conversations_is_rebuilt_whatever_was_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ByName).with_conversations();
    rebuild_everything(&cyrus, &options.with_timezone("Europe/Berlin"))
}

#[test]
fn a_store_with_archive_and_metadata_partitions_is_rebuilt_whatever_was_lost() -> Result<()> {
    let name = "a_store_with_archive_and_metadata_partitions_is_rebuilt_whatever_was_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_archive().with_line("archive_after: 0");
    rebuild_everything(&cyrus, &options.with_metapartition_files(&["header", "index", "cache"]))
}
