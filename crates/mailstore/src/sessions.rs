//! Who has a mailbox open: the server's own list of its processes, and how it ends one.
//!
//! Each of the server's processes keeps a file named by its process id, with one line: service,
//! client, user, selected mailbox, command, separated by tabs (`imap/proc.c`, `proc_register`). When
//! the server renames or deletes a mailbox it sends SIGTERM to those who have it selected
//! (`proc_killmbox`): they take leave of their client, which connects anew.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::config::ImapdConf;
use crate::name::InternalName;

/// A longer entry is none of the server's.
const LONGEST_ENTRY: u64 = 16 * 1024;
/// The daemons that let a client select a mailbox. A process id may be another program's by now.
const DAEMONS: [&str; 4] = ["imapd", "pop3d", "httpd", "nntpd"];

/// A process of the server that has a mailbox selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The process.
    pub pid: i32,
    /// What it serves, as `imap`.
    pub service: String,
    /// Whom.
    pub user: String,
}

impl Session {
    /// The sessions in which `mailbox` is selected. One that selects it just now may be missing.
    #[must_use]
    pub fn with_selected(conf: &ImapdConf, mailbox: &InternalName) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(conf.proc_directory()) else { return Vec::new() };
        let sessions = entries.flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Self::of(pid, &entry.path(), mailbox)
        });
        sessions.collect()
    }

    fn of(pid: i32, entry: &Path, mailbox: &InternalName) -> Option<Self> {
        let meta = entry.symlink_metadata().ok()?;
        if !meta.is_file() || meta.len() > LONGEST_ENTRY {
            return None;
        }
        let line = fs::read(entry).ok()?;
        let mut fields = line.split(|byte| matches!(byte, b'\t' | b'\r' | b'\n'));
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let (service, _client, user) = (text(fields.next()?), fields.next()?, text(fields.next()?));
        let selected = fields.next()?;
        (selected == mailbox.as_bytes()).then_some(Self { pid, service, user })
    }

    /// Ends it as the server does. One that has ended meanwhile, or whose process id is another
    /// program's by now, is passed over; tells whether it was there.
    pub fn end(&self) -> io::Result<bool> {
        if !self.is_daemon() {
            return Ok(false);
        }
        match kill(Pid::from_raw(self.pid), Signal::SIGTERM) {
            Ok(()) => Ok(true),
            Err(nix::errno::Errno::ESRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn is_daemon(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let process = Path::new("/proc").join(self.pid.to_string());
        let is_ours =
            || process.metadata().is_ok_and(|process| process.uid() == geteuid().as_raw());
        let program = fs::read_to_string(process.join("comm")).unwrap_or_default();
        self.pid > 1 && DAEMONS.contains(&program.trim()) && is_ours()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(directory: &Path) -> ImapdConf {
        let path = directory.join("imapd.conf");
        let text = format!("configdirectory: {0}\npartition-default: {0}\n", directory.display());
        fs::write(&path, text).unwrap();
        ImapdConf::load(&path).unwrap()
    }

    #[test]
    fn only_the_sessions_of_the_mailbox_are_found_and_garbage_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let conf = conf(directory.path());
        let mailbox = InternalName::new(b"user.alice.Sent Mail".as_slice());
        assert_eq!(Session::with_selected(&conf, &mailbox), []);
        let proc = directory.path().join("proc");
        fs::create_dir(&proc).unwrap();
        let entries = [
            ("101", "imap\thost [::1]\talice\tuser.alice.Sent Mail\tIdle\n"),
            ("102", "imap\thost\tbob\tuser.alice\t\n"),
            ("103", "lmtp\n"),
            ("104.new", "imap\thost\tcarol\tuser.alice.Sent Mail\tSelect\n"),
            ("x", "imap\thost\tdan\tuser.alice.Sent Mail\t\n"),
        ];
        for (name, line) in entries {
            fs::write(proc.join(name), line).unwrap();
        }
        fs::create_dir(proc.join("105")).unwrap();
        let found = Session { pid: 101, service: "imap".to_owned(), user: "alice".to_owned() };
        assert_eq!(Session::with_selected(&conf, &mailbox), [found]);
    }

    #[test]
    fn a_process_that_is_no_daemon_of_the_server_is_never_ended() {
        let session = |pid| Session { pid, service: "imap".to_owned(), user: String::new() };
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!session(own).end().unwrap());
        assert!(!session(1).end().unwrap() && !session(-1).end().unwrap());
    }
}
