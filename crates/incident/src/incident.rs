//! An incident: its directory, its state, and the way to its tables.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use mailstore_format::Timestamp;
use rusqlite::Transaction;

use crate::database::Database;
use crate::directory;
use crate::error::Error;
use crate::sql_values::{moment, now, timestamp};
use crate::stores::{StoreBinding, bind};

/// The environment variable that names the incident to tools that are not given one.
pub const INCIDENT_VARIABLE: &str = "MAILSTORE_INCIDENT";

/// An open incident. Threads can share it; processes open one each.
#[derive(Debug)]
pub struct Incident {
    directory: PathBuf,
    pub(crate) database: Database,
}

/// What an incident says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Since when there is one.
    pub created: Timestamp,
    /// Since when it is closed, if it is.
    pub closed: Option<Timestamp>,
    /// What the operator noted; may be empty.
    pub note: String,
}

impl Incident {
    /// Makes an incident about `stores` in `directory`, which must be new or empty, and whose
    /// parent must be there. One whose making was interrupted is made to its end.
    pub fn create(directory: &Path, stores: &[StoreBinding], note: &str) -> Result<Self, Error> {
        let database = directory::make(directory)?;
        let made = std::cell::Cell::new(false);
        let database = Database::open(
            &database,
            Some(&|transaction| {
                made.set(true);
                fill(transaction, stores, note)
            }),
        )?;
        if !made.get() {
            return Err(Error::NotEmpty { path: directory.to_owned() });
        }
        Ok(Self::with(database))
    }

    /// Opens the incident in `directory`.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self::with(Database::open(&directory::database_in(directory)?, None)?))
    }

    pub(crate) fn with(database: Database) -> Self {
        let directory = database.path().parent().unwrap_or(Path::new(".")).to_owned();
        Self { directory, database }
    }

    /// Its directory, without links.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory in it for files that belong to the outage, such as a dump made before a
    /// database is rebuilt. It is made if it is not there, and goes with the incident.
    pub fn files(&self) -> Result<PathBuf, Error> {
        let files = self.directory.join(directory::FILES);
        match std::fs::DirBuilder::new().mode(0o700).create(&files) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| Error::io("make", &files, error))?,
        }
        directory::checked(&files)
    }

    /// What it says of itself.
    pub fn about(&self) -> Result<About, Error> {
        self.database.read(|connection| {
            connection.query_row("SELECT created, closed, note FROM incident", [], |row| {
                Ok(About {
                    created: timestamp(row, 0)?,
                    closed: moment(row, 1)?,
                    note: row.get(2)?,
                })
            })
        })
    }

    /// Closes it: no run is begun in it any more; one that is under way still ends. Returns since
    /// when it is closed, which may be earlier.
    pub fn close(&self) -> Result<Timestamp, Error> {
        self.database.write(|transaction| {
            transaction.query_row(
                "UPDATE incident SET closed = coalesce(closed, ?1) RETURNING closed",
                [now().0],
                |row| timestamp(row, 0),
            )
        })
    }
}

/// What a new database holds.
pub(crate) fn fill(
    transaction: &Transaction<'_>,
    stores: &[StoreBinding],
    note: &str,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO incident (id, created, note) VALUES (1, ?1, ?2)";
    transaction.execute(insert, (now().0, note))?;
    stores.iter().try_for_each(|store| bind(transaction, store).map(drop))
}
