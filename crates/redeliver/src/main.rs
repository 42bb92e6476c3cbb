//! The `redeliver` command: reads the command line, calls the library, prints what it says.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    command_line::ended("redeliver", cli::run(&args))
}
