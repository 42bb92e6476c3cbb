//! Folders that are not there, or not to be delivered into: what is made over IMAP, and what comes into
//! it.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{exported, gapfill, new_incident};
use mailstore_tests::{
    Cyrus, ImapClient, Layout, Point, Proxy, Server, ServerOptions, Store, ToolRun, judge, kill,
};

use crate::folders::{messages, shown, states_of};
use crate::imap_access::as_admin;
use crate::scene::{Kept, redeliver, subcommand, text};

/// The folder that only the rescued side has.
const GONE: &str = "INBOX.Posted";
/// The folder that both sides have, of which messages are missing.
const WORK: &str = "INBOX.Work";

/// A server that lacks a folder whole, and messages of another one.
struct Lacking {
    live: Server,
    rescued: Store,
    incident: PathBuf,
    /// What the folder that is gone had.
    gone: Vec<Kept>,
    /// What the other folder has on the live side, and had on the rescued one.
    before: Vec<Kept>,
    work: Vec<Kept>,
}

impl Lacking {
    fn new(cyrus: &Cyrus) -> Result<Self> {
        Self::with(cyrus, " (USE (\\Sent))")
    }

    /// The folder that is gone was made with these words of CREATE.
    fn with(cyrus: &Cyrus, special_use: &str) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById).with_conversations().in_memory();
        let server = Server::start(cyrus, options)?;
        for user in ["alice", "bob"] {
            server.admin()?.create(&format!("user.{user}"))?;
        }
        let mut session = server.login("alice")?;
        session.create(WORK)?;
        session.append_all(WORK, &messages(&[1, 2]))?;
        let before = shown(&mut session, WORK)?;
        session.logout()?;
        let store = server.into_store()?;
        let live = Server::serve(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut session = rescued.login("alice")?;
        session.ok(&format!("CREATE {GONE}{special_use}"))?;
        session.ok(&format!("SETACL {GONE} bob lrs"))?;
        session.append_all(GONE, &messages(&[5, 6, 6]))?;
        session.append_all(WORK, &messages(&[3, 4]))?;
        let (gone, work) = (shown(&mut session, GONE)?, shown(&mut session, WORK)?);
        session.logout()?;
        let rescued = rescued.into_store()?;
        let incident = live.path().join("outage");
        new_incident(&live, &incident)?;
        let lacking = Self { live, rescued, incident, gone, before, work };
        lacking.compare()?;
        Ok(lacking)
    }

    fn compare(&self) -> Result<ToolRun> {
        let stage = self.live.path().join("stage");
        let arguments = ["--incident", text(&self.incident)?, "--stage", text(&stage)?];
        gapfill(&self.live, &[self.rescued.path().to_owned()], &arguments)
    }

    fn command(&self, port: u16, arguments: &[&str]) -> Result<Command> {
        let mut command = redeliver(&self.live, &self.incident)?;
        command.args(as_admin(self.live.path(), port)?).args(arguments).arg("--json");
        Ok(command)
    }

    fn deliver(&self, arguments: &[&str]) -> Result<ToolRun> {
        let mut command = self.command(self.live.ports().imap, arguments)?;
        ToolRun::of(&command.output()?).parsed()
    }

    fn session(&self) -> Result<ImapClient> {
        self.live.login("alice")
    }

    fn shown(&self, folder: &str) -> Result<Vec<Kept>> {
        shown(&mut self.session()?, folder)
    }

    fn folders(&self) -> Result<Vec<String>> {
        self.session()?.list("*")
    }

    fn end(self) -> Result<()> {
        ensure!(self.live.deaths().is_empty(), "deaths: {:?}", self.live.deaths());
        let store = self.live.into_store()?;
        let verdict = judge(&store)?;
        ensure!(verdict.is_clean(), "Cyrus's opinion:\n{verdict}");
        Ok(())
    }
}

#[test]
fn a_mailbox_that_is_gone_is_made_with_its_use_and_its_acl_and_filled_once() -> Result<()> {
    const NAME: &str = "a_mailbox_that_is_gone_is_made_with_its_use_and_its_acl_and_filled_once";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    let dry = scene.deliver(&["-n"])?;
    assert_eq!((dry.status, &dry.summary()["intended"]), (Some(1), &5.into()), "{dry:?}");
    ensure!(!scene.folders()?.contains(&GONE.to_owned()), "a dry run makes nothing");

    let run = scene.deliver(&[])?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; 5]), "{run:?}");
    let made = run.findings("mailbox-made");
    ensure!(made.len() == 1 && !made[0]["detail"].to_string().contains("without"), "{made:?}");
    assert_eq!(scene.shown(GONE)?, scene.gone);
    assert_eq!(scene.shown(WORK)?, scene.work);
    let mut session = scene.session()?;
    for (command, told) in [
        (format!("GETACL {GONE}"), " bob lrs"),
        ("LIST \"\" * RETURN (SPECIAL-USE)".to_owned(), "\\Sent"),
        ("LSUB \"\" *".to_owned(), "Posted"),
    ] {
        let said = session.ok(&command)?.untagged.join(&b'\n');
        let said = String::from_utf8_lossy(&said);
        ensure!(said.contains(told), "{command}: {said}");
    }

    let again = scene.deliver(&[])?;
    assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{again:?}");
    // A comparison sees that nothing is missing any more, and a delivery has nothing to do.
    ensure!(scene.compare()?.status == Some(0), "nothing is missing");
    let again = scene.deliver(&[])?;
    assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{again:?}");
    assert_eq!(scene.shown(GONE)?, scene.gone);
    scene.end()
}

#[test]
fn a_mailbox_that_its_owner_deletes_after_it_was_made_is_not_made_once_more() -> Result<()> {
    const NAME: &str = "a_mailbox_that_its_owner_deletes_after_it_was_made_is_not_made_once_more";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    // What is the one for something cannot be deleted.
    let scene = Lacking::with(&cyrus, "")?;
    ensure!(scene.deliver(&[])?.status == Some(0), "the delivery");
    scene.session()?.delete(GONE)?;
    let compared = scene.compare()?;
    let run = scene.deliver(&[])?;
    ensure!(!scene.folders()?.contains(&GONE.to_owned()), "{compared:?} {run:?}");
    let states = states_of(&run);
    ensure!(states.iter().all(|state| *state == "held"), "{run:?}");
    scene.end()
}

#[test]
fn what_is_to_be_skipped_is_held_as_one_and_what_may_come_into_the_inbox_comes_there() -> Result<()>
{
    const NAME: &str =
        "what_is_to_be_skipped_is_held_as_one_and_what_may_come_into_the_inbox_comes_there";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    let skipped = scene.deliver(&["--missing-mailbox", "skip"])?;
    assert_eq!((skipped.status, &skipped.summary()["held"]), (Some(1), &3.into()), "{skipped:?}");
    assert_eq!(states_of(&skipped).len(), 3, "two messages of the other folder, one mailbox");
    let run = scene.deliver(&["--missing-mailbox", "inbox"])?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; 3]), "{run:?}");
    assert_eq!(scene.shown("INBOX")?, scene.gone);
    ensure!(!scene.folders()?.contains(&GONE.to_owned()), "it was made");
    // They are missing in their own folder for ever, and do not come again.
    scene.compare()?;
    for arguments in [&["--missing-mailbox", "inbox"][..], &[]] {
        let again = scene.deliver(arguments)?;
        assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{again:?}");
    }
    assert_eq!(scene.shown("INBOX")?, scene.gone);
    scene.end()
}

#[test]
fn an_empty_folder_of_the_name_is_the_one_that_a_run_made_and_could_not_say() -> Result<()> {
    const NAME: &str = "an_empty_folder_of_the_name_is_the_one_that_a_run_made_and_could_not_say";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    scene.session()?.create(GONE)?;
    let run = scene.deliver(&[])?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; 5]), "{run:?}");
    assert_eq!(scene.shown(GONE)?, scene.gone);
    scene.end()
}

#[test]
fn a_folder_of_the_name_that_was_used_by_now_is_left_alone() -> Result<()> {
    const NAME: &str = "a_folder_of_the_name_that_was_used_by_now_is_left_alone";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    let mut session = scene.session()?;
    session.create(GONE)?;
    session.append_all(GONE, &messages(&[6]))?;
    let there = shown(&mut session, GONE)?;
    let run = scene.deliver(&[])?;
    assert_eq!((run.status, &run.summary()["held"]), (Some(1), &3.into()), "{run:?}");
    assert_eq!(scene.shown(GONE)?, there);
    // The comparison that it asks for tells what the folder lacks. Save dates are in whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    scene.compare()?;
    let run = scene.deliver(&[])?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(scene.shown(GONE)?, scene.gone);
    session.logout()?;
    scene.end()
}

/// What is put under a tree, by folder.
const INTO: [&str; 2] = ["--into", "Recovered/{date}/{folder}"];

fn in_tree(scene: &Lacking, folder: &str) -> Result<String> {
    let end = folder.replacen("INBOX", "", 1);
    let folders = scene.folders()?;
    let found = folders.iter().find(|name| name.contains("Recovered") && name.ends_with(&end));
    found.cloned().with_context(|| format!("{folder} is not in {folders:?}"))
}

#[test]
fn what_is_put_under_a_tree_is_there_once_and_nothing_where_it_was() -> Result<()> {
    const NAME: &str = "what_is_put_under_a_tree_is_there_once_and_nothing_where_it_was";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    let run = scene.deliver(&INTO)?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; 5]), "{run:?}");
    let mut work = scene.work.clone();
    work.retain(|message| !scene.before.contains(message));
    let is_there = || -> Result<()> {
        assert_eq!(scene.shown(&in_tree(&scene, GONE)?)?, scene.gone);
        assert_eq!(scene.shown(&in_tree(&scene, WORK)?)?, work);
        assert_eq!(scene.shown(WORK)?, scene.before);
        ensure!(!scene.folders()?.contains(&GONE.to_owned()), "it was made");
        Ok(())
    };
    is_there()?;
    for compares in [false, true] {
        if compares {
            scene.compare()?;
        }
        for arguments in [&INTO[..], &[]] {
            let again = scene.deliver(arguments)?;
            assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{again:?}");
            is_there()?;
        }
    }
    let deliveries = exported(&scene.live, &scene.incident, "delivery")?;
    let folders = deliveries.iter().filter(|line| line["folder"].is_string());
    assert_eq!(folders.count(), 5, "{deliveries:?}");
    let report = subcommand(&redeliver(&scene.live, &scene.incident)?, &["report"]);
    let told = ToolRun::of(&{ report }.output()?).stdout;
    ensure!(told.contains("Recovered.") && !told.contains("not back"), "{told}");
    // An incident that knows nothing of it finds what is in the tree.
    let other = scene.live.path().join("other");
    new_incident(&scene.live, &other)?;
    gapfill(&scene.live, &[scene.rescued.path().to_owned()], &["--incident", text(&other)?])?;
    let mut command = redeliver(&scene.live, &other)?;
    command.args(as_admin(scene.live.path(), scene.live.ports().imap)?).args(INTO).arg("--json");
    let run = ToolRun::of(&command.output()?).parsed()?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["found"; 5]), "{run:?}");
    is_there()?;
    scene.end()
}

#[test]
fn what_was_put_under_a_tree_is_taken_back_from_there_and_then_comes_to_where_it_was() -> Result<()>
{
    const NAME: &str =
        "what_was_put_under_a_tree_is_taken_back_from_there_and_then_comes_to_where_it_was";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    let run = scene.deliver(&INTO)?;
    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let command = scene.command(scene.live.ports().imap, &[])?;
    let mut undo = subcommand(&redeliver(&scene.live, &scene.incident)?, &["undo", name]);
    let options: Vec<_> = command.get_args().skip_while(|arg| *arg != "--imap").collect();
    let undone = ToolRun::of(&undo.args(options).output()?).parsed()?;
    ensure!(undone.status == Some(0) && undone.findings("undone").len() == 5, "{undone:?}");
    assert_eq!(scene.shown(&in_tree(&scene, WORK)?)?, []);
    let run = scene.deliver(&[])?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; 5]), "{run:?}");
    assert_eq!(scene.shown(WORK)?, scene.work);
    assert_eq!(scene.shown(GONE)?, scene.gone);
    scene.end()
}

#[test]
fn what_was_cut_off_on_its_way_into_another_folder_is_there_once_wherever_the_next_run_puts_it()
-> Result<()> {
    const NAME: &str = "what_was_cut_off_on_its_way_into_another_folder_is_there_once_wherever_the_next_run_puts_it";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let points = [Point::BeforeAppend, Point::InLiteral(40), Point::BeforeAnswer];
    let ways: [(&[&str], &[&str]); 5] = [
        (&INTO, &INTO),
        (&INTO, &[]),
        (&INTO, &["--into", "Other/{folder}"]),
        (&[], &[]),
        (&[], &INTO),
    ];
    for point in points {
        for (first, next) in ways {
            let scene = Lacking::new(&cyrus)?;
            let proxy = Proxy::to(scene.live.ports().imap, point.clone())?;
            let only: &[&str] = if next.is_empty() && !first.is_empty() {
                &["--mailbox", "user.alice.Work"]
            } else {
                &["--connections", "1"]
            };
            let arguments = [first, only].concat();
            let mut command = scene.command(proxy.port(), &arguments)?;
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            proxy.wait()?;
            ensure!(kill(&mut child)?, "it had ended by itself");
            proxy.cut();
            let what = format!("{first:?} at {point:?}, then {next:?}");
            if next.is_empty() && !first.is_empty() {
                // By the spool nobody can tell whether it came.
                let mut command = redeliver(&scene.live, &scene.incident)?;
                let run = ToolRun::of(&command.args(["-n", "--json"]).output()?).parsed()?;
                ensure!(run.stdout.contains("nobody knows whether it came"), "{what}: {run:?}");
            }
            let run = scene.deliver(next)?;
            ensure!(run.status == Some(0), "{what}: {run:?}");
            let mut all = Vec::new();
            for folder in scene.folders()? {
                all.extend(scene.shown(&folder)?);
            }
            all.sort();
            let mut expected = [scene.gone.clone(), scene.work.clone()].concat();
            expected.sort();
            assert_eq!(all, expected, "{what}");
            let again = scene.deliver(next)?;
            assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{what}");
            eprintln!("{what}: {:?}", states_of(&run));
            scene.end()?;
        }
    }
    Ok(())
}

#[test]
fn the_spool_says_that_it_makes_no_mailboxes_and_has_no_tree() -> Result<()> {
    const NAME: &str = "the_spool_says_that_it_makes_no_mailboxes_and_has_no_tree";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Lacking::new(&cyrus)?;
    for arguments in [&INTO[..], &["--missing-mailbox", "create"], &["--missing-mailbox", "inbox"]]
    {
        let mut command = redeliver(&scene.live, &scene.incident)?;
        let run = ToolRun::of(&command.args(arguments).output()?);
        ensure!(run.status == Some(2) && run.stderr.contains("--via imap"), "{run:?}");
    }
    let mut command = redeliver(&scene.live, &scene.incident)?;
    let run =
        ToolRun::of(&command.args(["--missing-mailbox", "skip", "--json"]).output()?).parsed()?;
    assert_eq!((run.status, &run.summary()["held"]), (Some(1), &3.into()), "{run:?}");
    scene.end()
}
