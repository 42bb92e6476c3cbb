//! Programs that end themselves, or let the disk fail, at a chosen step of
//! [`mailstore::replace::FileOps`].
#![allow(clippy::print_stdout, reason = "such a program prints the steps that it comes to")]

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, bail};
use mailstore::replace::{FileOps, Step};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// Where it ends, by the number of the step.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// Nowhere.
    Never,
    /// Before this step, with SIGKILL.
    Kill(usize),
    /// The same, with the write before it only half done.
    Tear(usize),
    /// Not at all: this step fails, and all goes on as it may.
    Fail(usize, Errno),
}

impl End {
    /// Of `count`, `kill:N`, `tear:N`, `fail:N:EIO`, `fail:N:ENOSPC` or `fail:N:EDQUOT`.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        Ok(match parts.as_slice() {
            ["count"] => Self::Never,
            ["kill", step] => Self::Kill(step.parse()?),
            ["tear", step] => Self::Tear(step.parse()?),
            ["fail", step, "EIO"] => Self::Fail(step.parse()?, Errno::IO),
            ["fail", step, "EDQUOT"] => Self::Fail(step.parse()?, Errno::DQUOT),
            ["fail", step, "ENOSPC"] => Self::Fail(step.parse()?, Errno::NOSPC),
            _ => bail!("no such end: {text}"),
        })
    }
}

/// The right to write up to `end`, which prints each step. Without `exchanges` the file system
/// exchanges no entries.
#[must_use]
pub fn hooked(end: End, exchanges: bool) -> FileOps {
    let steps = Mutex::new(Vec::<Step>::new());
    FileOps::with_hook(move |step| {
        let mut steps = steps.lock().map_err(|error| io::Error::other(error.to_string()))?;
        println!("{step}");
        let number = steps.len();
        match end {
            End::Kill(at) if at == number => die()?,
            End::Tear(at) if at == number => {
                tear(steps.last())?;
                die()?;
            }
            End::Fail(at, errno) if at == number => {
                steps.push(step.clone());
                return Err(errno.into());
            }
            _ => {}
        }
        steps.push(step.clone());
        match step {
            Step::Exchange { .. } if !exchanges => Err(Errno::INVAL.into()),
            _ => Ok(()),
        }
    })
}

/// Leaves only the front half of what the write `step` wrote.
fn tear(step: Option<&Step>) -> io::Result<()> {
    let Some(Step::Write { path, offset, len }) = step else {
        return Err(io::Error::other("the step before is no write"));
    };
    let half = u64::try_from(len / 2).map_err(io::Error::other)?;
    OpenOptions::new().write(true).open(path)?.set_len(offset + half)
}

fn die() -> io::Result<()> {
    io::stdout().flush()?;
    kill_process(getpid(), Signal::KILL)?;
    // The signal is on its way.
    std::thread::sleep(Duration::from_mins(1));
    Err(io::Error::other("outlived SIGKILL"))
}
