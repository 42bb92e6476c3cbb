//! The connection to the database: how it is opened, and how it is read and written.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::Error;
use crate::schema::{self, Filling};

/// How long another process's transaction is waited for. Each is one mailbox's.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);

/// How much of the database a process keeps in memory, as SQLite wants it: negative KiB. GUIDs come
/// in no order, so what is written and asked for is all over the file.
const CACHE_KIB: i64 = -32 * 1024;

/// One connection, for all threads of a process.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file at `path`, which exists, brings its tables to the newest version and, where
    /// it holds nothing yet and `first` is given, lets that fill them in the same transaction.
    pub(crate) fn open(path: &Path, first: Option<&Filling<'_>>) -> Result<Self, Error> {
        let failed = |error| Error::database(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        schema::migrate(&mut connection, path, first)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the database.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        question(&connection).map_err(|error| Error::database(&self.path, error))
    }

    /// Changes the database in one transaction, which no other writer can come into.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        // A thread that panicked left no transaction behind: dropping one rolls it back.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let in_transaction = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        let changed = in_transaction();
        changed.map_err(|error| Error::database(&self.path, error))
    }

    /// The same, and not even the loss of power takes the change away.
    pub(crate) fn write_durably<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let synchronous = |value: &str| {
            self.read(|connection| connection.pragma_update(None, "synchronous", value))
        };
        synchronous("full")?;
        let changed = self.write(change);
        synchronous("normal")?;
        changed
    }

    /// Whether every page of the database is sound, as SQLite's own check sees it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let answer = self.read(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        })?;
        if answer == "ok" {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let source = rusqlite::Error::SqliteFailure(code, Some(answer));
        Err(Error::Damaged { path: self.path.clone(), source })
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // With a write-ahead log readers do not wait for writers. NORMAL can lose the last transactions
    // with the machine's power, never the database; they are in the journals beside the mail.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| {
        row.get::<_, String>(0).map(drop)
    })?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}
