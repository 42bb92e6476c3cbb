//! The tables, and how those of an earlier release become today's.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::Error;

/// The n-th brings a database from version n-1 to version n. What was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
];

/// What tells our databases from others (`PRAGMA application_id`): "MSRI".
const APPLICATION: i32 = 0x4D53_5249;

/// What fills a new database.
pub(crate) type Filling<'a> = dyn Fn(&Transaction<'_>) -> rusqlite::Result<()> + 'a;

/// Brings the tables to the newest version. A database without any is filled by `first`, in the
/// same transaction; without that it is none of ours.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    first: Option<&Filling<'_>>,
) -> Result<(), Error> {
    let failed = |error| Error::database(path, error);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version(connection).map_err(failed)? == known {
        return require_ours(connection, path);
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again: another process may have been faster.
    let found = version(&transaction).map_err(failed)?;
    if found > known {
        require_ours(&transaction, path)?;
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    if found == 0 {
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = transaction.query_row(tables, [], |row| row.get(0)).map_err(failed)?;
        if tables > 0 || first.is_none() {
            return Err(Error::NotAnIncident { path: path.to_owned() });
        }
    } else {
        require_ours(&transaction, path)?;
    }
    let done = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    if found == 0
        && let Some(first) = first
    {
        first(&transaction).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn require_ours(connection: &Connection, path: &Path) -> Result<(), Error> {
    let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    match id {
        Ok(APPLICATION) => Ok(()),
        Ok(_) => Err(Error::NotAnIncident { path: path.to_owned() }),
        Err(error) => Err(Error::database(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "incident.sqlite";

    fn migrated(connection: &mut Connection) -> Result<(), Error> {
        migrate(connection, Path::new(PATH), Some(&|_| Ok(())))
    }

    #[test]
    fn an_empty_database_gets_all_tables_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrated(&mut connection).unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        let count = |connection: &Connection| -> i64 {
            connection.query_row(tables, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&connection), 26);
        assert_eq!(version(&connection).unwrap(), 7);
        migrated(&mut connection).unwrap();
        assert_eq!(count(&connection), 26);
    }

    #[test]
    fn a_database_of_the_first_release_gets_the_later_tables() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        migrate(&mut connection, Path::new(PATH), None).unwrap();
        assert_eq!(version(&connection).unwrap(), 7);
        for table in ["gaps", "deliveries", "seen_numbers", "appends", "withdrawals", "jobs"] {
            let count = format!("SELECT count(*) FROM {table}");
            let rows = connection.query_row(&count, [], |row| row.get(0));
            assert_eq!(rows, Ok(0_i64));
        }
        let open = "SELECT count(*) FROM gaps WHERE closed_at IS NULL";
        assert_eq!(connection.query_row(open, [], |row| row.get(0)), Ok(0_i64));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let failing = |_: &Transaction<'_>| Err(rusqlite::Error::InvalidQuery);
        assert!(migrate(&mut connection, Path::new(PATH), Some(&failing)).is_err());
        assert_eq!(version(&connection).unwrap(), 0);
        migrated(&mut connection).unwrap();
    }

    #[test]
    fn a_database_of_a_newer_release_is_refused_in_clear_words() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrated(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 8).unwrap();
        let error = migrated(&mut connection).unwrap_err();
        assert!(matches!(error, Error::Newer { found: 8, known: 7, .. }));
        let text = "incident.sqlite has tables of version 8, and this program knows versions up to \
                    7: use a program of the newer release";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_database_of_something_else_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
        assert!(matches!(migrated(&mut connection), Err(Error::NotAnIncident { .. })));
        connection.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(migrated(&mut connection), Err(Error::NotAnIncident { .. })));
    }
}
