//! Programs that may hang.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Runs `command` to its end; `None` where it takes longer than `limit`, and is killed.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<Option<Output>> {
    // Files, for a pipe that nobody reads would make it hang.
    let mut files = [tempfile::tempfile()?, tempfile::tempfile()?];
    let [stdout, stderr] = &files;
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().context("can't run a program")?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let [stdout, stderr] = files.each_mut().map(|file| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map(|_| bytes)
    });
    Ok(Some(Output { status, stdout: stdout?, stderr: stderr? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed_and_one_that_ends_is_heard() -> Result<()> {
        let limit = Duration::from_millis(100);
        assert!(run_within(Command::new("sleep").arg("30"), limit)?.is_none());
        let output = run_within(Command::new("echo").arg("done"), Duration::from_secs(10))?;
        assert_eq!(output.context("it ended")?.stdout, b"done\n");
        Ok(())
    }
}
