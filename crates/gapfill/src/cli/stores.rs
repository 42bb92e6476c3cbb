//! The live stores that are named: by their configuration, or by a name of the stores file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use command_line::store_configuration;
use gapfill::LiveStore;
use mailstore::config::ImapdConf;
use mailstore::identity::{StoreAccount, adopt_umask};
use mailstore::lock::LockWait;

/// A store that was named.
#[derive(Debug)]
pub(super) enum Named {
    /// One on this machine.
    Configuration(Box<ImapdConf>),
    /// One on another.
    Snapshot(PathBuf),
}

/// The stores that were named.
pub(super) fn named(names: &[PathBuf], stores: Option<&Path>) -> Result<Vec<Named>> {
    let of = |name: &PathBuf| {
        let path = store_configuration(name, stores)?;
        if LiveStore::is_snapshot(&path) {
            return Ok(Named::Snapshot(path));
        }
        Ok(Named::Configuration(Box::new(load(&path)?)))
    };
    names.iter().map(of).collect()
}

/// Reads a configuration.
pub(super) fn load(path: &Path) -> Result<ImapdConf> {
    ImapdConf::load(path)
        .map_err(|error| anyhow!("{error}; correct it, or name the server's (--to)"))
}

/// Opens a store that was named.
pub(super) fn open(
    named: Named,
    timeout: Duration,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<LiveStore> {
    match named {
        Named::Configuration(conf) => {
            adopt_umask(&conf);
            LiveStore::open(*conf, timeout, on_wait)
                .map_err(|error| anyhow!("{error}; is it the right configuration (--to)?"))
        }
        Named::Snapshot(path) => Ok(LiveStore::open_snapshot(&path)?),
    }
}

/// Becomes the account that all of the servers run as. Where all stores are on other machines, the
/// process stays what it is.
pub(super) fn become_account(named: &[Named]) -> Result<()> {
    let hints = command_line::account_hints();
    let mut accounts = named.iter().filter_map(|named| match named {
        Named::Configuration(conf) => Some(StoreAccount::of_server(conf, &hints)),
        Named::Snapshot(_) => None,
    });
    let Some(first) = accounts.next() else { return Ok(()) };
    let first = first?;
    for account in accounts {
        let account = account?;
        if account.uid != first.uid {
            bail!("the stores belong to {first} and to {account}: compare them one by one");
        }
    }
    Ok(first.become_reader()?)
}
