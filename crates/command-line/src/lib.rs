//! What the commands share at their edge: how they print, tell of progress, and end.
//!
//! Whoever works on a mailbox may hold its locks, and with them up the server's users, while there
//! is something to tell. So nobody but one thread writes: a reader of ours that does not read, as
//! `less` does until the operator scrolls, stops that thread and nobody who holds a lock.

mod console;
mod duration;
mod environment;
mod progress;
mod queue;
mod rate;
mod signals;
mod stores;
pub mod text;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use mailstore::lock::LockWait;

pub use console::Console;
pub use duration::duration_of;
pub use environment::{account_hints, arguments, new_run_name};
pub use rate::{Limit, rate_of};
pub use signals::stop_on_signals;
pub use stores::{ImapEntry, NamedStore, named_store, store_configuration};

/// Ends a command: with its exit status, or with 2 and the error on stderr.
#[must_use]
pub fn ended(tool: &str, outcome: Result<u8>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // Where nobody reads it, the status is all that can be told.
            let _ = writeln!(std::io::stderr(), "{tool}: {}", described(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with its causes in one line; a cause that its error already tells is not repeated.
fn described(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.contains(&cause) {
            told
        } else if told.is_empty() {
            cause
        } else {
            format!("{told}: {cause}")
        }
    })
}

/// What is waited for and who has it.
#[must_use]
pub fn held_by(wait: &LockWait) -> String {
    let holders: Vec<_> = wait.holders.iter().map(ToString::to_string).collect();
    let holders =
        if holders.is_empty() { "another process".to_owned() } else { holders.join(", ") };
    format!("{} is held by {holders}", wait.path.display())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read x").context("x: no such file");
        assert_eq!(described(&error), "x: no such file: cannot read x");
    }
}
