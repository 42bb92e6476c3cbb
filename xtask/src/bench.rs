//! `cargo xtask bench`: our tools beside Cyrus's own, in one run.

mod mail;
mod measure;
mod population;
mod reconstruct;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Our reconstruct beside Cyrus's: checking everything, checking by size, from nothing
    ///
    /// Every tool runs in turn on one store, with warm caches; the table shows the medians of all
    /// rounds. Ratios can be compared between machines, seconds can't. With the default sizes the
    /// store has about 1.5 GB.
    Reconstruct(reconstruct::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.tool {
        Tool::Reconstruct(arguments) => reconstruct::run(arguments),
    }
}
