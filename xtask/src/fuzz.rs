//! `cargo xtask fuzz`: every decoder under the fuzzer, one after the other.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use decoder_checks::{ALL, Check, named};

use crate::cargo::{cargo, workspace};
use crate::table::Table;

/// What libFuzzer prints at its end.
const EXECUTIONS: &str = "stat::number_of_executed_units:";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// For how long each decoder is tried
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this one; all of them where none is named
    target: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let installed = cargo_fuzz(&["--version"]).stdout(Stdio::null()).status();
    ensure!(installed.is_ok_and(|status| status.success()), "run `cargo install cargo-fuzz` first");
    let checks: Vec<&Check> = match &arguments.target {
        None => ALL.iter().collect(),
        Some(name) => vec![named(name).with_context(|| format!("no target is called {name}"))?],
    };
    let mut table = Table::new(&["Target", "Executions", "Finds"]);
    let mut found = false;
    for check in checks {
        eprintln!("xtask: {} for {} minutes", check.name, arguments.minutes);
        let before = finds(check)?;
        let tried = fuzz(check, arguments.minutes)?;
        let new = finds(check)?.saturating_sub(before);
        // A find that is known already is written over the file that it has.
        found |= new > 0 || !tried.held;
        let finds = if new == 0 && !tried.held { "known".into() } else { new.to_string() };
        table.row(vec![check.name.into(), tried.executions.to_string(), finds]);
    }
    print!("{table}");
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// cargo-fuzz, which needs what only nightly compilers admit to.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.arg("fuzz").args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// What came of a target.
struct Tried {
    executions: u64,
    /// Whether the check held to the end.
    held: bool,
}

/// Runs a target. A find ends it early.
fn fuzz(check: &Check, minutes: u64) -> Result<Tried> {
    let folder = Path::new("fuzz");
    let corpus = folder.join("corpus").join(check.name);
    fs::create_dir_all(workspace().join(&corpus))?;
    // No sanitizer: nothing of this is unsafe code, and it takes half of the speed.
    let mut command = cargo_fuzz(&["run", "--sanitizer", "none", check.name]);
    command.arg(&corpus).args(check.seeds().iter().map(|seeds| folder.join(seeds)));
    command.arg("--").arg(format!("-dict=fuzz/dictionaries/{}.dict", check.name));
    command.arg(format!("-max_total_time={}", minutes * 60));
    command.args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    let output = command.stderr(Stdio::piped()).output().context("can't run cargo-fuzz")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let Some(line) = told.lines().find_map(|line| line.strip_prefix(EXECUTIONS)) else {
        bail!("{} could not be run:\n{told}", check.name);
    };
    let held = output.status.success();
    if !held {
        eprintln!("{told}");
    }
    Ok(Tried { executions: line.trim().parse().context("a number of executions")?, held })
}

fn finds(check: &Check) -> Result<usize> {
    let folder = workspace().join("fuzz/artifacts").join(check.name);
    match fs::read_dir(&folder) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
    }
}
