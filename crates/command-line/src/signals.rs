//! Being told to stop by a signal.

use anyhow::{Context as _, Result};
use mailstore::stop::Stop;
use nix::sys::signal::{SigSet, Signal};

/// What whoever starts us knows as "could not run".
const COULD_NOT: i32 = 2;

/// SIGINT and SIGTERM tell the run to stop; a second one ends the process at once, as kill -9 would.
/// To be called while there is one thread: those that are started later leave the signals alone.
pub fn stop_on_signals() -> Result<Stop> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().context("cannot wait for signals")?;
    let stop = Stop::default();
    let asked = stop.clone();
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            asked.ask();
        }
        if signals.wait().is_ok() {
            std::process::exit(COULD_NOT);
        }
    });
    Ok(stop)
}
