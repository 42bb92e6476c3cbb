//! What the process was started with. Libraries do not look; their callers tell them.

use std::time::SystemTime;

use mailstore::identity::AccountHints;

/// What the environment says of the server's account.
#[must_use]
pub fn account_hints() -> AccountHints {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    AccountHints {
        environment_user: variable("CYRUS_USER"),
        environment_group: variable("CYRUS_GROUP"),
    }
}

/// The arguments, without the command's own name.
#[must_use]
pub fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// A name for a run that sorts by time. Another one has it only where it begins in the same second
/// under the same process id: in another container.
#[must_use]
pub fn new_run_name() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), std::process::id())
}
