//! `cargo xtask demo`: two outages before the reader's eyes, and every claim about them checked.

mod indexes;
mod tool;
mod worst_case;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What is damaged how: another number, another crash
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Keep the first store, to look at it afterwards
    #[arg(long)]
    keep: bool,
}

/// Both acts; fails where one does. The second needs a server, and is told to be left out where
/// there is none.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    println!("══ 1. Indexes and caches are gone, no server is needed ══\n");
    let first = indexes::run(arguments.seed, arguments.keep)?;
    println!("\n══ 2. The worst case, beside a server that runs ══\n");
    let second = worst_case::run(arguments.seed)?;
    Ok(if first && second { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
