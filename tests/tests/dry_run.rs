//! `-n` changes nothing: no byte, no time, no directory entry of the whole tree, the directory of
//! locks included.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use mailstore_tests::{
    Account, Cyrus, Fixture, Layout, Reconstruct, Server, ServerOptions, ToolRun, Tree, populate,
};

const SEED: u64 = 20_061_110;

/// Damages a mailbox in one of many ways.
fn damage(directory: &Path, kind: usize) -> Result<()> {
    let flip = |name: &str, at: usize| -> Result<()> {
        let path = directory.join(name);
        let mut bytes = fs::read(&path)?;
        *bytes.get_mut(at).context("the file is longer")? ^= 0x10;
        fs::remove_file(&path)?;
        Ok(fs::write(&path, bytes)?)
    };
    match kind {
        0 => Ok(fs::remove_file(directory.join("cyrus.index"))?),
        1 => Ok(fs::remove_file(directory.join("cyrus.cache"))?),
        2 => Ok(fs::remove_file(directory.join("cyrus.header"))?),
        3 => Ok(fs::write(directory.join("cyrus.index"), b"")?),
        4 => flip("cyrus.index", 30),
        5 => flip("cyrus.index", 200),
        6 => flip("cyrus.cache", 40),
        7 => flip("2.", 30),
        8 => Ok(fs::remove_file(directory.join("2."))?),
        _ => Ok(fs::write(directory.join("4000."), b"Subject: stray\r\n\r\nmail\r\n")?),
    }
}

fn assert_changes_nothing(root: &Path, look: impl Fn() -> Result<ToolRun>) -> Result<()> {
    let before = Tree::read(root)?;
    let run = look()?;
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(before.differences(&Tree::read(root)?), [""; 0], "{run:?}");
    Ok(())
}

#[test]
fn a_dry_run_on_a_damaged_store_changes_nothing() -> Result<()> {
    for name in [Fixture::BY_ID, Fixture::BY_NAME] {
        let fixture = Fixture::unpack(name)?;
        let mailboxes =
            ["user.erin", "user.erin.Sent", "user.erin.Lists.cyrus-devel", "user.frank"];
        for (kind, mailbox) in (0..10).zip(mailboxes.iter().cycle()) {
            let fixture = Fixture::unpack(name)?;
            let directory = fixture.mailbox_dir(mailbox)?;
            // In the archive store most mailboxes have their messages elsewhere.
            let directory =
                if directory.join("2.").exists() || kind < 7 { directory } else { continue };
            damage(&directory, kind)?;
            fixture.give_to(&Account::for_servers()?)?;
            for check in ["stat", "full"] {
                let arguments = ["-n", "--all", "--check", check, "--prune", "--max-prune", "100"];
                if kind == 7 && check == "stat" {
                    continue;
                }
                assert_changes_nothing(&fixture.path(), || {
                    fixture.reconstruct().args(arguments).run()
                })
                .with_context(|| format!("{name} {mailbox} damage {kind}"))?;
            }
            if directory.join("cyrus.header").exists() {
                let path = || Reconstruct::bare().args(["-n", "--check", "full", "--path"]);
                assert_changes_nothing(&fixture.path(), || path().arg(&directory).run())?;
            }
        }
        drop(fixture);
    }
    Ok(())
}

#[test]
fn a_dry_run_beside_a_running_server_changes_nothing() -> Result<()> {
    const NAME: &str = "a_dry_run_beside_a_running_server_changes_nothing";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    populate(&server, SEED)?;
    let directories = ["user.alice", "user.alice.Sent", "user.alice.Archive", "user.bob"];
    for (kind, mailbox) in [0, 1, 5, 8].into_iter().zip(directories) {
        let directory = server.mailbox_dir(mailbox)?;
        let kind_fits = if kind == 8 { directory.join("2.").exists() } else { true };
        assert!(kind_fits, "{mailbox} has a second message");
        damage(&directory, kind)?;
    }
    // A lock file that is not there must not be made: this mailbox was never opened since.
    fs::remove_dir_all(server.lock_dir())?;
    fs::create_dir(server.lock_dir())?;
    cyrus.account().own(&server.lock_dir())?;
    let look = || Reconstruct::new(&server).args(["-n", "--all", "--check", "full"]).run();
    assert!(server.ports().imap > 0);
    assert_changes_nothing(server.path(), look)?;
    assert!(server.is_running()?);
    server.stop()?;
    let look = || Reconstruct::new(&server).args(["-n", "--all"]).run();
    assert_changes_nothing(server.path(), look)
}
