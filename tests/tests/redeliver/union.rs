//! After a delivery users see the union of both sides, and Cyrus finds nothing wrong with it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{USERS, exported, gapfill};
use mailstore_tests::{Cyrus, Layout, Snapshot, Store, ToolRun, judge};

use crate::scene::{Scene, Way, assert_seen, count, kept, new_uids, redeliver, subcommand, views};

fn users_see_the_union(layout: Layout, way: Way, seed: u64, name: &str) -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::after(&cyrus, layout, seed, 130)?;
    let (before, expected) = (kept(&scene.before), scene.expected(way)?);
    let missing = count(&expected) - count(&before);
    assert!(missing > 5, "seed {seed}: only {missing} messages are missing");

    let dry = scene.redeliver_by(way, &["-n"])?;
    assert_eq!(dry.status, Some(1), "{}", dry.stderr);
    assert_eq!(dry.summary()["intended"], missing, "{}", dry.stdout);
    assert_eq!(views(&scene.live)?, scene.before, "a dry run changes nothing");

    if way == Way::Imap {
        raise_uidnext(&scene)?;
    }
    let run = scene.redeliver_by(way, &[])?;
    let summary = run.summary();
    assert_eq!((&summary["verified"], &summary["failed"]), (&missing.into(), &0.into()), "{run:?}");
    assert!(run.findings("uids-may-be-known").is_empty(), "{run:?}");
    let after = views(&scene.live)?;
    assert_seen(&kept(&after), &expected, &format!("seed {seed}"));
    let highest = scene.highest_uids();
    for (folder, uids) in new_uids(&scene.before, &after) {
        // A folder that was made has a UIDVALIDITY that no client has seen.
        let is_made = !scene.before[folder.0].mailboxes.contains_key(&folder.1);
        let above = highest.get(&folder).copied().filter(|_| !is_made).unwrap_or_default();
        assert!(uids.iter().all(|&uid| uid > above), "{folder:?}: {uids:?} are not above {above}");
        let messages = &after[folder.0].mailboxes[&folder.1].messages;
        let threads: Vec<_> = uids.iter().map(|uid| &messages[uid].thread_id).collect();
        assert!(threads.iter().all(|thread| *thread != "NIL"), "{folder:?}: {threads:?}");
    }

    // The folder that the live side does not have is made over IMAP, else held as one.
    let held = run.json.iter().flat_map(|line| line["messages"].as_array().into_iter().flatten());
    let held: Vec<_> = held.filter(|message| message["state"] == "held").collect();
    let held: Vec<_> = held.iter().map(|it| (&it["class"], &it["messages"])).collect();
    let made = run.findings("mailbox-made").len();
    match way {
        Way::Spool => assert_eq!((held, made), (vec![(&"mailbox-gone".into(), &2.into())], 0)),
        Way::Imap => assert_eq!((held, made), (Vec::new(), 1)),
    }

    let again = scene.redeliver_by(way, &[])?;
    assert_eq!(again.summary()["delivered"], 0, "{}", again.stdout);
    assert_seen(&kept(&views(&scene.live)?), &expected, "a second run delivers nothing");
    let states = exported(&scene.live, &scene.incident, "delivery")?;
    let verified = states.iter().filter(|line| line["state"] == "verified").count();
    assert_eq!(verified, missing);

    let compared = gapfill(&scene.live, &[scene.rescued.path().to_owned()], &[])?;
    let classes = &compared.summary()["classes"];
    let gone = (way == Way::Imap).then_some("mailbox-gone");
    for class in ["missing", "uid-taken", "ambiguous", "wanted"].into_iter().chain(gone) {
        assert!(classes[class].is_null(), "{class}: {classes}");
    }
    cyrus_finds_nothing(scene, way)
}

/// Raises the numbers of the mailboxes that lack anything. No message changes, and a second time
/// there is nothing to raise.
fn raise_uidnext(scene: &Scene) -> Result<()> {
    let (before, highest) = (views(&scene.live)?, scene.highest_uids());
    let raise = |arguments: &[&str]| {
        let command = redeliver(&scene.live, &scene.incident)?;
        let mut command = subcommand(&command, &["raise-uidnext"]);
        ToolRun::of(&command.args(arguments).arg("--json").output()?).parsed()
    };
    let dry = raise(&["-n"])?;
    let told = dry.findings("numbers-raised").len();
    ensure!(dry.status == Some(1) && told > 0, "{dry:?}");
    let run = raise(&[])?;
    ensure!(run.status == Some(0) && run.findings("numbers-raised").len() == told, "{run:?}");
    let again = raise(&[])?;
    ensure!(again.status == Some(0) && again.findings("numbers-raised").is_empty(), "{again:?}");
    let after = views(&scene.live)?;
    assert_eq!(kept(&after), kept(&before));
    for (user, view) in &after {
        for (folder, mailbox) in &view.mailboxes {
            let highest = highest.get(&(*user, folder.clone())).copied().unwrap_or_default();
            let lacks = run.json.iter().any(|line| {
                line["mailbox"] == folder.replacen("INBOX", &format!("user.{user}"), 1).as_str()
            });
            ensure!(!lacks || mailbox.uidnext > highest, "{user} {folder}: {mailbox:?}");
        }
    }
    Ok(())
}

fn cyrus_finds_nothing(scene: Scene, way: Way) -> Result<()> {
    let store = scene.live.into_store()?;
    let said = store.tool_output("quota", &["-f", "-n", "-q"])?;
    assert_eq!(said, "", "the quota is in step");
    let verdict = judge(&store)?;
    ensure!(verdict.is_clean(), "{verdict}");
    // Conversations counted anew from the mailboxes come to the same.
    let copy = store.copy()?;
    for user in USERS {
        let dump = |store: &Store| store.tool_output("ctl_conversationsdb", &["-d", user]);
        copy.tool_output("ctl_conversationsdb", &["-R", user])?;
        let (told, counted) = (rows(&dump(&store)?, way), rows(&dump(&copy)?, way));
        let differing: Vec<_> = told.symmetric_difference(&counted).collect();
        assert!(differing.is_empty(), "conversations of {user}: {differing:#?}");
    }
    Ok(())
}

/// The rows of a dump of conversations, without their subjects: `ctl_conversationsdb -b` gives none
/// to a thread that it makes. Where Cyrus itself appended a message to one folder after another, also
/// without the modseqs of folders: there these follow the order in which the folders came.
fn rows(dump: &str, way: Way) -> BTreeSet<String> {
    let is_subject = |word: &&str| *word == "NIL" || word.starts_with("number");
    let row = |line: &str| {
        let is_folder = line.starts_with('F') && way == Way::Imap;
        let is_modseq = |word: &&str| is_folder && word.starts_with('(');
        let words = line.split(' ').filter(|word| !is_subject(word) && !is_modseq(word));
        words.collect::<Vec<_>>().join(" ")
    };
    dump.lines().map(row).collect()
}

#[test]
fn users_see_the_union_in_the_layout_by_id() -> Result<()> {
    users_see_the_union(
        Layout::ById,
        Way::Spool,
        20_061_109,
        "users_see_the_union_in_the_layout_by_id",
    )
}

#[test]
fn users_see_the_union_in_the_layout_by_name() -> Result<()> {
    users_see_the_union(
        Layout::ByName,
        Way::Spool,
        20_061_110,
        "users_see_the_union_in_the_layout_by_name",
    )
}

#[test]
fn users_see_the_union_that_came_over_imap_in_the_layout_by_id() -> Result<()> {
    const NAME: &str = "users_see_the_union_that_came_over_imap_in_the_layout_by_id";
    users_see_the_union(Layout::ById, Way::Imap, 20_061_111, NAME)
}

#[test]
fn users_see_the_union_that_came_over_imap_in_the_layout_by_name() -> Result<()> {
    const NAME: &str = "users_see_the_union_that_came_over_imap_in_the_layout_by_name";
    users_see_the_union(Layout::ByName, Way::Imap, 20_061_122, NAME)
}

/// What a client that synchronizes with QRESYNC knows of a folder in the end.
fn synced(scene: &Scene, user: &str, folder: &str, cached: &Snapshot) -> Result<Known> {
    let then = cached.mailboxes.get(folder).context("an unknown folder")?;
    let mut known: Known =
        then.messages.iter().map(|(uid, message)| (*uid, message.flags.clone())).collect();
    let mut session = scene.live.login(user)?;
    session.ok("ENABLE QRESYNC")?;
    let (validity, modseq) = (then.uidvalidity, then.highestmodseq);
    let reply = session.ok(&format!("SELECT {folder} (QRESYNC ({validity} {modseq}))"))?;
    ensure!(reply.code("UIDVALIDITY") == Some(validity.to_string()), "another UIDVALIDITY");
    let vanished = reply.values_of("VANISHED")?;
    ensure!(vanished.is_empty(), "{folder}: {vanished:?}");
    for fetched in reply.fetched()? {
        let uid = fetched.uid()?;
        known.retain(|(known, _)| *known != uid);
        let mut flags = fetched.flags()?;
        flags.retain(|flag| flag != "\\Recent");
        known.insert((uid, flags));
    }
    Ok(known)
}

type Known = BTreeSet<(u32, Vec<String>)>;

#[test]
fn a_client_that_had_cached_a_folder_comes_to_know_all_of_it() -> Result<()> {
    const NAME: &str = "a_client_that_had_cached_a_folder_comes_to_know_all_of_it";
    a_client_comes_to_know_all(Way::Spool, NAME)
}

#[test]
fn a_client_that_had_cached_a_folder_comes_to_know_all_that_came_over_imap() -> Result<()> {
    const NAME: &str = "a_client_that_had_cached_a_folder_comes_to_know_all_that_came_over_imap";
    a_client_comes_to_know_all(Way::Imap, NAME)
}

fn a_client_comes_to_know_all(way: Way, name: &str) -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::after(&cyrus, Layout::ById, 7, 60)?;
    if way == Way::Imap {
        raise_uidnext(&scene)?;
    }
    let run = scene.redeliver_by(way, &[])?;
    assert_eq!(run.summary()["failed"], 0, "{run:?}");
    let after = views(&scene.live)?;
    let mut came = 0;
    for user in USERS {
        for (folder, mailbox) in &after[user].mailboxes {
            // A folder that was made nobody has cached.
            if !scene.before[user].mailboxes.contains_key(folder) {
                continue;
            }
            let known = synced(&scene, user, folder, &scene.before[user])?;
            let messages = mailbox.messages.iter();
            let all: Known = messages.map(|(uid, m)| (*uid, m.flags.clone())).collect();
            assert_eq!(known, all, "{user} {folder}");
            let then = &scene.before[user].mailboxes[folder];
            came += mailbox.messages.len() - then.messages.len();
            let grew = mailbox.messages.len() > then.messages.len();
            assert!(!grew || mailbox.highestmodseq > then.highestmodseq, "{user} {folder}");
        }
    }
    assert!(came > 2, "{came} messages came");
    Ok(())
}
