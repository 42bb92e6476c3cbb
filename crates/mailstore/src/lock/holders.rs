//! Who holds a lock that is waited for, so that an operator knows whom to ask.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, as in `/proc/<pid>/comm`; empty where it is gone or hidden.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.command.is_empty() {
            write!(f, "process {}", self.pid)
        } else {
            write!(f, "{} (process {})", self.command, self.pid)
        }
    }
}

/// For a message: `imapd (process 12), pop3d (process 13)`.
pub(super) fn list(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a process that cannot be seen from here".to_owned();
    }
    holders.iter().map(Holder::to_string).collect::<Vec<_>>().join(", ")
}

/// Everyone whose lock on `file` stands against `request`, as far as it can be seen.
///
/// `/proc/locks` lists all holders of locks that processes own. Locks of open file descriptions
/// have no owner there; they are found through the descriptors of each process. Where neither
/// gives anything (hidden processes, a device number that differs, as on overlay file systems) the
/// kernel still names one.
pub(super) fn of(file: &File, request: &libc::flock) -> Vec<Holder> {
    let Ok(metadata) = file.metadata() else { return Vec::new() };
    let inode = format!(":{}", metadata.ino());
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let id = format!("{major:02x}:{minor:02x}{inode}");
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let entries: Vec<Entry> = table.lines().filter_map(Entry::parse).collect();
    let mut pids: Vec<u32> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.id == id && entry.stands_against(request)) {
        match u32::try_from(entry.pid) {
            Ok(pid) => pids.push(pid),
            Err(_) => pids.extend(processes_with_lock(&id)),
        }
    }
    if pids.is_empty() {
        pids.extend(named_by_kernel(file, request));
    }
    pids.sort_unstable();
    pids.dedup();
    let command = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.into_iter()
        .map(|pid| Holder { pid, command: command(pid).trim_end().to_owned() })
        .collect()
}

/// A line of `/proc/locks` that is a lock held, not one waited for:
/// `3: POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`.
struct Entry<'a> {
    exclusive: bool,
    pid: i64,
    id: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        if !matches!(words.next()?, "POSIX" | "OFDLCK") {
            return None;
        }
        let exclusive = words.nth(1)? == "WRITE";
        Some(Self { exclusive, pid: words.next()?.parse().ok()?, id: words.next()? })
    }

    fn stands_against(&self, request: &libc::flock) -> bool {
        self.exclusive || libc::c_int::from(request.l_type) == libc::F_WRLCK
    }
}

/// Processes one of whose descriptors carries an open-file-description lock on the file.
fn processes_with_lock(id: &str) -> Vec<u32> {
    let carries = |pid: &u32| {
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
            return false;
        };
        descriptors.flatten().any(|descriptor| {
            let info = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
            info.lines()
                .filter_map(|line| line.strip_prefix("lock:"))
                .any(|lock| Entry::parse(lock.trim_start()).is_some_and(|entry| entry.id == id))
        })
    };
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(carries).collect()
}

fn named_by_kernel(file: &File, request: &libc::flock) -> Option<u32> {
    let mut question = *request;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut question)).ok()?;
    if libc::c_int::from(question.l_type) == libc::F_UNLCK {
        return None;
    }
    u32::try_from(question.l_pid).ok()
}
