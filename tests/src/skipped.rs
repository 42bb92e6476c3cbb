//! Tests that could not run say so, loudly, where the summary can count them.

use std::path::{Path, PathBuf};

/// The environment variable that turns a skipped test into a failed one.
const REQUIRE: &str = "MAILSTORE_REQUIRE_CYRUS";

/// The workspace's `target` directory (not `CARGO_TARGET_DIR`, so that all builds share what is
/// fetched).
pub(crate) fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    workspace.expect("this crate lies in a folder of the workspace").join("target")
}

/// Where a skipped test leaves a file: named after the test, holding the reason. `cargo xtask test`
/// empties it before a run and counts its files afterwards.
#[must_use]
pub fn skipped_tests_dir() -> PathBuf {
    target_dir().join("skipped-tests")
}

/// Prints and records that `test` did not run.
///
/// # Panics
/// Where `MAILSTORE_REQUIRE_CYRUS` is set: there, a test that can't run is a failure.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, but {test} can't run: {why}");
    record(test, why);
}

/// Prints and records that `test` did not run because it takes rights that this process lacks.
///
/// # Panics
/// Where this can't be recorded.
pub fn skip_without_privilege(test: &str, why: &str) {
    record(test, why);
}

/// Prints and records that `test` did not run, or not on all it could, because messages are not
/// there that lie outside of the repository.
///
/// # Panics
/// Where this can't be recorded.
pub(crate) fn skip_without_corpus(test: &str, why: &str) {
    record(test, why);
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen in the test's output")]
#[allow(clippy::panic, reason = "this is how a test fails")]
fn record(test: &str, why: &str) {
    eprintln!("SKIPPED: {test}: {why}");
    let directory = skipped_tests_dir();
    let file_name = test.replace(|c: char| !c.is_alphanumeric(), "_");
    if let Err(error) = std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(directory.join(file_name), format!("{why}\n")))
    {
        panic!("{test} is skipped ({why}), and that can't be recorded: {error}");
    }
}
