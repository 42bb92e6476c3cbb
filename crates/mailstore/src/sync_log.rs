//! The log in which the server tells its replication and its search indexer what changed.
//!
//! A line names a mailbox (`imap/sync_log.c`, `sync_log_base`): `MAILBOX user.alice.Sent`. The
//! readers rename the file away while writers wait for its lock, so that what was locked must still
//! be what the path names; [`crate::lock`] sees to that.

use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::lock::{self, LockError};
use crate::name::InternalName;

/// Why the log was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncLogError {
    /// A channel is a directory's name under `sync/`.
    #[error("{0:?} is no name of a sync log channel")]
    Channel(String),
    /// The name could not stand in a line of the log.
    #[error("{} cannot be written to a sync log", name.to_string().escape_debug())]
    Name {
        /// The mailbox's name.
        name: InternalName,
    },
    /// The log is locked by somebody else or cannot be opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The line could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One channel of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLog {
    path: PathBuf,
}

impl SyncLog {
    /// The log of `channel` below the server's configuration directory; the empty channel is the
    /// one that has no name.
    pub fn of(config_directory: &Path, channel: &str) -> Result<Self, SyncLogError> {
        let is_name = |text: &str| !text.starts_with('.') && !text.contains(['/', '\0', ' ']);
        if !is_name(channel) {
            return Err(SyncLogError::Channel(channel.to_owned()));
        }
        Ok(Self { path: config_directory.join("sync").join(channel).join("log") })
    }

    /// Tells the channel's reader that the mailbox changed. Durable when it returns.
    pub fn tell(&self, mailbox: &InternalName, timeout: Duration) -> Result<(), SyncLogError> {
        let line = line_for(mailbox)?;
        let locked = lock::exclusive_file(&self.path, timeout, &mut |_| {})?;
        let mut file = locked.file();
        let written = file
            .seek(SeekFrom::End(0))
            .and_then(|_| file.write_all(&line))
            .and_then(|()| file.sync_data());
        written.map_err(|source| SyncLogError::Io { path: self.path.clone(), source })
    }
}

/// The line as the server writes it: the name quoted where it is no plain word
/// (`sync_quote_name`).
fn line_for(mailbox: &InternalName) -> Result<Vec<u8>, SyncLogError> {
    let name = mailbox.as_bytes();
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(SyncLogError::Name { name: mailbox.clone() });
    }
    let mut line = b"MAILBOX ".to_vec();
    if name.iter().any(|byte| b" \t()\\\"{}".contains(byte)) {
        line.push(b'"');
        for &byte in name {
            if b"\\\"{}".contains(&byte) {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(name);
    }
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn tell(log: &SyncLog, mailbox: &[u8]) {
        log.tell(&InternalName::new(mailbox), PATIENCE).unwrap();
    }

    #[test]
    fn lines_are_appended_to_the_channels_log() {
        let directory = tempfile::tempdir().unwrap();
        let unnamed = SyncLog::of(directory.path(), "").unwrap();
        tell(&unnamed, b"user.alice");
        tell(&unnamed, b"user.alice.Sent (2)");
        tell(&SyncLog::of(directory.path(), "squatter").unwrap(), b"user.\"x\"");
        let read = |path: &str| fs::read_to_string(directory.path().join(path)).unwrap();
        assert_eq!(read("sync/log"), "MAILBOX user.alice\nMAILBOX \"user.alice.Sent (2)\"\n");
        assert_eq!(read("sync/squatter/log"), "MAILBOX \"user.\\\"x\\\"\"\n");
    }

    #[test]
    fn a_log_that_its_reader_took_away_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let log = SyncLog::of(directory.path(), "").unwrap();
        tell(&log, b"user.alice");
        let (path, taken) = (directory.path().join("sync/log"), directory.path().join("taken"));
        fs::rename(&path, &taken).unwrap();
        tell(&log, b"user.bob");
        assert_eq!(fs::read_to_string(path).unwrap(), "MAILBOX user.bob\n");
        assert_eq!(fs::read_to_string(taken).unwrap(), "MAILBOX user.alice\n");
    }

    #[test]
    fn names_that_would_forge_lines_and_channels_elsewhere_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for channel in ["..", "a/b", ".hidden"] {
            assert!(SyncLog::of(directory.path(), channel).is_err(), "{channel}");
        }
        let log = SyncLog::of(directory.path(), "").unwrap();
        let forged = InternalName::new(b"user.a\nUSER bob");
        assert!(log.tell(&forged, PATIENCE).is_err());
        assert!(!directory.path().join("sync").exists());
    }
}
