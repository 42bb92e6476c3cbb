//! The live stores that are named: by their configuration, or by a name of the stores file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use gapfill::LiveStore;
use mailstore::config::ImapdConf;
use mailstore::identity::{StoreAccount, adopt_umask};
use mailstore::lock::LockWait;
use serde::Deserialize;

/// Where the stores file is, unless it is named.
const STORES_FILE: &str = "/etc/mailstore-recovery/stores.toml";

/// The stores file. Other tools read more of it.
#[derive(Debug, Deserialize)]
struct StoresFile {
    #[serde(default)]
    store: BTreeMap<String, StoreEntry>,
}

/// One `[store.NAME]`.
#[derive(Debug, Deserialize)]
struct StoreEntry {
    /// The server's configuration.
    config: PathBuf,
}

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
        let path = configuration(name, stores)?;
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

/// A path is one that has a `/` in it, or is there; all else is a name.
fn configuration(name: &Path, stores: Option<&Path>) -> Result<PathBuf> {
    if name.components().count() > 1 || name.is_file() {
        return Ok(name.to_owned());
    }
    let path = stores.unwrap_or(Path::new(STORES_FILE));
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot look up the store '{}' in {}", name.display(), path.display())
    })?;
    let file: StoresFile =
        toml::from_str(&text).with_context(|| format!("{} is no stores file", path.display()))?;
    let entry = name.to_str().and_then(|name| file.store.get(name));
    let Some(entry) = entry else {
        let known: Vec<&str> = file.store.keys().map(String::as_str).collect();
        bail!(
            "{} has no [store.{}]; it has: {}",
            path.display(),
            name.display(),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
    };
    Ok(entry.config.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_path_is_taken_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("stores.toml");
        let text = "[store.store7]\nconfig = \"/etc/imapd-7.conf\"\nimap = \"imap://store7:143\"\n";
        std::fs::write(&file, text).unwrap();
        let of = |name: &str| configuration(Path::new(name), Some(&file));
        assert_eq!(of("store7").unwrap(), Path::new("/etc/imapd-7.conf"));
        assert_eq!(of("/etc/imapd.conf").unwrap(), Path::new("/etc/imapd.conf"));
        let error = of("store8").unwrap_err().to_string();
        assert!(error.contains("[store.store8]") && error.contains("it has: store7"), "{error}");
        std::fs::write(&file, "store = 7").unwrap();
        assert!(of("store7").unwrap_err().to_string().contains("no stores file"));
    }
}
