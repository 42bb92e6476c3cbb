//! What users may store: the quota database, read. Byte table: `docs/format/quota.md`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use mailstore_format::db;
use mailstore_format::quota::Quota;

use crate::config::ImapdConf;
use crate::location::PathRules;
use crate::lock;
use crate::name::InternalName;

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;
/// The file of one root is a line.
const LARGEST_FILE: u64 = 64 * 1024;

/// The quotas of a store.
#[derive(Debug, Clone)]
pub struct Quotas {
    rules: PathRules,
    database: PathBuf,
    is_legacy: bool,
    timeout: Duration,
}

/// Why a quota is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot read the quota of {root} in {}: {why}", path.display())]
pub struct QuotaError {
    /// The quota root.
    pub root: InternalName,
    /// The file that should tell it.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl Quotas {
    /// Those of the server with this configuration; its database may be locked for so long.
    #[must_use]
    pub fn of(conf: &ImapdConf, timeout: Duration) -> Self {
        let is_legacy = conf.database_type("quota_db") == "quotalegacy";
        Self { rules: PathRules::from(conf), database: conf.quota_db(), is_legacy, timeout }
    }

    /// The quota root of a mailbox and what it may store; none where there is no limit to reckon with
    /// (`quota_findroot`).
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn of_mailbox(
        &self,
        name: &InternalName,
    ) -> Result<Option<(InternalName, Quota)>, QuotaError> {
        let mut root = name.as_bytes();
        loop {
            let candidate = InternalName::new(root);
            if let Some(quota) = self.of_root(&candidate)? {
                return Ok(Some((candidate, quota)));
            }
            let unqualified = root.iter().position(|&byte| byte == b'!').map_or(0, |at| at + 1);
            let (domain, local) = root.split_at(unqualified);
            match local.iter().rposition(|&byte| byte == b'.') {
                Some(dot) => root = &root[..unqualified + dot],
                None if local.is_empty() || domain.is_empty() => return Ok(None),
                None => root = domain,
            }
        }
    }

    fn of_root(&self, root: &InternalName) -> Result<Option<Quota>, QuotaError> {
        let path = if self.is_legacy { self.file_of(root) } else { self.database.clone() };
        let wrong = |why: String| QuotaError { root: root.clone(), path: path.clone(), why };
        let found = if self.is_legacy {
            read(File::open(&path), LARGEST_FILE).map_err(|error| wrong(error.to_string()))?
        } else {
            self.entry_of(root).map_err(&wrong)?
        };
        let value = found.filter(|value| !value.is_empty());
        let quota = value.map(|value| Quota::decode(&value)).transpose();
        quota.map_err(|error| wrong(error.to_string()))
    }

    fn entry_of(&self, root: &InternalName) -> Result<Option<Vec<u8>>, String> {
        let told = |error: &dyn std::error::Error| error.to_string();
        if !self.database.exists() {
            return Ok(None);
        }
        let locked = lock::read_database(&self.database, self.timeout, &mut |_| {})
            .map_err(|error| told(&error))?;
        let bytes = read(locked.file().try_clone(), LARGEST_DATABASE);
        let bytes = bytes.map_err(|error| told(&error))?.unwrap_or_default();
        let contents = db::read(&bytes).map_err(|error| told(&error))?;
        Ok(contents.get(root.as_bytes()).map(|entry| entry.value.to_vec()))
    }

    /// The file of a root (`lib/cyrusdb_quotalegacy.c`, `hash_quota`).
    fn file_of(&self, root: &InternalName) -> PathBuf {
        let name = root.as_bytes();
        let bang = name.iter().position(|&byte| byte == b'!');
        let (domain, local) = bang.map_or((&b""[..], name), |at| (&name[..at], &name[at + 1..]));
        let mut path = self.database.clone();
        if !domain.is_empty() {
            path.pop();
            path.push("domain");
            path.push(OsStr::from_bytes(&[self.rules.letter(domain)]));
            path.push(OsStr::from_bytes(domain));
            path.push("quota");
        }
        if local.is_empty() {
            path.push("root");
            return path;
        }
        let hashed =
            local.iter().position(|&byte| byte == b'.').map_or(local, |dot| &local[dot + 1..]);
        path.push(OsStr::from_bytes(&[self.rules.letter(hashed)]));
        path.push(OsStr::from_bytes(local));
        path
    }
}

/// What a file holds; nothing where there is none.
fn read(file: io::Result<File>, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mailbox_belongs_to_the_nearest_root_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let conf = directory.path().join("imapd.conf");
        let base = directory.path().display();
        fs::write(&conf, format!("configdirectory: {base}\npartition-default: {base}\n")).unwrap();
        let files = [
            ("quota/a/user.alice", "%(S (7 1))\n"),
            ("quota/a/user.alice.big", "7\n2\n"),
            ("quota/e/user.empty", ""),
            ("domain/e/example.com/quota/b/user.bob", "7\n3\n"),
            ("domain/e/example.com/quota/root", "7\n4\n"),
            ("quota/b/user.bad", "nonsense"),
        ];
        for (path, value) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }
        let quotas = Quotas::of(&ImapdConf::load(&conf).unwrap(), Duration::ZERO);
        let limit = |name: &str| {
            let found = quotas.of_mailbox(&InternalName::new(name.as_bytes())).unwrap();
            found.and_then(|(_, quota)| quota.storage.limit).map(|limit| limit / 1024)
        };
        for (name, kib) in [
            ("user.alice", Some(1)),
            ("user.alice.Sent.old", Some(1)),
            ("user.alice.big.folder", Some(2)),
            ("user.empty", None),
            ("user.nobody", None),
            ("example.com!user.bob.Sent", Some(3)),
            ("example.com!user.carol", Some(4)),
            ("example.org!user.carol", None),
        ] {
            assert_eq!(limit(name), kib, "{name}");
        }
        let error = quotas.of_mailbox(&InternalName::new(b"user.bad")).unwrap_err().to_string();
        assert!(error.contains("quota/b/user.bad"), "{error}");
    }
}
