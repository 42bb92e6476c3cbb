//! How the time of the decoders grows with input that was made to be expensive.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cargo::cargo;

/// Runs the tests that count what such input costs, one after the other, so that they tell what time
/// each took. They assert nothing of that: a machine can be busy.
pub(super) fn run() -> Result<ExitCode> {
    let mut tests = cargo();
    tests.args(["test", "--release", "--package", "decoder-checks", "--test", "bombs"]);
    tests.args([
        "--",
        "--nocapture",
        "--test-threads",
        "1",
        "cost_in_proportion",
        "costs_in_proportion",
    ]);
    let status = tests.status().context("can't run cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
