//! Repairs beside a live server: nobody loses what was acknowledged, nobody waits long, nobody
//! dies.

mod mailbox_files;

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailbox_files::MailboxFiles;
use mailstore_tests::generate::Messages;
use mailstore_tests::{Cyrus, Layout, NewMessage, Reconstruct, Server, ServerOptions, ToolRun};

const SEED: u64 = 8_000;
/// How long a mailbox may be locked, and so how long anybody else may have to wait.
const LONGEST_LOCK: Duration = Duration::from_secs(1);

/// The Cyrus to test with, or the end of the test.
macro_rules! cyrus_or_skip {
    ($test:literal) => {
        match Cyrus::available_or_skip($test) {
            Some(cyrus) => cyrus,
            None => return Ok(()),
        }
    };
}

fn new_messages(seed: u64, count: usize) -> Vec<NewMessage> {
    eprintln!("messages of seed {seed}");
    let mut messages = Messages::new(seed);
    let new_message = |_| NewMessage {
        flags: Vec::new(),
        internaldate: Some(messages.internaldate()),
        bytes: messages.message(),
    };
    (0..count).map(new_message).collect()
}

fn start(command: &Reconstruct) -> Result<Child> {
    let mut command = command.command()?;
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command.spawn().context("can't run our reconstruct")
}

fn end(child: Child) -> Result<ToolRun> {
    Ok(ToolRun::of(&child.wait_with_output()?))
}

fn assert_nobody_died(server: &Server) {
    assert_eq!(server.deaths(), [""; 0]);
}

/// A POP3 session holds its INBOX's lock from beginning to end.
#[test]
fn a_pop3_session_is_waited_for_and_named_and_nobody_waits_behind_us() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_pop3_session_is_waited_for_and_named_and_nobody_waits_behind_us");
    for layout in [Layout::ById, Layout::ByName] {
        let server = Server::start(&cyrus, ServerOptions::new(layout))?;
        server.admin()?.create("user.alice")?;
        let mut alice = server.login("alice")?;
        alice.append_all("INBOX", &new_messages(SEED, 12))?;
        alice.create("INBOX.Other")?;
        let files = MailboxFiles::of(&server, "user.alice")?;
        files.scramble_cache(SEED)?;
        let index = files.index()?;
        let inbox = || Reconstruct::new(&server).args(["--mailbox", "user.alice"]);

        let mut reader = server.pop3("alice")?;
        let gives_up = start(&inbox().args(["--lock-timeout", "3"]))?;
        let started = Instant::now();
        let mut lmtp = server.lmtp()?;
        let mut delivered = 0;
        let mut longest = Duration::ZERO;
        while started.elapsed() < Duration::from_secs(3) {
            let before = Instant::now();
            alice.append_all("INBOX.Other", &new_messages(SEED, 1))?;
            alice.status("INBOX.Other", &["MESSAGES"])?;
            let message = format!("Message-ID: <{delivered}@waiting>\r\n\r\nhello\r\n");
            let (code, text) = lmtp.deliver("alice", message.as_bytes())?;
            ensure!(code == 250, "{code} {text}");
            delivered += 1;
            longest = longest.max(before.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        let run = end(gives_up)?;
        eprintln!("{layout:?}: {delivered} rounds while a run waited, the longest {longest:?}");
        ensure!(longest < LONGEST_LOCK, "others had to wait for {longest:?}");
        ensure!(run.status == Some(2), "{run:?}");
        ensure!(run.stderr.contains("waiting") && run.stderr.contains("pop3d"), "{run:?}");
        let error = run.stderr.lines().last().unwrap_or_default();
        ensure!(error.contains("gave up") && error.contains("pop3d"), "{run:?}");
        ensure!(started.elapsed() < Duration::from_secs(8), "it took {:?}", started.elapsed());
        ensure!(files.index()? != index, "the deliveries reached the index");
        ensure!(files.cache_is_scrambled()?, "it wrote although it had no lock");

        let waits = start(&inbox().arg("--json"))?;
        std::thread::sleep(Duration::from_millis(700));
        ensure!(reader.stat()?.0 == 12, "the session goes on");
        reader.quit()?;
        let run = end(waits)?.parsed()?;
        ensure!(run.status == Some(0) && run.stderr.contains("pop3d"), "{run:?}");
        ensure!(run.mailbox("user.alice")["state"] == "repaired", "{run:?}");
        ensure!(!files.cache_is_scrambled()?, "{run:?}");
        let again = inbox().arg("--json").run()?;
        ensure!(again.mailbox("user.alice")["state"] == "sound", "{again:?}");
        alice.logout()?;
        assert_nobody_died(&server);
    }
    Ok(())
}
