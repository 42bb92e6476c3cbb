//! Every kind of source that can be mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use mailstore_tests::{Cyrus, Fixture, Layout, Server, ServerOptions, Store, ToolRun, Tree};

use mailstore_tests::outage::{gapfill, told};

pub(crate) fn text(number: u32) -> String {
    format!(
        "Delivered-To: alice@example.com\r\nMessage-ID: <{number}@x>\r\nSubject: {number}\r\n\r\n\
         message {number}\r\n"
    )
}

/// A live store that lacks the last two of the four messages that the rescued one has.
pub(crate) fn stores(cyrus: &Cyrus) -> Result<(Store, Server)> {
    let server = Server::start(cyrus, ServerOptions::new(Layout::ByName).in_memory())?;
    server.admin()?.create("user.alice")?;
    let append = |server: &Server, numbers: [u32; 2]| -> Result<()> {
        let mut alice = server.login("alice")?;
        for number in numbers {
            alice.append("INBOX", &[], None, text(number).as_bytes())?;
        }
        Ok(())
    };
    append(&server, [1, 2])?;
    let store = server.into_store()?;
    let live = Server::serve(store.copy()?)?;
    let server = Server::serve(store)?;
    append(&server, [3, 4])?;
    Ok((server.into_store()?, live))
}

/// What is said of a source, which is as it was before.
fn run(live: &Store, source: &Path) -> Result<(ToolRun, Vec<(String, String)>)> {
    let before = Tree::read(source)?;
    let run = gapfill(live, &[source.to_owned()], &[])?;
    let changed = before.differences(&Tree::read(source)?);
    ensure!(changed.is_empty(), "{} was changed: {changed:?}", source.display());
    let told = told(&run).into_iter().map(|gap| (gap.0, gap.2)).collect();
    Ok((run, told))
}

fn twice(mailbox: &str, class: &str) -> Vec<(String, String)> {
    vec![(mailbox.to_owned(), class.to_owned()); 2]
}

#[test]
fn every_kind_of_source_is_recognised_and_searched() -> Result<()> {
    const NAME: &str = "every_kind_of_source_is_recognised_and_searched";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = stores(&cyrus)?;
    let directory = rescued.mailbox_dir("user.alice")?;
    let missing = twice("user.alice", "missing");
    let trees = [
        (rescued.path().to_owned(), "a Cyrus store"),
        (rescued.spool(), "a Cyrus store"),
        (directory.clone(), "a mailbox directory"),
    ];
    for (source, kind) in trees {
        let (run, told) = run(&live, &source)?;
        assert!(run.stderr.contains(&format!("is {kind}:")), "{kind}: {}", run.stderr);
        assert_eq!(told, missing, "{kind}: {}", run.stdout);
    }

    let elsewhere = tempfile::tempdir()?;
    let at = |name: &str| elsewhere.path().join(name);
    // Pieces: the directory under a number, and a file of it that fsck found alone.
    fs::create_dir(at("lost+found"))?;
    copy(&directory, &at("lost+found/#77"))?;
    fs::rename(at("lost+found/#77/4."), at("lost+found/#78"))?;
    let (run_on_pieces, told) = run(&live, &at("lost+found"))?;
    assert!(run_on_pieces.stderr.contains("is a lost+found:"), "{}", run_on_pieces.stderr);
    assert_eq!(told, missing, "{}", run_on_pieces.stdout);

    // Without records the header says whose a message is; line ends are those of the file system.
    for folder in ["Maildir/cur", "Maildir/new", "Maildir/tmp", "files/deep"] {
        fs::create_dir_all(at(folder))?;
    }
    for number in 1..=4 {
        let unix = text(number).replace("\r\n", "\n");
        fs::write(at(&format!("Maildir/cur/{number}.host:2,S")), &unix)?;
        fs::write(at(&format!("files/deep/{number}.eml")), text(number))?;
    }
    fs::write(at("files/image.png"), b"\x89PNG\r\n\x1a\n\0\0\0")?;
    for (source, kind) in [("Maildir", "a Maildir"), ("files", "a tree of files")] {
        let (run, told) = run(&live, &at(source))?;
        assert!(run.stderr.contains(&format!("is {kind}:")), "{kind}: {}", run.stderr);
        assert_eq!(told, twice("user.alice.Recovered", "missing"), "{kind}: {}", run.stdout);
        assert_eq!(run.summary()["classes"]["present"]["messages"], 2, "{}", run.stdout);
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("--archive").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp {}", from.display());
    Ok(())
}

#[test]
fn a_store_of_any_version_lacks_nothing_of_itself_and_all_of_a_mailbox_that_is_gone() -> Result<()>
{
    const NAME: &str =
        "a_store_of_any_version_lacks_nothing_of_itself_and_all_of_a_mailbox_that_is_gone";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (_, live) = stores(&cyrus)?;
    let mut versions = 0;
    for name in Fixture::names()? {
        let fixture = Fixture::unpack(&name)?;
        let source: PathBuf = fixture.path();
        let (run, _) = run(&live, &source)?;
        let messages = run.summary()["classes"]["mailbox-gone"]["messages"].as_u64();
        assert!(messages > Some(0), "{name}: {} {}", run.stdout, run.stderr);
        assert!(run.summary()["classes"]["damaged"].is_null(), "{name}: {}", run.stdout);
        versions += 1;
    }
    assert!(versions > 3, "{versions} fixtures");
    Ok(())
}
