//! The harness itself, on a real server: what it says of a store must be true before tests of the
//! tools can rest on it.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mailstore_tests::{
    Cyrus, Expect, Layout, MANY_KEYWORDS, Server, ServerOptions, Snapshot, Store, Tree, USERS,
    judge, populate,
};

const SEED: u64 = 20_061_107;

/// The Cyrus to test with, or the end of the test.
macro_rules! cyrus_or_skip {
    ($test:literal) => {
        match Cyrus::available_or_skip($test) {
            Some(cyrus) => cyrus,
            None => return Ok(()),
        }
    };
}

fn populated(cyrus: &Cyrus, options: ServerOptions) -> Result<Server> {
    let server = Server::start(cyrus, options)?;
    populate(&server, SEED)?;
    Ok(server)
}

/// A populated store, at rest.
fn populated_store(cyrus: &Cyrus, options: ServerOptions) -> Result<Store> {
    populated(cyrus, options)?.into_store()
}

fn assert_clean(store: &Store) -> Result<()> {
    let verdict = judge(store)?;
    assert!(verdict.is_clean(), "{verdict}");
    Ok(())
}

#[test]
fn a_populated_store_has_all_that_tests_need_and_shows_the_same_twice() -> Result<()> {
    let cyrus =
        cyrus_or_skip!("a_populated_store_has_all_that_tests_need_and_shows_the_same_twice");
    for layout in [Layout::ById, Layout::ByName] {
        let server = populated(&cyrus, ServerOptions::new(layout))?;
        let take = || -> Result<Vec<Snapshot>> {
            USERS.iter().map(|user| Snapshot::take(&server, user)).collect()
        };
        let (first, second) = (take()?, take()?);
        for (first, second) in first.iter().zip(&second) {
            let differences = first.differences(second, Expect::Same);
            assert!(differences.is_empty(), "{differences}");
        }
        assert!(first.iter().map(|s| s.mailboxes.len()).sum::<usize>() >= 12);
        assert!(first.iter().map(Snapshot::messages).sum::<usize>() >= 300);
        let alice = first.first().context("two users")?;
        assert!(alice.mailboxes.contains_key("INBOX.Entw&APw-rfe"));
        let keywords: std::collections::BTreeSet<&String> =
            alice.mailboxes[MANY_KEYWORDS].messages.values().flat_map(|m| &m.flags).collect();
        assert!(keywords.iter().filter(|flag| !flag.starts_with('\\')).count() > 32);

        let directory = server.mailbox_dir("user.alice")?;
        assert_eq!(directory.ends_with("user/alice"), layout == Layout::ByName);
        let inbox = &alice.mailboxes["INBOX"];
        assert!(!inbox.messages.contains_key(&1), "the first message was expunged");
        assert!(directory.join("1.").exists(), "and its file remains");
        assert_eq!(server.deaths(), [""; 0]);
    }
    Ok(())
}

#[test]
fn cyrus_has_nothing_to_say_against_a_store_of_its_own() -> Result<()> {
    let cyrus = cyrus_or_skip!("cyrus_has_nothing_to_say_against_a_store_of_its_own");
    let by_id = ServerOptions::new(Layout::ById);
    for options in [
        by_id.clone(),
        ServerOptions::new(Layout::ByName).with_conversations().with_timezone("Europe/Berlin"),
        by_id.with_metapartition_files(&["header", "index", "cache"]).with_archive(),
    ] {
        let archive = options.archive;
        let store = populated_store(&cyrus, options.with_line("archive_after: 0"))?;
        if archive {
            store.tool_output("cyr_expire", &["-A", "0", "-E", "7"])?;
            let archived = Tree::read(&store.archive())?;
            assert!(archived.entries.keys().any(|path| path.ends_with("2.")), "{archived:?}");
        }
        assert_clean(&store)?;
    }
    Ok(())
}

#[test]
fn judging_and_copying_leave_the_store_as_it_was() -> Result<()> {
    let cyrus = cyrus_or_skip!("judging_and_copying_leave_the_store_as_it_was");
    let store = populated_store(&cyrus, ServerOptions::new(Layout::ById))?;
    let before = Tree::read(store.path())?;
    assert_clean(&store)?;
    assert_eq!(before.differences(&Tree::read(store.path())?), [""; 0]);
    Ok(())
}

#[test]
fn a_copied_store_shows_the_same_mail_when_served() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_copied_store_shows_the_same_mail_when_served");
    let mut server = populated(&cyrus, ServerOptions::new(Layout::ByName))?;
    let before = Snapshot::take(&server, "alice")?;
    server.stop()?;
    let copy = Server::serve(server.copy()?)?;
    let differences = before.differences(&Snapshot::take(&copy, "alice")?, Expect::Same);
    assert!(differences.is_empty(), "{differences}");
    Ok(())
}

#[test]
fn the_judge_reports_a_wrong_count_a_wrong_record_and_a_wrong_cache() -> Result<()> {
    let cyrus = cyrus_or_skip!("the_judge_reports_a_wrong_count_a_wrong_record_and_a_wrong_cache");
    let store = populated_store(&cyrus, ServerOptions::new(Layout::ById))?;

    // A byte in the middle of the first cache record, whose CRC is not made good.
    let cache = store.mailbox_dir("user.bob.Lists")?.join("cyrus.cache");
    let mut bytes = fs::read(&cache)?;
    *bytes.get_mut(30).context("a cache has more than 30 bytes")? ^= 1;
    fs::write(&cache, bytes)?;

    // A message whose bytes are others than its record says.
    let directory = store.mailbox_dir("user.alice.Archive")?;
    fs::write(directory.join("3."), b"Subject: other\r\n\r\nmail\r\n")?;

    // A keyword's name that is not the one that the index was written with.
    let header = store.mailbox_dir("user.bob.Sent")?.join("cyrus.header");
    let mut bytes = fs::read(&header)?;
    let at = bytes.windows(4).position(|four| four == b"work").context("the keyword")?;
    bytes.splice(at..at + 4, *b"wOrk");
    fs::write(&header, bytes)?;

    // A tombstone's file may be missing, a message's may not.
    fs::remove_file(store.mailbox_dir("user.alice.Sent")?.join("4."))?;

    let verdict = judge(&store)?;
    let said = verdict.to_string();
    assert_eq!(verdict.header_crc_wrong.len(), 1, "{said}");
    for expected in [
        "rewrote cache for 1 ",
        "user.alice.Archive uid 3 guid mismatch",
        "user.alice.Sent uid 4 not found",
    ] {
        assert!(verdict.printed.iter().any(|line| line.contains(expected)), "{expected}:\n{said}");
    }
    for expected in ["header: exists was", "record of UID 4 is gone", "record of UID 1: modseq"] {
        assert!(verdict.changed.iter().any(|line| line.contains(expected)), "{expected}:\n{said}");
    }
    Ok(())
}

#[test]
fn mail_delivered_by_lmtp_is_announced_in_idle_and_read_by_pop3() -> Result<()> {
    let cyrus = cyrus_or_skip!("mail_delivered_by_lmtp_is_announced_in_idle_and_read_by_pop3");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    server.admin()?.create("user.alice")?;
    let mut idler = server.login("alice")?;
    idler.select("INBOX")?;
    idler.idle_start()?;

    let message = b"From: a@example.com\r\nMessage-ID: <1@x>\r\n\r\n.a dot\r\nbody\r\n";
    let mut lmtp = server.lmtp()?;
    let (code, text) = lmtp.deliver("alice", message)?;
    assert_eq!(code, 250, "{text}");
    assert_eq!(lmtp.deliver("nobody-here", message)?.0, 550);

    let begun = Instant::now();
    let announced = idler.idle_wait(Duration::from_secs(10))?;
    assert_eq!(announced.as_deref(), Some("1 EXISTS"), "after {:?}", begun.elapsed());
    idler.idle_done()?;
    assert_eq!(idler.search("ALL")?, [1]);

    let mut pop3 = server.pop3("alice")?;
    let (count, _) = pop3.stat()?;
    assert_eq!((count, pop3.list()?.len(), pop3.uidl()?.len()), (1, 1, 1));
    assert!(pop3.retr(1)?.ends_with(b"\r\n\r\n.a dot\r\nbody\r\n"));
    pop3.quit()?;
    assert_eq!(server.deaths(), [""; 0]);
    Ok(())
}

#[test]
fn a_killed_server_starts_again_with_all_acknowledged_mail() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_killed_server_starts_again_with_all_acknowledged_mail");
    let mut server = Server::start(&cyrus, ServerOptions::new(Layout::ByName))?;
    server.admin()?.create("user.alice")?;
    let uid = server.login("alice")?.append("INBOX", &["kept"], None, b"Subject: a\r\n\r\n")?;
    server.kill()?;
    assert!(!server.is_running()?);
    server.start_again()?;
    assert!(server.is_running()?);
    let mut alice = server.login("alice")?;
    alice.select("INBOX")?;
    let fetched = alice.fetch("1:*", "(FLAGS)")?;
    let message = fetched.first().context("the message is there")?;
    assert_eq!((message.uid()?, message.flags()?), (uid, vec!["kept".to_string()]));
    alice.logout()
}

#[test]
fn a_death_in_the_server_is_seen() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_death_in_the_server_is_seen");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    alice.append("INBOX", &[], None, b"Subject: a\r\n\r\n")?;
    // Cyrus dies on a message file that is a directory.
    let file = server.mailbox_dir("user.alice")?.join("1.");
    fs::remove_file(&file)?;
    fs::create_dir(&file)?;
    alice.select("INBOX")?;
    assert!(alice.fetch("1", "(BODY.PEEK[])").is_err());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!server.deaths().is_empty() || !server.has_log(), "{}", server.log());
    Ok(())
}

#[test]
fn a_server_ends_with_the_process_that_started_it() -> Result<()> {
    const NAME: &str = "a_server_ends_with_the_process_that_started_it";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    if let Some(path) = std::env::var_os("MAILSTORE_TEST_PORT_FILE") {
        // The process to be killed: this test itself, run once more.
        let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
        let port = server.ports().imap.to_string();
        fs::write(path, format!("{port} {}", server.path().display()))?;
        std::thread::sleep(Duration::from_mins(1));
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let port_file = directory.path().join("port");
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--exact", NAME])
        .env("MAILSTORE_TEST_PORT_FILE", &port_file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let (port, store) = loop {
        let said = fs::read_to_string(&port_file).unwrap_or_default();
        if let Some((port, store)) = said.split_once(' ') {
            break (port.parse::<u16>()?, store.to_string());
        }
        assert!(Instant::now() < deadline, "the second process started no server");
        std::thread::sleep(Duration::from_millis(20));
    };
    let is_served = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(is_served());
    process.kill()?;
    process.wait()?;
    while is_served() {
        assert!(Instant::now() < deadline, "the server outlives its test");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(store)?;
    Ok(())
}
