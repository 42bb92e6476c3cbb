//! A rescued tree as a crash and fsck leave it: every intact message is found and placed, nothing is
//! followed out of the tree, and the run ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, Store, ToolRun, Tree, gapfill_command};

use mailstore_tests::outage::{Copy, Expected, Ledger, World, gapfill, told};

const SEED: u64 = 19_991_231;

/// The file of a copy in the rescued tree, whose mailboxes are where `mbpath` says.
fn file(rescued: &Store, copy: &Copy) -> Result<PathBuf> {
    let (folder, uid) = copy.rescued.as_ref().context("a rescued copy")?;
    let mailbox = folder.replacen("INBOX", &format!("user.{}", copy.user), 1);
    Ok(rescued.mailbox_dir(&mailbox)?.join(format!("{uid}.")))
}

/// Copies of a user that the live store lacks, and of whose message there is no other copy: those
/// that the server makes are hard links.
fn lacking<'a>(ledger: &'a Ledger, user: &'a str) -> impl Iterator<Item = &'a Copy> {
    let copies_of = |guid| ledger.copies.iter().filter(|copy| copy.guid == guid).count();
    ledger.copies.iter().filter(move |copy| {
        let lacking = matches!(ledger.class(copy), Some("missing" | "uid-taken"));
        copy.user == user && lacking && copies_of(copy.guid) == 1
    })
}

/// The first half of a file, or all of it as NULs.
fn cut(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..bytes.len() / 2])?)
}

fn wipe(path: &Path) -> Result<()> {
    let size = fs::metadata(path)?.len();
    Ok(fs::write(path, vec![0; usize::try_from(size)?])?)
}

fn mkfifo(path: &Path) -> Result<()> {
    ensure!(Command::new("mkfifo").arg(path).status()?.success(), "mkfifo");
    Ok(())
}

/// What the crash made of the tree.
struct Wreck {
    rescued: Store,
    /// Messages whose only file was spoiled.
    spoiled: Vec<String>,
    /// A file that the live store lacks, for a disk that does not read it.
    unlucky: (PathBuf, String),
}

/// Alice's indexes are gone and a message that both sides have is cut; Bob's folders are pieces in
/// lost+found, and two messages that the live store lacks are spoiled.
fn wreck(rescued: Store, ledger: &Ledger) -> Result<Wreck> {
    let of_alice = ledger
        .copies
        .iter()
        .find(|copy| copy.user == "alice" && copy.rescued.is_some() && copy.rescued == copy.live);
    cut(&file(&rescued, of_alice.context("a message that both sides have")?)?)?;
    let mut of_bob = lacking(ledger, "bob");
    let mut next = || of_bob.next().context("messages that the live store lacks");
    let (first, second, third) = (next()?, next()?, next()?);
    cut(&file(&rescued, first)?)?;
    wipe(&file(&rescued, second)?)?;
    let unlucky = file(&rescued, third)?;
    let (spool, lost) = (rescued.spool(), rescued.spool().join("lost+found"));
    fs::create_dir(&lost)?;
    let mailboxes = rescued.mailboxes()?;
    let directories: Vec<_> = mailboxes
        .iter()
        .map(|name| Ok((name, rescued.mailbox_dir(name)?)))
        .collect::<Result<_>>()?;
    let mut moved = unlucky.clone();
    for (number, (name, directory)) in directories.iter().enumerate() {
        if name.starts_with("user.alice") {
            fs::remove_file(directory.join("cyrus.index"))?;
            fs::remove_file(directory.join("cyrus.cache"))?;
            symlink("/etc/passwd", directory.join("99998."))?;
            mkfifo(&directory.join("99999."))?;
        } else {
            let piece = lost.join(format!("#{}", 4000 + number));
            fs::rename(directory, &piece)?;
            if let Ok(below) = unlucky.strip_prefix(directory) {
                moved = piece.join(below);
            }
        }
    }
    symlink("..", spool.join("loop"))?;
    symlink("/", spool.join("root"))?;
    mkfifo(&spool.join("pipe"))?;
    let spoiled = [first, second].map(|copy| copy.guid.to_string()).to_vec();
    Ok(Wreck { rescued, spoiled, unlucky: (moved, third.guid.to_string()) })
}

/// Of what was told, what is to be restored, apart from how its UID fared.
fn restored(told: &[Expected]) -> Vec<(String, String)> {
    let to_restore = told.iter().filter(|gap| matches!(gap.2.as_str(), "missing" | "uid-taken"));
    let mut restored: Vec<_> = to_restore.map(|gap| (gap.0.clone(), gap.1.clone())).collect();
    restored.sort();
    restored
}

/// The same run on a disk that does not read a file: the system calls that read it fail with EIO.
fn gapfill_on_bad_disk(live: &Store, wreck: &Wreck) -> Result<Option<ToolRun>> {
    let tool = gapfill_command()?;
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=read", "-P"]);
    command.arg(&wreck.unlucky.0).args(["-e", "inject=read:error=EIO"]);
    command.arg(tool.get_program()).arg("--from").arg(wreck.rescued.path());
    command.arg("--to").arg(live.imapd_conf()).arg("--json");
    command.env("CYRUS_USER", &live.cyrus().account().name).env_remove("MAILSTORE_INCIDENT");
    match command.output() {
        Ok(output) => Ok(Some(ToolRun::of(&output).parsed()?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn every_intact_message_of_a_wrecked_tree_is_found_and_placed() -> Result<()> {
    const NAME: &str = "every_intact_message_of_a_wrecked_tree_is_found_and_placed";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut world = World::fork(&cyrus, Layout::ById, SEED)?;
    world.traffic(60)?;
    let (rescued, ledger, live) = world.rescue()?;
    let wreck = wreck(rescued, &ledger)?;
    let before = Tree::read(wreck.rescued.path())?;
    let run = gapfill(&live, &[wreck.rescued.path().to_owned()], &[])?;
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let found = told(&run);
    let mut expected = restored(&ledger.expected());
    expected.retain(|(_, guid)| !wreck.spoiled.contains(guid));
    assert_eq!(restored(&found), expected, "{found:#?}");
    let damaged: Vec<_> = found.iter().filter(|gap| gap.2 == "damaged").collect();
    let mut spoiled: Vec<_> = damaged.iter().map(|gap| gap.1.clone()).collect();
    spoiled.sort();
    let mut expected_spoiled = wreck.spoiled.clone();
    expected_spoiled.sort();
    assert_eq!(spoiled, expected_spoiled, "{damaged:#?}");
    assert!(!run.stdout.contains("passwd"), "a link was followed");
    assert_eq!(before.differences(&Tree::read(wreck.rescued.path())?), [""; 0]);

    let Some(run) = gapfill_on_bad_disk(&live, &wreck)? else {
        mailstore_tests::skip_without_privilege(NAME, "no strace, so no disk that fails");
        return Ok(());
    };
    assert_eq!(run.status, Some(3), "{}", run.stderr);
    let (_, unlucky) = &wreck.unlucky;
    expected.retain(|(_, guid)| guid != unlucky);
    let found = told(&run);
    assert_eq!(restored(&found), expected);
    assert!(found.iter().any(|gap| gap.1 == *unlucky && gap.2 == "damaged"), "{found:#?}");
    Ok(())
}
