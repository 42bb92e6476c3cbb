//! A server with many folders that all lack the same, so that each case has one of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{exported, gapfill, new_incident};
use mailstore_tests::{
    Cyrus, ImapClient, Layout, MailboxSnapshot, NewMessage, Server, ServerOptions, Store, ToolRun,
    judge,
};
use serde_json::Value;

use crate::imap_access::as_admin;
use crate::scene::{Kept, Way, looks, redeliver, text};

/// The numbers of the messages that each folder has, and of those that it lacks, some of them twice.
pub(crate) const PRESENT: [u32; 3] = [1, 2, 3];
pub(crate) const MISSING: [u32; 5] = [4, 5, 6, 6, 7];
/// A server with many folders that all lack the same, and an incident that knows it.
pub(crate) struct Folders {
    pub(crate) server: Server,
    pub(crate) rescued: Store,
    pub(crate) incident: PathBuf,
    /// Folders that were not delivered into yet.
    pub(crate) fresh: Vec<String>,
    /// What each must have in the end.
    pub(crate) expected: Vec<Kept>,
}

fn message(number: u32) -> NewMessage {
    let text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nmessage {number}\r\n");
    let flags = match number % 2 {
        0 => vec!["\\Flagged".to_owned(), format!("keyword{}", number % 8)],
        _ => vec!["\\Seen".to_owned()],
    };
    let internaldate = Some(format!("{:02}-Nov-2006 10:11:12 +0000", number % 28 + 1));
    NewMessage { flags, internaldate, bytes: text.into_bytes() }
}

pub(crate) fn messages(numbers: &[u32]) -> Vec<NewMessage> {
    numbers.iter().map(|&number| message(number)).collect()
}

impl Folders {
    pub(crate) fn new(cyrus: &Cyrus, folders: usize) -> Result<Self> {
        Self::with(cyrus, folders, ServerOptions::new(Layout::ById))
    }

    /// On servers with conversations and these options.
    pub(crate) fn with(cyrus: &Cyrus, folders: usize, options: ServerOptions) -> Result<Self> {
        let options = options.with_conversations().in_memory();
        // All folders have the same messages, of which the server takes a hundred only.
        let options = options.with_line("conversations_max_guidexists: 100000");
        let server = Server::start(cyrus, options)?;
        server.admin()?.create("user.alice")?;
        let names: Vec<String> = (0..folders).map(|n| format!("INBOX.case{n:03}")).collect();
        let mut session = server.login("alice")?;
        for name in &names {
            session.create(name)?;
            session.append_all(name, &messages(&PRESENT))?;
        }
        session.logout()?;
        let store = server.into_store()?;
        let server = Server::serve(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut session = rescued.login("alice")?;
        for name in &names {
            // Their UIDs are not the next ones: one came and went.
            session.append_all(name, &messages(&[8]))?;
            session.append_all(name, &messages(&MISSING))?;
            session.select(name)?;
            session.store("4", "+FLAGS (\\Deleted)")?;
            session.expunge()?;
        }
        let first = names.first().context("no folder")?;
        let expected = shown(&mut session, first)?;
        session.logout()?;
        let rescued = rescued.into_store()?;
        let incident = server.path().join("outage");
        new_incident(&server, &incident)?;
        let stage = server.path().join("stage");
        let arguments = ["--incident", text(&incident)?, "--stage", text(&stage)?];
        let run = gapfill(&server, &[rescued.path().to_owned()], &arguments)?;
        ensure!(run.status == Some(1), "{}", run.stderr);
        Ok(Self { server, rescued, incident, fresh: names, expected })
    }

    pub(crate) fn take(&mut self) -> Result<Case> {
        let folder = self.fresh.pop().context("no folder is left")?;
        let mailbox = folder.replacen("INBOX", "user.alice", 1);
        Ok(Case { folder, mailbox })
    }

    pub(crate) fn session(&self) -> Result<ImapClient> {
        self.server.login("alice")
    }

    /// Nothing has died meanwhile, and Cyrus has nothing to say against any of the folders.
    pub(crate) fn end(self) -> Result<()> {
        ensure!(self.server.deaths().is_empty(), "deaths: {:?}", self.server.deaths());
        let store = self.server.into_store()?;
        let verdict = judge(&store)?;
        ensure!(verdict.is_clean(), "Cyrus's opinion:\n{verdict}");
        Ok(())
    }
}

/// What is in a folder, sorted.
pub(crate) fn shown(session: &mut ImapClient, folder: &str) -> Result<Vec<Kept>> {
    let mailbox = MailboxSnapshot::take(session, folder)?;
    let mut messages: Vec<_> = mailbox.messages.values().map(looks).collect();
    messages.sort();
    Ok(messages)
}

/// The state of each message that a run tells of.
pub(crate) fn states_of(run: &ToolRun) -> Vec<&str> {
    let messages =
        run.json.iter().flat_map(|line| line["messages"].as_array().into_iter().flatten());
    messages.filter_map(|message| message["state"].as_str()).collect()
}

/// A folder to deliver into.
pub(crate) struct Case {
    pub(crate) folder: String,
    pub(crate) mailbox: String,
}

impl Case {
    /// Runs the command on it.
    pub(crate) fn redeliver(&self, folders: &Folders) -> Result<ToolRun> {
        self.redeliver_of(folders, &folders.incident)
    }

    /// The same over IMAP.
    pub(crate) fn redeliver_over_imap(&self, folders: &Folders) -> Result<ToolRun> {
        let mut command = redeliver(&folders.server, &folders.incident)?;
        command.args(as_admin(folders.server.path(), folders.server.ports().imap)?);
        let output = command.args(["--mailbox", &self.mailbox, "--json"]).output()?;
        ToolRun::of(&output).parsed()
    }

    /// The same, of another incident.
    pub(crate) fn redeliver_of(&self, folders: &Folders, incident: &Path) -> Result<ToolRun> {
        let mut command = redeliver(&folders.server, incident)?;
        let output = command.args(["--mailbox", &self.mailbox, "--json"]).output()?;
        ToolRun::of(&output).parsed()
    }

    /// What an interrupted delivery left is served as it will be, or not at all yet. Then the next runs
    /// bring what is missing, once; `living`: mail comes in between.
    pub(crate) fn must_be_finished(&self, scene: &Folders, way: Way, living: bool) -> Result<()> {
        let mut session = scene.session()?;
        let mut expected = scene.expected.clone();
        let interrupted = shown(&mut session, &self.folder)?;
        let foreign: Vec<_> = interrupted.iter().filter(|it| !expected.contains(it)).collect();
        ensure!(foreign.is_empty(), "served neither as before nor as after: {foreign:?}");
        if living {
            session.append_all(&self.folder, &messages(&[9, 9]))?;
            let all = shown(&mut session, &self.folder)?;
            expected.extend(all.into_iter().filter(|it| !interrupted.contains(it)));
            expected.sort();
        }
        for time in ["first", "second"] {
            let run = match way {
                Way::Spool => self.redeliver(scene)?,
                Way::Imap => self.redeliver_over_imap(scene)?,
            };
            ensure!(run.status == Some(0), "the {time} run after it: {run:?}");
            let now = shown(&mut session, &self.folder)?;
            ensure!(
                now == expected,
                "the {time} run after it: {now:#?} is not {expected:#?}\n{run:?}"
            );
        }
        session.logout()?;
        let states = self.states(scene)?;
        let is_there = |state: &&String| ["verified", "delivered"].contains(&state.as_str());
        let there = states.iter().filter(is_there).count();
        ensure!(there == MISSING.len(), "the incident says {states:?}");
        Ok(())
    }

    /// What is in the folder, sorted.
    pub(crate) fn shown(&self, folders: &Folders) -> Result<Vec<Kept>> {
        shown(&mut folders.session()?, &self.folder)
    }

    /// What the incident says of its deliveries.
    pub(crate) fn states(&self, folders: &Folders) -> Result<Vec<String>> {
        let deliveries = exported(&folders.server, &folders.incident, "delivery")?;
        let own = deliveries.iter().filter(|line| line["mailbox"] == self.mailbox.as_str());
        let state = |line: &Value| line["state"].as_str().unwrap_or_default().to_owned();
        Ok(own.map(state).collect())
    }
}
