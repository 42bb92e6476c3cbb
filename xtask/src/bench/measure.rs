//! What one run of a program costs.

use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use wait4::Wait4 as _;

/// What a run of a program cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) status: ExitStatus,
    pub(crate) wall: Duration,
    /// Processor time, of all cores together.
    pub(crate) cpu: Duration,
    /// The largest resident set, in bytes.
    pub(crate) peak_memory: u64,
}

impl Cost {
    /// Runs a program to its end. What it prints is dropped, but for stderr.
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let program = command.get_program().display().to_string();
        let start = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let used = child.with_context(|| format!("can't run {program}"))?.wait4()?;
        Ok(Self {
            status: used.status,
            wall: start.elapsed(),
            cpu: used.rusage.utime + used.rusage.stime,
            peak_memory: used.rusage.maxrss,
        })
    }
}

/// The middle one of some values; of an even number the lower of both.
pub(crate) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median([5, 1, 9]), Some(5));
        assert_eq!(median([4, 1, 9, 5]), Some(4));
        assert_eq!(median::<u8>([]), None);
    }

    #[test]
    fn a_programs_cost_holds_its_status_and_its_memory() {
        let cost = Cost::of(Command::new("sh").args(["-c", "exit 3"])).unwrap();
        assert_eq!(cost.status.code(), Some(3));
        assert!(cost.peak_memory > 100_000, "{}", cost.peak_memory);
    }
}
