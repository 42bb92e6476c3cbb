//! What was run: each command, on which store, with what result, and how fast.

use mailstore_format::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction};

use crate::error::Error;
use crate::incident::Incident;
use crate::pages::Pages;
use crate::sql_values::{json_of, moment, now, signed, texts, timestamp, unsigned};
use crate::stores::StoreId;

/// A run of this incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(crate) i64);

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// Its name, which no other run on the store has.
    pub name: String,
    /// The command, such as `reconstruct`.
    pub tool: String,
    /// The command's version.
    pub version: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// When it began.
    pub started: Timestamp,
}

impl RunStart {
    /// That of a run which begins now.
    #[must_use]
    pub fn now(name: String, tool: &str, version: &str, arguments: Vec<String>) -> Self {
        let (tool, version) = (tool.to_owned(), version.to_owned());
        Self { name, tool, version, arguments, started: now() }
    }
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunEnd {
    /// Whether it came to its end.
    pub status: RunStatus,
    /// Mailboxes of the run.
    pub mailboxes: u64,
    /// Messages in them, of those that were worked on.
    pub messages: u64,
    /// Bytes of messages that were read.
    pub bytes_read: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It goes on, or it was killed.
    Running,
    /// It ended.
    Finished,
    /// It ended with an error, or some of its mailboxes did.
    Failed,
    /// It is known only from what it left beside the mail.
    Unknown,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id in this incident.
    pub id: RunId,
    /// The store.
    pub store: StoreId,
    /// How it began. Of a run known only from what it left, tool and version are empty.
    pub start: RunStart,
    /// How it ended, or how far it has come.
    pub end: RunEnd,
    /// When it ended; none where it did not, or nobody knows.
    pub ended: Option<Timestamp>,
    /// When it was undone, if it was.
    pub undone: Option<Timestamp>,
}

/// How fast a tool was on this incident's disks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Messages a second.
    pub messages_per_second: f64,
    /// Bytes read a second.
    pub bytes_per_second: f64,
    /// Over how many runs it was measured.
    pub runs: u32,
}

impl RunStatus {
    const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Failed, Self::Unknown];

    /// Its name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl Incident {
    /// Notes that a run begins. One of the same name on the same store goes on: what it has counted
    /// stays. A closed incident begins none.
    pub fn begin_run(&self, store: StoreId, start: &RunStart) -> Result<RunId, Error> {
        if self.about()?.closed.is_some() {
            return Err(Error::Closed { path: self.directory().to_owned() });
        }
        self.database.write(|transaction| {
            transaction.query_row(
                "INSERT INTO runs (store, name, tool, version, arguments, started, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running')
                 ON CONFLICT (store, name) DO UPDATE
                 SET tool = excluded.tool, version = excluded.version, ended = NULL,
                     status = 'running'
                 RETURNING id",
                (
                    store.0,
                    &start.name,
                    &start.tool,
                    &start.version,
                    json_of(&start.arguments),
                    start.started.0,
                ),
                |row| row.get(0).map(RunId),
            )
        })
    }

    /// Notes that a run ended. Messages, bytes and seconds add to what it had counted before it
    /// was gone on with.
    pub fn end_run(&self, run: RunId, end: &RunEnd) -> Result<(), Error> {
        let changed = self.database.write(|transaction| {
            transaction.execute(
                "UPDATE runs SET ended = ?2, status = ?3, mailboxes = ?4, messages = messages + ?5,
                 bytes_read = bytes_read + ?6, seconds = seconds + ?7 WHERE id = ?1",
                (
                    run.0,
                    now().0,
                    end.status.as_str(),
                    signed(end.mailboxes),
                    signed(end.messages),
                    signed(end.bytes_read),
                    end.seconds,
                ),
            )
        })?;
        self.require_run(changed, run)
    }

    /// Notes that all a run did was undone.
    pub fn run_undone(&self, run: RunId) -> Result<(), Error> {
        let changed = self.database.write(|transaction| run_undone(transaction, run, now()))?;
        self.require_run(changed, run)
    }

    /// The run of this name on `store`, if there is one.
    pub fn run_named(&self, store: StoreId, name: &str) -> Result<Option<Run>, Error> {
        self.database.read(|connection| {
            let query = format!("SELECT {COLUMNS} FROM runs WHERE store = ?1 AND name = ?2");
            connection.query_row(&query, (store.0, name), run).optional()
        })
    }

    /// The runs, in the order in which they came into the database.
    #[must_use]
    pub fn runs(&self) -> Pages<'_, i64, Run> {
        Pages::new(&self.database, |connection, after, limit| {
            let query = format!("SELECT {COLUMNS} FROM runs WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut query = connection.prepare_cached(&query)?;
            let rows = query.query_map((after, limit), |row| {
                let run = run(row)?;
                Ok((run.id.0, run))
            })?;
            rows.collect()
        })
    }

    /// How fast `tool` was in its latest finished runs, at most `runs` of them, taken together: a
    /// long run says more than a short one. `None` where it
    /// has not finished any that read messages.
    pub fn measured_rate(&self, tool: &str, runs: u32) -> Result<Option<Rate>, Error> {
        self.database.read(|connection| {
            connection.query_row(
                "SELECT total(messages), total(bytes_read), total(seconds), count(*) FROM
                 (SELECT * FROM runs WHERE tool = ?1 AND status = 'finished' AND seconds > 0
                  AND messages > 0
                  ORDER BY started DESC, id DESC LIMIT ?2)",
                (tool, runs),
                |row| {
                    let seconds: f64 = row.get(2)?;
                    let (messages, bytes): (f64, f64) = (row.get(0)?, row.get(1)?);
                    let rate = Rate {
                        messages_per_second: messages / seconds,
                        bytes_per_second: bytes / seconds,
                        runs: row.get(3)?,
                    };
                    Ok((seconds > 0.0).then_some(rate))
                },
            )
        })
    }

    fn require_run(&self, changed: usize, run: RunId) -> Result<(), Error> {
        if changed > 0 {
            return Ok(());
        }
        Err(Error::Unknown { path: self.database.path().to_owned(), what: "run", id: run.0 })
    }
}

pub(crate) fn run_undone(
    transaction: &Transaction<'_>,
    run: RunId,
    at: Timestamp,
) -> rusqlite::Result<usize> {
    let parameters = (run.0, at.0);
    transaction
        .execute("UPDATE outcomes SET undone = coalesce(undone, ?2) WHERE run = ?1", parameters)?;
    transaction.execute(
        "UPDATE quarantine SET restored = coalesce(restored, ?2) WHERE run = ?1",
        parameters,
    )?;
    transaction.execute("UPDATE runs SET undone = coalesce(undone, ?2) WHERE id = ?1", parameters)
}

const COLUMNS: &str = "id, store, name, tool, version, arguments, started, ended, status, \
                       mailboxes, messages, bytes_read, seconds, undone";

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: RunId(row.get(0)?),
        store: StoreId(row.get(1)?),
        start: RunStart {
            name: row.get(2)?,
            tool: row.get(3)?,
            version: row.get(4)?,
            arguments: texts(row, 5)?,
            started: timestamp(row, 6)?,
        },
        ended: moment(row, 7)?,
        end: RunEnd {
            status: RunStatus::named(&row.get::<_, String>(8)?),
            mailboxes: unsigned(row, 9)?,
            messages: unsigned(row, 10)?,
            bytes_read: unsigned(row, 11)?,
            seconds: row.get(12)?,
        },
        undone: moment(row, 13)?,
    })
}
