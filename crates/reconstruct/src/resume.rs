//! Which mailboxes a run has finished, so that one that was interrupted can be resumed.
//!
//! A run that changes nothing and is over soon leaves no trace: the list is kept in memory until a
//! mailbox was repaired or the run has gone on for a while.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::workshop::{RECOVERY_DIRECTORY, Workshop, earlier_runs};

const LIST: &str = "finished";
/// A run shorter than this is as soon done again as resumed.
const WORTH_RESUMING: Duration = Duration::from_secs(10);

/// The finished mailboxes of a run.
#[derive(Debug)]
pub struct Progress {
    root: PathBuf,
    finished_before: HashSet<String>,
    started: Instant,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    keys: Vec<String>,
    kept: bool,
}

impl Progress {
    /// A new run, whose list will be kept at the partition root `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            finished_before: HashSet::new(),
            started: Instant::now(),
            pending: Mutex::default(),
        }
    }

    /// Goes on with the run named `run`. Fails where that run left no list at `root`.
    pub fn resume(root: &Path, run: &str) -> io::Result<Self> {
        if run.is_empty() || run.contains('/') || run.starts_with('.') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let list = std::fs::read_to_string(root.join(RECOVERY_DIRECTORY).join(run).join(LIST))?;
        // The last line may have been cut; its mailbox is done again.
        let whole = list.rfind('\n').and_then(|end| list.get(..end)).unwrap_or_default();
        let finished_before = whole.lines().map(str::to_owned).collect();
        Ok(Self { finished_before, ..Self::new(root) })
    }

    /// The runs that left a list at `root` and so can be gone on with, oldest first.
    #[must_use]
    pub fn resumable(root: &Path) -> Vec<String> {
        let runs = earlier_runs(root).unwrap_or_default().into_iter();
        runs.filter(|run| run.join(LIST).is_file())
            .filter_map(|run| Some(run.file_name()?.to_str()?.to_owned()))
            .collect()
    }

    pub(crate) fn is_done(&self, key: &str) -> bool {
        self.finished_before.contains(key)
    }

    /// Notes that a mailbox is done. A list that cannot be written costs a resumed run time, and
    /// nothing else.
    pub(crate) fn done(&self, workshop: &Workshop, key: &str, wrote: bool) {
        let Ok(mut pending) = self.pending.lock() else { return };
        pending.keys.push(key.to_owned());
        pending.kept |= wrote || self.started.elapsed() > WORTH_RESUMING;
        if pending.kept {
            let lines = pending.keys.join("\n");
            pending.keys.clear();
            let folder = workshop.folder(&self.root, "");
            let _: Result<(), _> = workshop.append_line(&folder, LIST, &lines);
        }
    }

    pub(crate) fn was_kept(&self) -> bool {
        self.pending.lock().is_ok_and(|pending| pending.kept)
    }
}

#[cfg(test)]
mod tests {
    use mailstore::replace::FileOps;

    use super::*;

    #[test]
    fn a_resumed_run_knows_what_was_finished() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(FileOps::new(), "run-1", 0o077);
        let progress = Progress::new(root.path());
        progress.done(&workshop, "sound", false);
        assert!(!progress.was_kept());
        assert!(std::fs::read_dir(root.path()).unwrap().next().is_none(), "nothing is written yet");
        progress.done(&workshop, "repaired", true);
        assert_eq!(Progress::resumable(root.path()), ["run-1"]);
        let resumed = Progress::resume(root.path(), "run-1").unwrap();
        assert!(resumed.is_done("sound") && resumed.is_done("repaired"));
        assert!(!resumed.is_done("other"));
        assert!(Progress::resume(root.path(), "run-2").is_err());
        assert!(Progress::resume(root.path(), "../run-1").is_err());
    }
}
