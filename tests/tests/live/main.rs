//! Repairs beside a live server: nobody loses what was acknowledged, nobody waits long, nobody
//! dies.
#![allow(clippy::print_stderr, reason = "a test tells its seed and what it measured")]

mod mailbox_files;
mod traffic;

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailbox_files::MailboxFiles;
use mailstore_tests::generate::Messages;
use mailstore_tests::{
    Cyrus, Layout, MailboxSnapshot, NewMessage, Reconstruct, Server, ServerOptions, ToolRun, Tree,
    judge, long_form,
};
use traffic::{Known, Ledger, Traffic, message};

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

// Behind the macro that it uses.
mod returning;

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

/// Appends messages that name themselves, and tells what is known of them.
fn known_messages(server: &Server, user: &str, count: usize) -> Result<BTreeMap<u32, Known>> {
    let tokens = (0..count).map(|number| format!("first-{number}"));
    let tokens: Vec<String> = tokens.collect();
    let new_message = |token: &String| NewMessage {
        flags: vec!["work".into()],
        internaldate: None,
        bytes: message(token),
    };
    let messages: Vec<NewMessage> = tokens.iter().map(new_message).collect();
    let uids = server.login(user)?.append_all("INBOX", &messages)?;
    let known = |token| Known { token, flags: ["work".to_string()].into() };
    Ok(uids.into_iter().zip(tokens.into_iter().map(known)).collect())
}

/// A run on `mailbox` that must repair it without keeping it long.
fn must_repair(server: &Server, mailbox: &str) -> Result<Duration> {
    let tool = Reconstruct::new(server).args(["--mailbox", mailbox, "--json"]);
    let run = tool.run()?;
    let report = run.mailbox(mailbox);
    ensure!(run.status == Some(0) && report["state"] == "repaired", "{run:?}");
    let locked = Duration::from_millis(report["locked_ms"].as_u64().context("no locked_ms")?);
    ensure!(locked <= LONGEST_LOCK, "locked for {locked:?}: {run:?}");
    Ok(locked)
}

/// The mailbox is all that was acknowledged and nothing else, and Cyrus finds no fault with it.
fn settle(server: Server, user: &str, ledger: &Ledger) -> Result<()> {
    assert_nobody_died(&server);
    let mailbox = format!("user.{user}");
    let sound = Reconstruct::new(&server).args(["--mailbox", &mailbox, "-n", "--check", "full"]);
    let run = sound.run()?;
    ensure!(run.status == Some(0), "{run:?}");
    ledger.must_be_kept(&MailboxSnapshot::take(&mut server.login(user)?, "INBOX")?)?;
    let account = server.cyrus().account().clone();
    for root in [server.lock_dir(), server.spool()] {
        for (path, entry) in Tree::read(&root)?.entries {
            ensure!(entry.uid == account.uid, "{} belongs to {}", path.display(), entry.uid);
        }
    }
    let verdict = judge(&server.into_store()?)?;
    ensure!(verdict.is_clean(), "{verdict}");
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_while_repairs_run_beside_traffic() -> Result<()> {
    let cyrus = cyrus_or_skip!("nothing_acknowledged_is_lost_while_repairs_run_beside_traffic");
    let duration = Duration::from_secs(if long_form() { 120 } else { 10 });
    eprintln!("traffic of seed {SEED}");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    server.admin()?.create("user.alice")?;
    let known = known_messages(&server, "alice", 200)?;
    let files = MailboxFiles::of(&server, "user.alice")?;
    let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic =
        Traffic { server: &server, user: "alice", seed: SEED, stop: &stop, begun: &begun };
    let (ledger, repairs) = std::thread::scope(|scope| -> Result<(Ledger, Vec<Duration>)> {
        let clients = [
            scope.spawn(|| traffic.work(known)),
            scope.spawn(|| traffic.idle()),
            scope.spawn(|| traffic.deliver(Duration::from_millis(15))),
            scope.spawn(|| traffic.fetch_mail()),
        ];
        let repairs = repair_again_and_again(&server, &files, duration, &begun, clients.len());
        stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for client in clients {
            ledger.add(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok((ledger, repairs?))
    })?;
    let longest = repairs.iter().max().copied().unwrap_or_default();
    eprintln!(
        "{} repairs, the longest lock {longest:?}, the slowest command {:?}, acknowledged: {:?}",
        repairs.len(),
        ledger.slowest,
        ledger.counts
    );
    settle(server, "alice", &ledger)
}

fn repair_again_and_again(
    server: &Server,
    files: &MailboxFiles,
    duration: Duration,
    begun: &AtomicUsize,
    clients: usize,
) -> Result<Vec<Duration>> {
    let started = Instant::now();
    while begun.load(Ordering::Relaxed) < clients && started.elapsed() < duration {
        std::thread::sleep(Duration::from_millis(10));
    }
    let started = Instant::now();
    let mut locked = Vec::new();
    while started.elapsed() < duration {
        files.scramble_cache(SEED)?;
        if locked.len() % 2 == 1 {
            files.falsify_counts()?;
        }
        locked.push(must_repair(server, "user.alice")?);
    }
    Ok(locked)
}

/// What happens to an index that sessions have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Records,
    Header,
    Index,
}

/// Sessions know UIDs and flags; what the repair makes of the mailbox must fit what they know.
#[test]
fn sessions_live_through_the_repair_of_a_destroyed_index() -> Result<()> {
    let cyrus = cyrus_or_skip!("sessions_live_through_the_repair_of_a_destroyed_index");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    for (loss, user) in [(Loss::Records, "alice"), (Loss::Header, "bob"), (Loss::Index, "carol")] {
        survive(&server, loss, user).with_context(|| format!("{loss:?}"))?;
    }
    assert_nobody_died(&server);
    let verdict = judge(&server.into_store()?)?;
    ensure!(verdict.is_clean(), "{verdict}");
    Ok(())
}

fn survive(server: &Server, loss: Loss, user: &str) -> Result<()> {
    const LOST: [u32; 3] = [2, 9, 30];
    let mailbox = format!("user.{user}");
    server.admin()?.create(&mailbox)?;
    let mut ledger = Ledger { messages: known_messages(server, user, 30)?, ..Ledger::default() };
    let mut worker = server.login(user)?;
    worker.select("INBOX")?;
    let mut idler = server.login(user)?;
    idler.select("INBOX")?;
    idler.idle_start()?;
    let mut reader = server.login(user)?;
    reader.examine("INBOX")?;

    let files = MailboxFiles::of(server, &mailbox)?;
    let stop = AtomicBool::new(false);
    let deliver = || -> Result<Vec<String>> {
        let mut lmtp = server.lmtp()?;
        let mut acknowledged = Vec::new();
        for number in 0.. {
            let token = format!("{user}-{number}");
            let is_last = stop.load(Ordering::Relaxed);
            // A mailbox it cannot open the server refuses for now, and the sender tries again.
            let (code, text) = lmtp.deliver(user, &message(&token))?;
            ensure!(code == 250 || !is_last, "after the repair: {code} {text}");
            if code == 250 {
                acknowledged.push(token);
            }
            if is_last {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(acknowledged)
    };
    match loss {
        Loss::Records => files.break_records(&LOST)?,
        Loss::Header => files.break_header()?,
        Loss::Index => files.lose_index()?,
    }
    // Whether the server can do it or not, the session goes on.
    for command in ["NOOP", "UID FETCH 20 (FLAGS)", "UID STORE 20 +FLAGS (work)"] {
        let reply = worker.command(command).with_context(|| format!("{command}, damaged"))?;
        eprintln!("{loss:?}: {command}: {:?} {}", reply.status, reply.text);
    }
    ledger.delivered = std::thread::scope(|scope| {
        let deliveries = scope.spawn(deliver);
        let repaired = must_repair(server, &mailbox);
        stop.store(true, Ordering::Relaxed);
        let delivered = deliveries.join().map_err(|_| anyhow::anyhow!("deliveries panicked"))?;
        repaired.and(delivered)
    })?;
    eprintln!("{loss:?}: {} deliveries went on", ledger.delivered.len());
    let flags_lost = |uid: &u32| match loss {
        Loss::Records => LOST.contains(uid),
        Loss::Header => false,
        Loss::Index => true,
    };
    for (uid, known) in &mut ledger.messages {
        if flags_lost(uid) {
            known.flags.clear();
        }
    }

    idler.idle_done()?;
    for session in [&mut worker, &mut idler, &mut reader] {
        session.noop()?;
        let answers = session.fetch("1:*", "(FLAGS)")?;
        ensure!(answers.len() == ledger.messages.len() + ledger.delivered.len(), "{answers:?}");
    }
    worker.store("1:30", "+FLAGS (later)")?;
    idler.store("1:30", "+FLAGS (\\Seen)")?;
    for known in ledger.messages.values_mut() {
        known.flags.extend(["later".into(), "\\Seen".into()]);
    }
    worker.store("5", "+FLAGS (\\Deleted)")?;
    worker.expunge()?;
    ledger.messages.remove(&5);
    ledger.expunged.insert(5);
    for (session, token) in [(&mut worker, "from-worker"), (&mut idler, "from-idler")] {
        let uid = session.append("INBOX", &["work"], None, &message(token))?;
        let known = Known { token: token.into(), flags: ["work".into()].into() };
        ensure!(ledger.messages.insert(uid, known).is_none(), "UID {uid} was given twice");
    }
    for session in [worker, idler, reader] {
        let mut session = session;
        session.noop()?;
        session.logout()?;
    }
    let run =
        Reconstruct::new(server).args(["--mailbox", &mailbox, "-n", "--check", "full"]).run()?;
    ensure!(run.status == Some(0), "{run:?}");
    ledger.must_be_kept(&MailboxSnapshot::take(&mut server.login(user)?, "INBOX")?)
}

/// As large as mailboxes get where they are still used, and busy all the time.
#[test]
fn a_large_mailbox_is_locked_for_a_second_at_most() -> Result<()> {
    const MESSAGES: u32 = 20_000;
    let cyrus = cyrus_or_skip!("a_large_mailbox_is_locked_for_a_second_at_most");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById).in_memory())?;
    server.admin()?.create("user.alice")?;
    let files = MailboxFiles::of(&server, "user.alice")?;
    for uid in 1..=MESSAGES {
        files.add_message(uid, &message(&format!("first-{uid}")))?;
    }
    server.cyrus().account().own(&server.spool())?;
    // Message files above the last UID keep theirs: this makes a mailbox of them.
    must_repair(&server, "user.alice")?;
    let known = (1..=MESSAGES).map(|uid| {
        let token = format!("first-{uid}");
        (uid, Known { token, flags: ["work".to_string()].into() })
    });
    let known: BTreeMap<u32, Known> = known.collect();
    let mut session = server.login("alice")?;
    session.select("INBOX")?;
    session.store("1:*", "+FLAGS (work)")?;
    session.logout()?;

    let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic =
        Traffic { server: &server, user: "alice", seed: SEED, stop: &stop, begun: &begun };
    let rounds = if long_form() { 20 } else { 3 };
    let (ledger, repairs) = std::thread::scope(|scope| -> Result<(Ledger, Vec<Duration>)> {
        let clients = [
            scope.spawn(|| traffic.work(known)),
            scope.spawn(|| traffic.deliver(Duration::from_millis(15))),
        ];
        let repair = |round| {
            files.scramble_cache(SEED)?;
            if round % 2 == 1 {
                files.falsify_counts()?;
            }
            must_repair(&server, "user.alice")
        };
        while begun.load(Ordering::Relaxed) < clients.len() && !clients[0].is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let repairs: Result<Vec<Duration>> = (0..rounds).map(repair).collect();
        stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for client in clients {
            ledger.add(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok((ledger, repairs?))
    })?;
    eprintln!(
        "locked for {repairs:?} in {MESSAGES} messages, the slowest command {:?}, {:?}",
        ledger.slowest, ledger.counts
    );
    settle(server, "alice", &ledger)
}

/// They take the same locks of one user, mailbox by mailbox.
#[test]
fn two_runs_over_the_mailboxes_of_one_user_both_finish() -> Result<()> {
    let cyrus = cyrus_or_skip!("two_runs_over_the_mailboxes_of_one_user_both_finish");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ByName).in_memory())?;
    server.admin()?.create("user.alice")?;
    let mut session = server.login("alice")?;
    let mut mailboxes = vec!["user.alice".to_string()];
    for name in ["a", "b", "c", "d", "e"] {
        session.create(&format!("INBOX.{name}"))?;
        session.append_all(&format!("INBOX.{name}"), &new_messages(SEED, 20))?;
        mailboxes.push(format!("user.alice.{name}"));
    }
    let known = known_messages(&server, "alice", 20)?;
    let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic =
        Traffic { server: &server, user: "alice", seed: SEED, stop: &stop, begun: &begun };
    let ledger = std::thread::scope(|scope| -> Result<Ledger> {
        let client = scope.spawn(|| traffic.work(known));
        let rounds = (0..if long_form() { 30 } else { 4 }).try_for_each(|round| {
            for mailbox in &mailboxes {
                MailboxFiles::of(&server, mailbox)?.scramble_cache(round)?;
            }
            let run = || Reconstruct::new(&server).args(["--json", "--lock-timeout", "20"]);
            let names = |mailbox: &String| ["--mailbox".to_string(), mailbox.clone()];
            let forwards = run().args(mailboxes.iter().flat_map(names));
            let backwards = run().args(mailboxes.iter().rev().flat_map(names));
            let runs =
                [start(&forwards)?, start(&backwards)?, start(&run().args(["--user", "alice"]))?];
            for child in runs {
                let run = end(child)?.parsed()?;
                ensure!(run.status == Some(0), "round {round}: {}", run.stderr);
                let ended = run.findings("session-ended");
                ensure!(ended.is_empty(), "round {round}: {}", run.stdout);
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let ledger = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        rounds.and(ledger)
    })?;
    eprintln!("acknowledged beside them: {:?}", ledger.counts);
    settle(server, "alice", &ledger)
}

/// A mailbox of nobody has a user lock too: that of the empty name. Servers from 3.8 on take it.
#[test]
fn a_shared_mailbox_is_repaired_under_the_lock_of_no_user() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_shared_mailbox_is_repaired_under_the_lock_of_no_user");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById).in_memory())?;
    let mut admin = server.admin()?;
    admin.create("user.alice")?;
    admin.create("office")?;
    admin.setacl("office", "alice", "lrswipkxte")?;
    let mut alice = server.login("alice")?;
    alice.append_all("office", &new_messages(SEED, 30))?;
    alice.select("office")?;
    let files = MailboxFiles::of(&server, "office")?;
    let stop = AtomicBool::new(false);
    let stores = std::thread::scope(|scope| -> Result<u32> {
        let client = scope.spawn(|| -> Result<u32> {
            let mut stores = 0;
            while !stop.load(Ordering::Relaxed) {
                let keyword = format!("{}FLAGS (work)", if stores % 2 == 0 { '+' } else { '-' });
                alice.store("1:30", &keyword)?;
                stores += 1;
                let expected = if stores % 2 == 0 { 0 } else { 30 };
                ensure!(alice.search("KEYWORD work")?.len() == expected, "after {stores} STOREs");
            }
            Ok(stores)
        });
        let repairs = (0..8).try_for_each(|round| {
            // A STORE to all of its messages lets the server heal a cache by itself.
            files.scramble_cache(round)?;
            files.falsify_counts()?;
            must_repair(&server, "office").map(drop)
        });
        stop.store(true, Ordering::Relaxed);
        let stores = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        repairs.and(stores)
    })?;
    eprintln!("{stores} STOREs beside 8 repairs");
    let of_nobody = |path: &std::path::Path| path.ends_with("*U*.lock");
    let locks = Tree::read(&server.lock_dir())?;
    let lock = locks.entries.iter().find(|(path, _)| of_nobody(path));
    let (_, lock) = lock.context("no lock of the empty user name was taken")?;
    ensure!(lock.uid == server.cyrus().account().uid, "it belongs to {}", lock.uid);
    assert_nobody_died(&server);
    let verdict = judge(&server.into_store()?)?;
    ensure!(verdict.is_clean(), "{verdict}");
    Ok(())
}
