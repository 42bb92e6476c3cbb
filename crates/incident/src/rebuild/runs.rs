//! The directories of runs: `.mailstore-recovery/<run>/`.

use std::ffi::OsStr;
use std::path::Path;

use mailstore::volume::{GuardedDir, Kind, ReadError};
use mailstore_format::Timestamp;

use super::{Rebuilt, for_each_entry};
use crate::error::Error;
use crate::incident::Incident;
use crate::journal::{RUN_FILE, RunLine};
use crate::runs::{RunId, RunStatus};
use crate::sql_values::json_of;
use crate::stores::StoreId;

/// The longest `run.json` that is read.
const RUN_FILE_BYTES: u64 = 1 << 20;
/// How the names of runs begin: when they were begun, in UTC.
const TIME_IN_NAME: &str = "%Y%m%dT%H%M%SZ";

impl Incident {
    pub(super) fn rebuild_runs(
        &self,
        store: StoreId,
        recovery: &GuardedDir,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Error> {
        for_each_entry(recovery, |name, kind| {
            match name.to_str().filter(|name| kind == Kind::Directory && is_harmless(name)) {
                None => rebuilt.foreign = rebuilt.foreign.saturating_add(1),
                Some(run) => match recovery.open_below(Path::new(run)) {
                    Ok(directory) => self.rebuild_run(store, run, &directory, rebuilt)?,
                    Err(error) => rebuilt.add_unreadable(&recovery.path().join(run), &error),
                },
            }
            Ok(())
        })
    }

    fn rebuild_run(
        &self,
        store: StoreId,
        name: &str,
        directory: &GuardedDir,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Error> {
        let begun = read_run_file(directory, rebuilt);
        let known = Some(begun.started).filter(|&started| started != 0).map(Timestamp);
        let started = known.or_else(|| time_in(name)).unwrap_or(directory.meta().mtime);
        let run = self.remember_run(store, name, &begun, started)?;
        rebuilt.runs = rebuilt.runs.saturating_add(1);
        for_each_entry(directory, |key, kind| {
            match key.to_str().filter(|key| kind == Kind::Directory && is_harmless(key)) {
                // Lists of the run itself.
                None if kind == Kind::Regular => {}
                None => rebuilt.foreign = rebuilt.foreign.saturating_add(1),
                Some(key) => match directory.open_below(Path::new(key)) {
                    Ok(folder) => {
                        self.rebuild_folder(store, run, key, &folder, started, rebuilt)?;
                    }
                    Err(error) => rebuilt.add_unreadable(&directory.path().join(key), &error),
                },
            }
            Ok(())
        })
    }

    /// The run's row, made where there is none.
    fn remember_run(
        &self,
        store: StoreId,
        name: &str,
        begun: &RunLine,
        started: Timestamp,
    ) -> Result<RunId, Error> {
        let arguments = json_of(&begun.arguments);
        self.database.write(|transaction| {
            transaction.query_row(
                "INSERT INTO runs (store, name, tool, version, arguments, started, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (store, name) DO UPDATE
                 SET tool = CASE WHEN tool = '' THEN excluded.tool ELSE tool END,
                     version = CASE WHEN tool = '' THEN excluded.version ELSE version END,
                     arguments = CASE WHEN tool = '' THEN excluded.arguments ELSE arguments END
                 RETURNING id",
                (
                    store.0,
                    name,
                    &begun.tool,
                    &begun.version,
                    arguments,
                    started.0,
                    RunStatus::Unknown.as_str(),
                ),
                |row| row.get(0).map(RunId),
            )
        })
    }

    /// Gives runs that are known only from what they left the counts of their mailboxes.
    pub(super) fn count_rebuilt_runs(&self) -> Result<(), Error> {
        self.database.write(|transaction| {
            let update = "WITH touched AS (
                              SELECT run, mailbox FROM outcomes
                              UNION SELECT run, mailbox FROM quarantine
                          )
                          UPDATE runs SET
                          mailboxes = (SELECT count(*) FROM touched WHERE run = runs.id),
                          messages = (SELECT coalesce(sum(messages), 0) FROM outcomes
                                      WHERE run = runs.id),
                          bytes_read = (SELECT coalesce(sum(bytes_read), 0) FROM outcomes
                                        WHERE run = runs.id)
                          WHERE status = ?1";
            transaction.execute(update, [RunStatus::Unknown.as_str()]).map(drop)
        })
    }
}

fn read_run_file(directory: &GuardedDir, rebuilt: &mut Rebuilt) -> RunLine {
    let mut content = Vec::new();
    match directory.read_into(OsStr::new(RUN_FILE), RUN_FILE_BYTES, &mut content) {
        Ok(_) => {}
        Err(ReadError::NotFound) => return RunLine::default(),
        Err(error) => {
            rebuilt.add_unreadable(&directory.path().join(RUN_FILE), &error);
            return RunLine::default();
        }
    }
    serde_json::from_slice(&content).unwrap_or_else(|_| {
        rebuilt.passed_over = rebuilt.passed_over.saturating_add(1);
        RunLine::default()
    })
}

/// When a run began, as far as its name tells.
fn time_in(name: &str) -> Option<Timestamp> {
    let time = name.get(.."20260101T000000Z".len())?;
    let time = jiff::civil::DateTime::strptime(TIME_IN_NAME, time).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

/// Whether a name can be one that tools give: no control characters, no leading dot.
fn is_harmless(name: &str) -> bool {
    !name.starts_with('.') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_run_tells_when_it_began() {
        let time = time_in("20261121T081404Z-32513").unwrap();
        assert_eq!(time, Timestamp::from_seconds(1_795_248_844));
        for other in ["", "yesterday", "20261321T081404Z-1", "2026é121T081404Z-1"] {
            assert_eq!(time_in(other), None, "{other}");
        }
    }
}
