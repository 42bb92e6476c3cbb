//! The stores an incident is about.

use std::path::{Path, PathBuf};

use mailstore::config::ImapdConf;
use mailstore_format::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::error::Error;
use crate::incident::Incident;
use crate::sql_values::{now, path, stored_path, timestamp};

/// A store of this incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub(crate) i64);

/// What makes a store the one that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreBinding {
    /// Its `configdirectory`, without links: this is its identity.
    pub config_directory: PathBuf,
    /// The configuration it was named by.
    pub imapd_conf: PathBuf,
}

/// A store that an incident is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundStore {
    /// Its id in this incident.
    pub id: StoreId,
    /// What it is.
    pub binding: StoreBinding,
    /// Since when it is part of the incident.
    pub bound: Timestamp,
}

impl StoreBinding {
    /// The store that `conf` describes. Fails where its `configdirectory` is not there.
    pub fn of(conf: &ImapdConf) -> Result<Self, Error> {
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| Error::io("find the real path of", path, error))
        };
        let config_directory = real(conf.config_directory())?;
        Ok(Self { config_directory, imapd_conf: real(conf.path())? })
    }
}

impl Incident {
    /// The stores, in the order in which they were named.
    pub fn stores(&self) -> Result<Vec<BoundStore>, Error> {
        self.database.read(|connection| {
            let query = "SELECT id, config_directory, imapd_conf, bound FROM stores ORDER BY id";
            let mut query = connection.prepare(query)?;
            let stores = query.query_map([], |row| {
                let binding =
                    StoreBinding { config_directory: path(row, 1)?, imapd_conf: path(row, 2)? };
                Ok(BoundStore { id: StoreId(row.get(0)?), binding, bound: timestamp(row, 3)? })
            })?;
            stores.collect()
        })
    }

    /// The id of a store; an error where the incident is not about it.
    pub fn store(&self, binding: &StoreBinding) -> Result<StoreId, Error> {
        let found = self.database.read(|connection| find(connection, binding))?;
        found.ok_or_else(|| Error::OtherStore {
            path: self.directory().to_owned(),
            config_directory: binding.config_directory.clone(),
        })
    }

    /// Makes the incident be about this store too, if it is not yet.
    pub fn bind(&self, binding: &StoreBinding) -> Result<StoreId, Error> {
        self.database.write(|transaction| bind(transaction, binding))
    }
}

fn find(connection: &Connection, binding: &StoreBinding) -> rusqlite::Result<Option<StoreId>> {
    let directory = stored_path(&binding.config_directory);
    let query = "SELECT id FROM stores WHERE config_directory = ?1";
    connection.query_row(query, [directory], |row| row.get(0).map(StoreId)).optional()
}

pub(crate) fn bind(
    transaction: &Transaction<'_>,
    binding: &StoreBinding,
) -> rusqlite::Result<StoreId> {
    let (directory, conf) =
        (stored_path(&binding.config_directory), stored_path(&binding.imapd_conf));
    transaction.query_row(
        "INSERT INTO stores (config_directory, imapd_conf, bound) VALUES (?1, ?2, ?3)
         ON CONFLICT (config_directory) DO UPDATE SET imapd_conf = excluded.imapd_conf
         RETURNING id",
        (directory, conf, now().0),
        |row| row.get(0).map(StoreId),
    )
}
