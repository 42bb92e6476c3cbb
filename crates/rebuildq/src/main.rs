//! The `rebuildq` command: reads the command line, calls the library, prints what it says.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    command_line::ended("rebuildq", cli::run(&args))
}
