//! `cargo xtask test`: every test there is.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use clap::Args;
use mailstore_tests::{Cyrus, skipped_tests_dir};

use crate::cargo::{cargo, workspace};
use crate::fixture::Fixture;

/// The example that rebuilds one mailbox through the public API, and a store to do it on.
const EXAMPLE: &str = "rebuild_one";
const EXAMPLE_STORE: &str = "cyrus-3.6-v17-uuid-conversations";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The long forms of the tests: more seeds, more kills, bigger stores
    #[arg(long)]
    long: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    forget_skipped_tests()?;
    // Once, before a hundred tests would ask for it at the same time.
    match Cyrus::find() {
        Ok(cyrus) => println!("xtask: Cyrus {}", cyrus.version()),
        Err(error) => println!("xtask: no Cyrus, tests that need it are skipped: {error:#}"),
    }
    let mut failed = Vec::new();
    let mut step = |name: &'static str, command: &mut Command| -> Result<()> {
        println!("xtask: {name}");
        if arguments.long {
            command.env("MAILSTORE_LONG", "1");
        }
        let status = command.status().with_context(|| format!("can't run the {name}"))?;
        if !status.success() {
            failed.push(name);
        }
        Ok(())
    };
    step("programs", cargo().args(["build", "--workspace", "--bins"]))?;
    step(
        "examples in the documentation",
        cargo().args(["test", "--quiet", "--workspace", "--doc"]),
    )?;
    let scratch = tempfile::tempdir()?;
    step("example program", &mut example(scratch.path())?)?;
    step("tests", &mut runner())?;

    report_skipped_tests()?;
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("xtask: FAILED: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// nextest where it is installed, which runs tests of all packages at once; else cargo's own.
fn runner() -> Command {
    let mut command = cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    }
    command
}

fn has_nextest() -> bool {
    let mut ask = cargo();
    ask.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}

/// The example, about to rebuild a mailbox whose cache is gone.
fn example(scratch: &Path) -> Result<Command> {
    let fixture = Fixture::unpack(EXAMPLE_STORE, scratch)?;
    let mailbox = fixture.mailbox("user.erin")?;
    fs::remove_file(&mailbox.cache)?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "reconstruct", "--example", EXAMPLE, "--"]);
    command.arg(&mailbox.spool);
    Ok(command)
}

fn forget_skipped_tests() -> Result<()> {
    match fs::remove_dir_all(skipped_tests_dir()) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context("can't empty the directory of skipped tests")
        }
        _ => Ok(()),
    }
}

/// Skipped tests leave a file each, named after the test and holding the reason.
fn report_skipped_tests() -> Result<()> {
    let directory = skipped_tests_dir();
    let mut skipped = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let why = fs::read_to_string(entry.path())?;
            skipped.push(format!("{}: {}", entry.file_name().display(), why.trim_end()));
        }
    }
    skipped.sort();
    for test in &skipped {
        println!("xtask: SKIPPED {test}");
    }
    let shown = directory.strip_prefix(workspace()).unwrap_or(&directory);
    match skipped.len() {
        0 => println!("xtask: 0 tests SKIPPED"),
        count => println!("xtask: {count} tests SKIPPED (see {})", shown.display()),
    }
    Ok(())
}
