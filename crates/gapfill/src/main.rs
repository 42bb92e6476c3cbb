//! The `gapfill` command: reads the command line, calls the library, prints what it says.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match cli::run(&args) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("gapfill: {}", cli::described(&error));
            ExitCode::from(2)
        }
    }
}
