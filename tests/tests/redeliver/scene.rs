//! An outage up to the point at which messages are to be delivered, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{Ledger, USERS, World, gapfill, new_incident};
use mailstore_tests::{
    Cyrus, Layout, MessageSnapshot, Server, Snapshot, Store, ToolRun, cyrus_tools,
    redeliver_command,
};

use crate::imap_access::as_admin;

/// What of a message a delivery must keep: its bytes, flags, keywords and date.
pub(crate) type Kept = (String, Vec<String>, String);

/// The messages of each folder of each user, as often as they are there.
pub(crate) type Folders = BTreeMap<(&'static str, String), Vec<Kept>>;

/// The way by which messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Spool,
    Imap,
}

/// A live server that lacks mail, and an incident that knows what.
pub(crate) struct Scene {
    pub(crate) live: Server,
    pub(crate) rescued: Store,
    pub(crate) ledger: Ledger,
    pub(crate) incident: PathBuf,
    /// What users saw on the rescued side, by user.
    rescued_view: BTreeMap<&'static str, Snapshot>,
    /// What they saw on the live side before anything was delivered.
    pub(crate) before: BTreeMap<&'static str, Snapshot>,
}

impl Scene {
    /// After so many steps of traffic; the gaps are in the incident.
    pub(crate) fn after(cyrus: &Cyrus, layout: Layout, seed: u64, steps: usize) -> Result<Self> {
        let mut world = World::fork(cyrus, layout, seed)?;
        world.traffic(steps)?;
        world.folders()?;
        let rescued_view = views(&world.rescued)?;
        let (rescued, ledger, live) = world.rescue()?;
        let mut admin = live.admin()?;
        for user in USERS {
            admin.ok(&format!("SETQUOTA user.{user} (STORAGE 1000000)"))?;
        }
        let before = views(&live)?;
        let incident = live.path().join("outage");
        new_incident(&live, &incident)?;
        let stage = live.path().join("stage");
        let arguments = ["--incident", text(&incident)?, "--stage", text(&stage)?];
        let run = gapfill(&live, &[rescued.path().to_owned()], &arguments)?;
        ensure!(run.status == Some(1), "{}", run.stderr);
        Ok(Self { live, rescued, ledger, incident, rescued_view, before })
    }

    /// A run of `redeliver` on the live store by one way or the other, with Cyrus's tools at hand.
    pub(crate) fn redeliver_by(&self, way: Way, arguments: &[&str]) -> Result<ToolRun> {
        let mut command = self.command(arguments)?;
        if way == Way::Imap {
            command.args(as_admin(self.live.path(), self.live.ports().imap)?);
        }
        ToolRun::of(&command.arg("--json").output().context("can't run redeliver")?).parsed()
    }

    /// The same, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = redeliver(&self.live, &self.incident)?;
        let (bin, environment) = cyrus_tools(&self.live);
        command.arg("--cyrus-bin").arg(bin).envs(environment).args(arguments);
        Ok(command)
    }

    /// What the ledger says must be on the live side: all that was there, and each missing message
    /// exactly as often as it is missing. Over IMAP the folder comes that only the other side has.
    pub(crate) fn expected(&self, way: Way) -> Result<Folders> {
        let mut folders = kept(&self.before);
        for copy in &self.ledger.copies {
            let is_missing = matches!(self.ledger.class(copy), Some("missing" | "uid-taken"));
            let is_in_new = copy.rescued.as_ref().is_some_and(|(folder, _)| folder == "INBOX.New");
            if !(is_missing || is_in_new && way == Way::Imap) {
                continue;
            }
            let (folder, uid) = copy.rescued.as_ref().context("missing, and nowhere")?;
            let message = self.rescued_looks(copy.user, folder, *uid)?;
            folders.entry((copy.user, folder.clone())).or_default().push(message);
        }
        for messages in folders.values_mut() {
            messages.sort();
        }
        Ok(folders)
    }

    /// How the rescued side showed a message, by the name that its folder had at the fork.
    fn rescued_looks(&self, user: &str, folder: &str, uid: u32) -> Result<Kept> {
        let view = self.rescued_view.get(user).context("no view")?;
        let mut mailboxes = view.mailboxes.iter();
        let found = mailboxes.find(|(name, _)| name_at_fork(name) == folder);
        let message = found.and_then(|(_, mailbox)| mailbox.messages.get(&uid));
        message.map(looks).with_context(|| format!("{user} {folder} {uid} is nowhere"))
    }

    /// The highest UID that either side has ever shown of each folder.
    pub(crate) fn highest_uids(&self) -> BTreeMap<(&'static str, String), u32> {
        let mut highest = BTreeMap::new();
        let live = self.before.iter().flat_map(|(user, view)| {
            let folders = view.mailboxes.iter();
            folders.map(|(folder, mailbox)| ((*user, folder.clone()), mailbox.uidnext - 1))
        });
        let rescued = self.rescued_view.iter().flat_map(|(user, view)| {
            view.mailboxes
                .iter()
                .map(|(folder, mailbox)| ((*user, name_at_fork(folder)), mailbox.uidnext - 1))
        });
        for (folder, uid) in live.chain(rescued) {
            let known: &mut u32 = highest.entry(folder).or_default();
            *known = uid.max(*known);
        }
        highest
    }
}

/// `redeliver` on the live store of an incident.
pub(crate) fn redeliver(live: &Store, incident: &Path) -> Result<Command> {
    let mut command = redeliver_command()?;
    command.arg("--incident").arg(incident).arg("--to").arg(live.imapd_conf());
    command.env("CYRUS_USER", &live.cyrus().account().name).env("TZ", "UTC");
    Ok(command)
}

/// The same command with a subcommand of these words before its arguments.
pub(crate) fn subcommand(command: &Command, words: &[&str]) -> Command {
    let mut subcommand = Command::new(command.get_program());
    subcommand.args(words).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => subcommand.env(name, value),
            None => subcommand.env_remove(name),
        };
    }
    subcommand
}

/// What all users see now.
pub(crate) fn views(server: &Server) -> Result<BTreeMap<&'static str, Snapshot>> {
    USERS.into_iter().map(|user| Ok((user, Snapshot::take(server, user)?))).collect()
}

/// The messages of each folder, sorted.
pub(crate) fn kept(views: &BTreeMap<&'static str, Snapshot>) -> Folders {
    let mut folders = Folders::new();
    for (user, view) in views {
        for (folder, mailbox) in &view.mailboxes {
            let mut messages: Vec<_> = mailbox.messages.values().map(looks).collect();
            messages.sort();
            folders.insert((*user, folder.clone()), messages);
        }
    }
    folders
}

/// How many messages there are in all.
pub(crate) fn count(folders: &Folders) -> usize {
    folders.values().map(Vec::len).sum()
}

/// The UIDs in `after` that `before` does not have, by folder.
pub(crate) fn new_uids(
    before: &BTreeMap<&'static str, Snapshot>,
    after: &BTreeMap<&'static str, Snapshot>,
) -> BTreeMap<(&'static str, String), BTreeSet<u32>> {
    let mut new = BTreeMap::new();
    for (user, view) in after {
        for (folder, mailbox) in &view.mailboxes {
            let known = before.get(user).and_then(|view| view.mailboxes.get(folder));
            let is_new = |uid: &u32| known.is_none_or(|known| !known.messages.contains_key(uid));
            let uids = mailbox.messages.keys().copied().filter(|uid| is_new(uid)).collect();
            new.insert((*user, folder.clone()), uids);
        }
    }
    new
}

/// What of a message a delivery must keep.
pub(crate) fn looks(message: &MessageSnapshot) -> Kept {
    (message.body.clone(), message.flags.clone(), message.internaldate.clone())
}

/// The name of a folder of the rescued side before it was renamed there.
fn name_at_fork(folder: &str) -> String {
    folder.replace("Projects", "Work")
}

/// Asserts that users see these messages and no other; says what is too much and what is missing.
pub(crate) fn assert_seen(seen: &Folders, expected: &Folders, why: &str) {
    let counted = |folders: &Folders| {
        let mut counts = BTreeMap::<_, usize>::new();
        for (folder, messages) in folders {
            for message in messages {
                *counts.entry((folder.clone(), message.clone())).or_default() += 1;
            }
        }
        counts
    };
    let (seen, expected) = (counted(seen), counted(expected));
    let beyond = |one: &BTreeMap<_, usize>, other: &BTreeMap<_, usize>| -> Vec<_> {
        let more = one.iter().filter(|(what, count)| other.get(*what) < Some(count));
        more.map(|((folder, message), count)| format!("{folder:?} {message:?} {count}")).collect()
    };
    let (too_much, missing) = (beyond(&seen, &expected), beyond(&expected, &seen));
    assert!(
        too_much.is_empty() && missing.is_empty(),
        "{why}: too much {too_much:#?}, missing {missing:#?}"
    );
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}
