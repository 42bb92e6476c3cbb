//! How long the tests may take.

/// The environment variable that asks for more seeds and more points of interruption than the
/// summary of every change can wait for.
const LONG: &str = "MAILSTORE_LONG";

/// Whether tests should try all they can (`MAILSTORE_LONG=1`) instead of a quick selection.
#[must_use]
pub fn long_form() -> bool {
    std::env::var_os(LONG).is_some_and(|value| !value.is_empty() && value != "0")
}
