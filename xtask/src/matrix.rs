//! `cargo xtask matrix`: every kind of damage, repaired by our `reconstruct` and by Cyrus's own,
//! scored by what a real server shows before and after.

mod case;
mod report;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use mailstore_tests::Cyrus;
use mailstore_tests::damage::{Kind, RANDOM, Specimen};

use crate::cargo::workspace;
use case::Outcome;
use report::Row;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many damages of each kind; every other one on a store with conversations
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Only this kind (cargo xtask damage --list), or those whose names begin so; repeatable
    #[arg(long)]
    kind: Vec<String>,
    /// Leave Cyrus's own reconstruct out
    #[arg(long)]
    ours_only: bool,
    /// Tell everything that is not as it should be
    #[arg(short, long)]
    verbose: bool,
    /// Write docs/matrix.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cyrus = Cyrus::find()?;
    let all = Kind::all();
    let names = all.iter().map(|kind| kind.name).chain([RANDOM]);
    let wanted = |name: &&str| {
        let chosen = &arguments.kind;
        chosen.is_empty() || chosen.iter().any(|start| name.starts_with(start.as_str()))
    };
    let mut rows: Vec<Row> = names.filter(wanted).map(Row::new).collect();
    for seed in arguments.first_seed..arguments.first_seed + arguments.seeds {
        let conversations = seed.is_multiple_of(2);
        let specimen = Specimen::made(&cyrus, conversations, seed).context("making a store")?;
        for row in &mut rows {
            let told = format!("{} with seed {seed}", row.kind);
            let outcome = Outcome::of(&specimen, row.kind, seed, !arguments.ours_only);
            let outcome = outcome.with_context(|| told.clone())?;
            eprintln!("xtask: {told}: {}", outcome.summary());
            if arguments.verbose {
                outcome.remarks().iter().for_each(|remark| eprintln!("    {remark}"));
            }
            row.add(&outcome);
        }
    }
    println!("{}", report::table(&rows));
    if arguments.write {
        let path = workspace().join("docs/matrix.md");
        fs::write(&path, report::page(&rows, arguments.seeds))?;
        println!("written to {}", path.display());
    }
    let full = rows.iter().all(Row::is_full);
    Ok(if full { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
