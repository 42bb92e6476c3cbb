//! Stores by name: the operators' file that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Where the stores file is, unless it is named.
const STORES_FILE: &str = "/etc/mailstore-recovery/stores.toml";

/// A store that an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStore {
    /// The server's configuration.
    pub config: PathBuf,
    /// How it is reached over IMAP.
    pub imap: ImapEntry,
}

/// How a store is reached over IMAP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ImapEntry {
    /// Where the server is: `imap://host:port` or `imaps://host:port`.
    pub imap: Option<String>,
    /// The administrator who acts as its users.
    pub imap_admin: Option<String>,
    /// The file that has the administrator's password.
    pub imap_password_file: Option<PathBuf>,
    /// The file that has users' own passwords.
    pub imap_users_file: Option<PathBuf>,
    /// The certificate authorities that are believed, instead of the machine's.
    pub imap_ca: Option<PathBuf>,
}

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
    #[serde(flatten)]
    imap: ImapEntry,
}

/// The configuration of the store `name`.
pub fn store_configuration(name: &Path, stores: Option<&Path>) -> Result<PathBuf> {
    named_store(name, stores).map(|store| store.config)
}

/// The store `name`: a path is one that has a `/` in it, or is there; all else is a name.
pub fn named_store(name: &Path, stores: Option<&Path>) -> Result<NamedStore> {
    if name.components().count() > 1 || name.is_file() {
        return Ok(NamedStore { config: name.to_owned(), imap: ImapEntry::default() });
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
    Ok(NamedStore { config: entry.config.clone(), imap: entry.imap.clone() })
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
        let of = |name: &str| store_configuration(Path::new(name), Some(&file));
        assert_eq!(of("store7").unwrap(), Path::new("/etc/imapd-7.conf"));
        assert_eq!(of("/etc/imapd.conf").unwrap(), Path::new("/etc/imapd.conf"));
        let imap = named_store(Path::new("store7"), Some(&file)).unwrap().imap;
        assert_eq!(imap.imap.as_deref(), Some("imap://store7:143"));
        let error = of("store8").unwrap_err().to_string();
        assert!(error.contains("[store.store8]") && error.contains("it has: store7"), "{error}");
        std::fs::write(&file, "store = 7").unwrap();
        assert!(of("store7").unwrap_err().to_string().contains("no stores file"));
    }
}
