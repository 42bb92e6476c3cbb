//! Developer commands, run as `cargo xtask <command>`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands print")]

mod bench;
mod cargo;
mod damage;
mod demo;
mod fixture;
mod fuzz;
mod matrix;
mod oracle;
mod table;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of the recovery toolkit.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show two outages and what comes back: destroyed indexes, and the worst case on a real Cyrus
    ///
    /// The first needs nothing installed but Rust and a C compiler. The second is left out where no
    /// Cyrus 3.6 can be had (as for the tests). Every claim is checked; exits with 1 where one does
    /// not hold.
    Demo(demo::Arguments),
    /// Run all tests of the workspace, those against a real Cyrus included
    ///
    /// On Debian the server's packages are fetched and unpacked under target/servers/; nothing is
    /// installed. Elsewhere `CYRUS_BIN` may name the directory of an installed Cyrus 3.6; without one,
    /// the tests that need it are skipped and counted.
    Test(test::Arguments),
    /// Measure a tool side by side with Cyrus's own
    Bench(bench::Arguments),
    /// Damage a store as an outage would; the same seed does the same
    Damage(damage::Arguments),
    /// Inflict every kind of damage on stores of a real Cyrus and score what our tool and Cyrus's
    /// own bring back
    ///
    /// Exits with 1 where our tool left anything lost for which there was evidence.
    Matrix(matrix::Arguments),
    /// Have Cyrus and our tool rebuild the same messages, and compare their records byte for byte
    ///
    /// Every message lies in the spool of a private Cyrus as it is, NULs and all. Prints each message
    /// whose records differ with both values of the first field that does, how many records differ
    /// in each field, of how many; then how many records Cyrus's reconstruct -G rewrites on a copy of
    /// either rebuild. Exits with 1 where any record differs.
    Oracle(oracle::Arguments),
    /// Try to break the decoders: coverage-guided, from the seeds on, one after the other
    ///
    /// Needs cargo-fuzz and a C++ compiler. A find is kept under fuzz/artifacts/, where the tests
    /// replay it from then on; exits with 1 where there was one.
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Damage(arguments) => damage::run(&arguments),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Oracle(arguments) => oracle::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::from(2)
    })
}
