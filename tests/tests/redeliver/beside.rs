//! Deliveries beside sessions and mail that goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Value};

use crate::folders::{Folders, MISSING, PRESENT, messages, shown};

/// How long an idle client may take to hear of what came.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn sessions_in_the_folder_see_what_came_and_go_on() -> Result<()> {
    const NAME: &str = "sessions_in_the_folder_see_what_came_and_go_on";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let all = u32::try_from(PRESENT.len() + MISSING.len())?;
    let (mut working, mut idle) = (scene.session()?, scene.session()?);
    working.select(&case.folder)?;
    working.fetch("1:*", "(FLAGS)")?;
    idle.select(&case.folder)?;
    idle.idle_start()?;

    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    let exists = working.noop()?.values_of("EXISTS")?;
    let told = exists.iter().flatten().find_map(Value::number);
    assert_eq!(told, Some(all.into()), "{exists:?}");
    let uids = working.search("ALL")?;
    working.store(&uids[0].to_string(), "+FLAGS (\\Answered)")?;
    let last = uids.last().context("messages")?;
    working.store(&last.to_string(), "+FLAGS (\\Deleted)")?;
    working.ok(&format!("UID EXPUNGE {last}"))?;
    let fetched = working.fetch("1:*", "(FLAGS BODY.PEEK[])")?;
    assert_eq!(fetched.len(), uids.len() - 1);
    ensure!(fetched[0].flags()?.contains(&"\\Answered".to_owned()), "{:?}", fetched[0]);

    // Whether it hears of what came before or after something was expunged is a matter of chance.
    let mut heard = Vec::new();
    while !heard.iter().any(|line: &String| line.ends_with(" EXISTS")) {
        heard.push(idle.idle_wait(PATIENCE)?.context(format!("it heard {heard:?}"))?);
    }
    idle.idle_done()?;
    assert_eq!(idle.search("ALL")?.len(), fetched.len());
    drop((working, idle));
    scene.end()
}

#[test]
fn mail_that_comes_meanwhile_is_kept_and_all_that_is_delivered_is_there_once() -> Result<()> {
    const NAME: &str = "mail_that_comes_meanwhile_is_kept_and_all_that_is_delivered_is_there_once";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 6)?;
    while !scene.fresh.is_empty() {
        let case = scene.take()?;
        let stop = AtomicBool::new(false);
        let (appended, run) = std::thread::scope(|scope| -> Result<_> {
            let (server, folder, stop) = (&scene.server, case.folder.clone(), &stop);
            let client = scope.spawn(move || -> Result<BTreeSet<u32>> {
                let mut session = server.login("alice")?;
                session.select(&folder)?;
                let mut uids = BTreeSet::new();
                let mut number = 9;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    uids.extend(session.append_all(&folder, &messages(&[number]))?);
                    session.store("1", "+FLAGS (\\Answered)")?;
                    session.store("1", "-FLAGS (\\Answered)")?;
                }
                Ok(uids)
            });
            let run = case.redeliver(&scene);
            stop.store(true, Ordering::Relaxed);
            let appended = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            Ok((appended, run?))
        })?;
        ensure!(run.status == Some(0), "{run:?}");
        let mut expected = scene.expected.clone();
        let now = shown(&mut scene.session()?, &case.folder)?;
        let others: Vec<_> =
            now.iter().filter(|it| !scene.expected.contains(it)).cloned().collect();
        assert_eq!(others.len(), appended.len(), "each append that was acknowledged is there");
        expected.extend(others);
        expected.sort();
        assert_eq!(now, expected);
        let delivered = run.json[0]["messages"].as_array().context("messages")?;
        let delivered: BTreeSet<_> = delivered.iter().filter_map(|it| it["uid"].as_u64()).collect();
        let clash = appended.iter().any(|uid| delivered.contains(&u64::from(*uid)));
        assert!(!clash && delivered.len() == MISSING.len(), "{delivered:?} and {appended:?}");
    }
    scene.end()
}

#[test]
fn new_mail_that_the_server_took_meanwhile_is_all_there() -> Result<()> {
    const NAME: &str = "new_mail_that_the_server_took_meanwhile_is_all_there";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 4)?;
    let accepted = AtomicU64::new(0);
    while !scene.fresh.is_empty() {
        let case = scene.take()?;
        let stop = AtomicBool::new(false);
        let before = accepted.load(Ordering::Relaxed);
        let run = std::thread::scope(|scope| -> Result<_> {
            let (server, stop, accepted) = (&scene.server, &stop, &accepted);
            let sender = scope.spawn(move || -> Result<()> {
                let mut session = server.lmtp()?;
                while !stop.load(Ordering::Relaxed) {
                    let (code, said) = session.deliver("alice", b"Subject: new\r\n\r\nmail\r\n")?;
                    ensure!(code == 250, "{code} {said}");
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            while accepted.load(Ordering::Relaxed) == before && !sender.is_finished() {
                std::thread::yield_now();
            }
            let run = match scene.fresh.len() % 2 {
                0 => case.redeliver(&scene),
                _ => case.redeliver_over_imap(&scene),
            };
            stop.store(true, Ordering::Relaxed);
            sender.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            run
        })?;
        ensure!(run.status == Some(0), "{run:?}");
        assert_eq!(case.shown(&scene)?, scene.expected);
    }
    let there = scene.session()?.status("INBOX", &["MESSAGES"])?;
    assert_eq!(there, [accepted.into_inner()], "each that was accepted is there");
    scene.end()
}
