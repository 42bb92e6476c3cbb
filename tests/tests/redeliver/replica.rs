//! A replica of the store that is delivered into comes to the same by rolling replication.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, Reconstruct, Server, ServerOptions, Snapshot, ToolRun};

use crate::folders::{Folders, PRESENT, messages};
use crate::scene::redeliver;
use crate::undo::undo;

/// A replica that has all that `master` has.
struct Replica {
    server: Server,
}

impl Replica {
    fn of(master: &Server, server: Server) -> Result<Self> {
        master.tool_output("sync_client", &["-A"])?;
        let replica = Self { server };
        replica.must_be(master, "after the first sending")?;
        Ok(replica)
    }

    /// Sends what the sync log names, as a rolling replication does; after that both are equal.
    fn catches_up(&self, master: &Server, when: &str) -> Result<()> {
        let log = master.path().join("conf/sync/log");
        ensure!(log.is_file(), "nothing was noted in the sync log");
        let path = log.to_str().context("a path that is text")?;
        master.tool_output("sync_client", &["-r", "-f", path])?;
        // Whoever reads the log takes it away; what is named again comes into a new one.
        match fs::remove_file(&log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => self.must_be(master, when),
        }
    }

    fn must_be(&self, master: &Server, when: &str) -> Result<()> {
        let (there, here) =
            (Snapshot::take(master, "alice")?, Snapshot::take(&self.server, "alice")?);
        for (folder, mailbox) in &there.mailboxes {
            let copy =
                here.mailboxes.get(folder).with_context(|| format!("{when}: no {folder}"))?;
            ensure!(mailbox == copy, "{when}: {folder}: {mailbox:#?} is not {copy:#?}");
        }
        ensure!(there.mailboxes.len() == here.mailboxes.len(), "{when}: too many folders");
        Ok(())
    }
}

fn servers(cyrus: &Cyrus) -> Result<(Folders, Replica)> {
    let options = ServerOptions::new(Layout::ById);
    let replica = Server::start(cyrus, options.clone().with_conversations().in_memory())?;
    let mut scene = Folders::with(cyrus, 2, options.replicating_to(replica.ports().sync))?;
    let log = scene.server.path().join("conf/sync/log");
    let replica = Replica::of(&scene.server, replica)?;
    fs::remove_file(log)?;
    scene.fresh.truncate(1);
    Ok((scene, replica))
}

#[test]
fn what_is_delivered_and_taken_back_reaches_the_replica() -> Result<()> {
    const NAME: &str = "what_is_delivered_and_taken_back_reaches_the_replica";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (mut scene, replica) = servers(&cyrus)?;
    let case = scene.take()?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    let output = command.args(["--mailbox", &case.mailbox, "--sync-log", "", "--json"]).output()?;
    let run = ToolRun::of(&output).parsed()?;
    ensure!(run.status == Some(0), "{run:?}");
    replica.catches_up(&scene.server, "after the delivery")?;
    assert_eq!(case.shown(&scene)?, scene.expected);

    scene.session()?.append_all(&case.folder, &messages(&[9]))?;
    replica.catches_up(&scene.server, "after new mail")?;

    let undone = undo(&scene, &run, &["--sync-log", ""])?;
    ensure!(undone.status == Some(0), "{undone:?}");
    replica.catches_up(&scene.server, "after the undo")?;
    assert_eq!(case.shown(&scene)?.len(), PRESENT.len() + 1);
    scene.end()
}

#[test]
fn what_is_repaired_reaches_the_replica() -> Result<()> {
    const NAME: &str = "what_is_repaired_reaches_the_replica";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (mut scene, replica) = servers(&cyrus)?;
    let case = scene.take()?;
    let index = scene.server.mailbox_dir(&case.mailbox)?.join("cyrus.index");
    let mut bytes = fs::read(&index)?;
    bytes[40..120].fill(0);
    fs::write(&index, &bytes)?;
    let repair = Reconstruct::new(&scene.server);
    let run = repair.args(["--mailbox", &case.mailbox, "--sync-log", ""]).run()?;
    ensure!(run.status == Some(0), "{run:?}");
    // The server has noted nothing yet that would bring the mailbox there without us.
    replica.catches_up(&scene.server, "after the repair")?;
    scene.session()?.append_all(&case.folder, &messages(&[9]))?;
    replica.catches_up(&scene.server, "after new mail")?;
    scene.end()
}
