//! What a run did, undone beside a server that goes on working.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::generate::{Messages, Random};
use mailstore_tests::{
    Cyrus, IndexImage, Layout, NewMessage, Reconstruct, Server, ServerOptions, ToolRun, Tree, judge,
};

const MAILBOX: &str = "user.alice";
const MESSAGES: usize = 30;
const WITHOUT_FILE: u32 = 5;
const WITHOUT_RECORD: u32 = 7;
const CUT: u32 = 9;
const DELIVERIES: usize = 100;

/// Flags of the messages that IMAP shows, by UID.
type Flags = BTreeMap<u32, Vec<String>>;

/// A mailbox that was damaged and repaired.
struct Repaired {
    server: Server,
    directory: PathBuf,
    damaged: Tree,
    run: String,
}

impl Repaired {
    fn new(cyrus: &Cyrus) -> Result<Self> {
        let mut server = Server::start(cyrus, ServerOptions::new(Layout::ById).in_memory())?;
        server.admin()?.create(MAILBOX)?;
        let (mut messages, mut random) = (Messages::new(77), Random::new(77));
        let new = |_| NewMessage {
            flags: random.some_of(&["\\Seen", "\\Answered", "later", "work"], 2),
            internaldate: Some(messages.internaldate()),
            bytes: messages.message(),
        };
        let new: Vec<_> = (0..MESSAGES).map(new).collect();
        let mut session = server.login("alice")?;
        session.append_all("INBOX", &new)?;
        session.logout()?;
        server.stop()?;
        let directory = server.mailbox_dir(MAILBOX)?;
        let at = |uid: u32| directory.join(format!("{uid}."));
        fs::remove_file(at(WITHOUT_FILE))?;
        let length = fs::metadata(at(CUT))?.len();
        fs::File::options().write(true).open(at(CUT))?.set_len(length - 9)?;
        let mut index = IndexImage::read(&directory)?;
        index.remove_record(WITHOUT_RECORD)?;
        index.set_header("exists", index.header("exists")? - 1)?;
        index.write()?;
        let damaged = Tree::read(&directory)?;
        let run = Reconstruct::new(&server)
            .args(["--mailbox", MAILBOX, "--prune", "--check", "full", "--json"])
            .run()?;
        ensure!(matches!(run.status, Some(0 | 1)), "the repair: {run:?}");
        let name = run.summary()["run"].as_str().context("a run without a name")?.to_owned();
        server.start_again()?;
        Ok(Self { server, directory, damaged, run: name })
    }

    fn undo(&self, run: &str, arguments: &[&str]) -> Result<ToolRun> {
        let store = &self.server;
        Reconstruct::bare()
            .args(["undo", run, "--json", "-C"])
            .arg(store.imapd_conf())
            .args(arguments)
            .env("CYRUS_USER", &store.cyrus().account().name)
            .env("TZ", &store.options().timezone)
            .run()
    }

    fn flags(&self) -> Result<Flags> {
        let mut session = self.server.login("alice")?;
        session.examine("INBOX")?;
        let fetched = session.fetch("1:*", "(UID FLAGS)")?;
        let flags = fetched.iter().map(|message| {
            let mut flags = message.flags()?;
            flags.sort();
            flags.retain(|flag| flag != "\\Recent");
            Ok((message.uid()?, flags))
        });
        let flags = flags.collect::<Result<_>>()?;
        session.logout()?;
        Ok(flags)
    }

    fn tree(&self) -> Result<Tree> {
        Tree::read(&self.directory)
    }

    /// Mail comes, and flags are set: on three messages, and on `touched`.
    fn go_on_living(&self, touched: u32) -> Result<()> {
        let (mut lmtp, mut messages) = (self.server.lmtp()?, Messages::new(78));
        for _ in 0..DELIVERIES {
            let (status, text) = lmtp.deliver("alice", &messages.message())?;
            ensure!(status == 250, "a delivery: {status} {text}");
        }
        let mut session = self.server.login("alice")?;
        session.select("INBOX")?;
        session.store("1:3", "+FLAGS (\\Flagged $New)")?;
        session.ok(&format!("UID STORE {touched} +FLAGS (\\Flagged)"))?;
        session.unselect()?;
        session.logout()
    }
}

#[test]
fn right_after_the_run_the_mailbox_is_as_it_was_byte_for_byte_with_its_times() -> Result<()> {
    let test = "right_after_the_run_the_mailbox_is_as_it_was_byte_for_byte_with_its_times";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let repaired = Repaired::new(&cyrus)?;
    let would = repaired.undo(&repaired.run, &["-n"])?;
    ensure!(would.status == Some(1) && would.mailbox(MAILBOX)["state"] == "planned", "{would:?}");
    let run = repaired.undo(&repaired.run, &[])?;
    ensure!(run.status == Some(0) && run.mailbox(MAILBOX)["state"] == "undone", "{run:?}");
    let differences = repaired.damaged.differences(&repaired.tree()?);
    ensure!(differences.is_empty(), "{differences:?}");
    let again = repaired.undo(&repaired.run, &[])?;
    ensure!(again.status == Some(0) && again.mailbox(MAILBOX)["state"] == "sound", "{again:?}");
    Ok(())
}

#[test]
fn mail_and_flags_that_came_since_are_refused_and_merging_keeps_them_all() -> Result<()> {
    let test = "mail_and_flags_that_came_since_are_refused_and_merging_keeps_them_all";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let repaired = Repaired::new(&cyrus)?;
    let after_repair = repaired.flags()?;
    let last = u32::try_from(MESSAGES)?;
    let new_uids: Vec<u32> = after_repair.keys().copied().filter(|uid| *uid > last).collect();
    ensure!(new_uids.len() == 2, "the message without record and what is left of the cut one");
    let is_damaged = |uid: &&u32| after_repair[*uid].contains(&"$Damaged".to_owned());
    let remains = *new_uids.iter().find(is_damaged).context("nothing is marked as damaged")?;
    let untouched = *new_uids.iter().find(|uid| **uid != remains).context("a new UID")?;
    repaired.go_on_living(remains)?;
    let (lived, tree) = (repaired.flags()?, repaired.tree()?);
    ensure!(lived.len() == after_repair.len() + DELIVERIES);

    let refused = repaired.undo(&repaired.run, &[])?;
    let report = refused.mailbox(MAILBOX);
    let error = report["error"].as_str().unwrap_or_default();
    ensure!(refused.status == Some(1) && report["state"] == "refused", "{refused:?}");
    ensure!(error.contains("100 messages came") && error.contains("4 messages have"), "{error}");
    ensure!(tree.differences(&repaired.tree()?).is_empty(), "a refusal changed something");

    let merged = repaired.undo(&repaired.run, &["--merge"])?;
    ensure!(merged.mailbox(MAILBOX)["state"] == "undone", "{merged:?}");
    let now = repaired.flags()?;
    let mut expected = lived.clone();
    expected.remove(&untouched);
    for uid in [WITHOUT_FILE, CUT] {
        let again = now.get(&uid).with_context(|| format!("UID {uid} is not there again"))?;
        expected.insert(uid, again.clone());
    }
    ensure!(now == expected, "{now:?}\ninstead of\n{expected:?}");
    let at = |uid: u32| repaired.directory.join(format!("{uid}."));
    ensure!(at(WITHOUT_RECORD).exists(), "the renumbered message has its old name again");
    ensure!(!at(CUT).exists(), "what somebody touched since stays where it is");
    let index = IndexImage::read(&repaired.directory)?;
    ensure!(index.uids().contains(&untouched), "a record that clients know is never taken away");

    let merge = merged.summary()["run"].as_str().context("a merge is a run")?.to_owned();
    let undone = repaired.undo(&merge, &[])?;
    ensure!(undone.mailbox(MAILBOX)["state"] == "undone", "{undone:?}");
    let differences = tree.differences(&repaired.tree()?);
    ensure!(differences.is_empty(), "the merge was not undone: {differences:?}");
    let counts_again = repaired.undo(&repaired.run, &[])?;
    ensure!(counts_again.mailbox(MAILBOX)["state"] == "refused", "{counts_again:?}");

    ensure!(repaired.server.deaths().is_empty(), "{:?}", repaired.server.deaths());
    // Cyrus drops the records of the two messages that have no file.
    let verdict = judge(&repaired.server.into_store()?)?;
    let of_files =
        |line: &String| line.contains("uid 5 not found") || line.contains("uid 9 not found");
    ensure!(verdict.header_crc_wrong.is_empty(), "Cyrus's opinion:\n{verdict}");
    ensure!(verdict.printed.iter().chain(&verdict.logged).all(of_files), "{verdict}");
    Ok(())
}

#[test]
fn a_later_run_has_to_be_undone_first() -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip("a_later_run_has_to_be_undone_first") else {
        return Ok(());
    };
    let mut repaired = Repaired::new(&cyrus)?;
    repaired.server.stop()?;
    fs::write(repaired.directory.join("cyrus.cache"), b"garbage")?;
    let before_second = repaired.tree()?;
    let second = Reconstruct::new(&repaired.server).args(["--mailbox", MAILBOX, "--json"]).run()?;
    let second = second.summary()["run"].as_str().context("a second run")?.to_owned();
    let refused = repaired.undo(&repaired.run, &[])?;
    let error = refused.mailbox(MAILBOX)["error"].as_str().unwrap_or_default();
    ensure!(refused.status == Some(1) && error.contains(&second), "{refused:?}");
    for (run, expected) in [(&second, &before_second), (&repaired.run, &repaired.damaged)] {
        let undone = repaired.undo(run, &[])?;
        ensure!(undone.status == Some(0), "{undone:?}");
        let mut differences = expected.differences(&repaired.tree()?);
        // Its content was damaged in place between the two.
        differences.retain(|line| !line.starts_with("cyrus.cache"));
        ensure!(differences.is_empty(), "{run}: {differences:?}");
    }
    Ok(())
}

#[test]
fn a_run_that_is_not_there_is_an_error_that_names_the_last_one() -> Result<()> {
    let test = "a_run_that_is_not_there_is_an_error_that_names_the_last_one";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let repaired = Repaired::new(&cyrus)?;
    for run in ["20000101T000000Z-1", "../escape"] {
        let none = Reconstruct::bare()
            .args(["undo", run, "-C"])
            .arg(repaired.server.imapd_conf())
            .env("CYRUS_USER", &repaired.server.cyrus().account().name)
            .run()?;
        ensure!(none.status == Some(2), "{none:?}");
        let words = if run.contains('/') { "no run's name" } else { &repaired.run };
        ensure!(none.stderr.contains(words), "{none:?}");
    }
    Ok(())
}
