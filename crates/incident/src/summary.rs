//! What an incident holds, in numbers.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::incident::Incident;
use crate::journal::{RECOVERY_DIRECTORY, path_bytes};

/// What an incident holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Mailboxes that runs said anything of.
    pub mailboxes: u64,
    /// Wanted messages.
    pub wanted: Vec<WantedCount>,
    /// Findings of each mailbox's latest run.
    pub findings: Vec<FindingCount>,
    /// Where files are kept beside the mail.
    pub kept: Vec<KeptFiles>,
}

/// Wanted messages that are wanted for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WantedCount {
    /// The reason, as in [`crate::Why::as_str`].
    pub why: String,
    /// How many are wanted.
    pub wanted: u64,
    /// How many were and have been found.
    pub found: u64,
}

/// Findings of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingCount {
    /// The name of the kind.
    pub code: String,
    /// What became of them.
    pub remedy: String,
    /// How many.
    pub count: u64,
    /// In how many mailboxes.
    pub mailboxes: u64,
}

/// A directory of a run beside the mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptFiles {
    /// The directory: `<partition root>/.mailstore-recovery/<run>`.
    #[serde(with = "path_bytes")]
    pub directory: PathBuf,
    /// Files in it that were not put back.
    pub files: u64,
}

impl Incident {
    /// What the incident holds. Memory does not grow with it, but for the kinds of findings and the
    /// runs.
    pub fn summary(&self) -> Result<Summary, Error> {
        let kept = self.kept_files()?;
        self.database.read(|connection| {
            let count = |query: &str| -> rusqlite::Result<u64> {
                connection.query_row(query, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
            };
            let mut wanted = connection.prepare(
                "SELECT why, count(*) - count(found_at), count(found_at) FROM wanted
                 GROUP BY why ORDER BY why",
            )?;
            let wanted = wanted.query_map([], |row| {
                Ok(WantedCount {
                    why: row.get(0)?,
                    wanted: row.get::<_, i64>(1)?.cast_unsigned(),
                    found: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?;
            // A bare column beside max() is of the row that has the maximum.
            let mut findings = connection.prepare(
                "WITH latest AS (
                     SELECT mailbox, run, max(started) FROM outcomes
                     JOIN runs ON runs.id = run GROUP BY mailbox
                 )
                 SELECT code, remedy, count(*), count(DISTINCT findings.mailbox)
                 FROM latest JOIN findings USING (run, mailbox)
                 GROUP BY code, remedy ORDER BY remedy, code",
            )?;
            let findings = findings.query_map([], |row| {
                Ok(FindingCount {
                    code: row.get(0)?,
                    remedy: row.get(1)?,
                    count: row.get::<_, i64>(2)?.cast_unsigned(),
                    mailboxes: row.get::<_, i64>(3)?.cast_unsigned(),
                })
            })?;
            Ok(Summary {
                runs: count("SELECT count(*) FROM runs")?,
                mailboxes: count("SELECT count(*) FROM mailboxes")?,
                wanted: wanted.collect::<rusqlite::Result<_>>()?,
                findings: findings.collect::<rusqlite::Result<_>>()?,
                kept,
            })
        })
    }

    /// The directories beside the mail in which runs keep files.
    pub(crate) fn kept_files(&self) -> Result<Vec<KeptFiles>, Error> {
        let mut directories = BTreeMap::<PathBuf, u64>::new();
        for recorded in self.quarantined() {
            let recorded = recorded?;
            if recorded.restored.is_some() {
                continue;
            }
            let directory = run_directory(&recorded.file.now);
            let files = directories.entry(directory.to_owned()).or_default();
            *files = files.saturating_add(1);
        }
        let kept = |(directory, files)| KeptFiles { directory, files };
        Ok(directories.into_iter().map(kept).collect())
    }
}

/// The run's directory that a kept file is in; where that is not told, its own.
fn run_directory(kept: &Path) -> &Path {
    let recovery = Component::Normal(RECOVERY_DIRECTORY.as_ref());
    let is_run = |path: &&Path| {
        path.parent().is_some_and(|parent| parent.components().next_back() == Some(recovery))
    };
    kept.ancestors().find(is_run).or(kept.parent()).unwrap_or(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_tells_the_directory_of_its_run() {
        let of = |path| run_directory(Path::new(path)).to_str().unwrap();
        let run = "/spool/.mailstore-recovery/20261121T081404Z-1";
        assert_eq!(
            of("/spool/.mailstore-recovery/20261121T081404Z-1/3x01/before/cyrus.index"),
            run
        );
        assert_eq!(of("/elsewhere/file"), "/elsewhere");
        assert_eq!(of("file"), "");
    }
}
