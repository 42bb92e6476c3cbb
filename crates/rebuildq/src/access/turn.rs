//! Taking turns about a job, across processes: a lock on a byte of one file, of the job's own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use incident::queue::JobId;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::AccessError;

/// The file with a byte for each job.
#[derive(Debug)]
pub(super) struct Turns {
    path: PathBuf,
}

/// The turn of one job, until it is dropped and every program that got it has ended.
#[derive(Debug)]
pub(super) struct Turn {
    file: File,
}

impl Turns {
    /// The file is made where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, AccessError> {
        let turns = Self { path: path.to_owned() };
        turns.file()?;
        Ok(turns)
    }

    /// Waits for the turn of a job.
    pub(super) fn of(&self, job: JobId) -> Result<Turn, AccessError> {
        self.of_byte(job.number())
    }

    /// The same, or that of all who have no job.
    pub(super) fn of_any(&self, job: Option<JobId>) -> Result<Turn, AccessError> {
        self.of_byte(job.map_or(0, JobId::number))
    }

    fn of_byte(&self, byte: i64) -> Result<Turn, AccessError> {
        // Opened each time: locks of one open file do not conflict with one another.
        let file = self.file()?;
        let lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).expect("lock types are 0, 1 and 2"),
            l_whence: 0,
            l_start: byte,
            l_len: 1,
            l_pid: 0,
        };
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&lock)) {
                Ok(_) => return Ok(Turn { file }),
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(self.failed(errno.into())),
            }
        }
    }

    fn file(&self) -> Result<File, AccessError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&self.path);
        opened.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> AccessError {
        AccessError::Turn { path: self.path.clone(), source }
    }
}

impl Turn {
    /// A descriptor for another program, which keeps the turn for as long as that lives.
    pub(super) fn held_by_another(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_lasts_as_long_as_the_program_that_got_it() {
        let directory = tempfile::tempdir().unwrap();
        let turns = Turns::open(&directory.path().join("turns")).unwrap();
        let turn = turns.of_byte(7).unwrap();
        let held = turn.held_by_another().unwrap();
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::from(held)).spawn().unwrap();
        drop(turn);
        let (told, next) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| told.send(turns.of_byte(7).map(drop)).unwrap());
            turns.of_byte(8).unwrap();
            assert!(next.recv_timeout(Duration::from_millis(200)).is_err(), "the child holds it");
            child.kill().unwrap();
            child.wait().unwrap();
            next.recv().unwrap().unwrap();
        });
    }
}
