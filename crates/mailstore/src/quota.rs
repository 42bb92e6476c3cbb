//! What users may store: the quota database, read. Byte table: `docs/format/quota.md`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use mailstore_format::quota::Quota;

use crate::config::ImapdConf;
use crate::entries::{entries_of, read};
use crate::location::PathRules;
use crate::name::InternalName;

/// The file of one root is a line.
const LARGEST_FILE: u64 = 64 * 1024;

/// The quotas of a store.
#[derive(Debug, Clone)]
pub struct Quotas {
    database: PathBuf,
    values: Values,
}

/// Where the value of a quota root is.
#[derive(Debug, Clone)]
enum Values {
    /// In a file of its own (`quotalegacy`), whose path follows these rules.
    Files(PathRules),
    /// Here: what the database held, by root.
    Read(HashMap<Vec<u8>, Vec<u8>>),
}

/// Why quotas are not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot read the quotas in {}: {why}", path.display())]
pub struct QuotaError {
    /// The file that should tell them.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl Quotas {
    /// Those of the server with this configuration. A database that is one file is read now, and may
    /// be locked for so long; files of single roots are read when they are asked for.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn open(conf: &ImapdConf, timeout: Duration) -> Result<Self, QuotaError> {
        let database = conf.quota_db();
        let values = if conf.database_type("quota_db") == "quotalegacy" {
            Values::Files(PathRules::from(conf))
        } else {
            let values = entries_of(&database, timeout);
            Values::Read(values.map_err(|why| QuotaError { path: database.clone(), why })?)
        };
        Ok(Self { database, values })
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
            if let Some(quota) = self.of_root(root)? {
                return Ok(Some((InternalName::new(root), quota)));
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

    fn of_root(&self, root: &[u8]) -> Result<Option<Quota>, QuotaError> {
        let (path, found) = match &self.values {
            Values::Read(values) => (self.database.clone(), Ok(values.get(root).cloned())),
            Values::Files(rules) => {
                let path = self.file_of(rules, root);
                let found = read(File::open(&path), LARGEST_FILE);
                (path, found)
            }
        };
        let wrong = |why: String| QuotaError { path, why };
        match found {
            Err(error) => Err(wrong(error.to_string())),
            Ok(Some(value)) if !value.is_empty() => {
                Quota::decode(&value).map(Some).map_err(|error| wrong(error.to_string()))
            }
            Ok(_) => Ok(None),
        }
    }

    /// The file of a root (`lib/cyrusdb_quotalegacy.c`, `hash_quota`).
    fn file_of(&self, rules: &PathRules, name: &[u8]) -> PathBuf {
        let bang = name.iter().position(|&byte| byte == b'!');
        let (domain, local) = bang.map_or((&b""[..], name), |at| (&name[..at], &name[at + 1..]));
        let mut path = self.database.clone();
        if !domain.is_empty() {
            path.pop();
            path.push("domain");
            path.push(OsStr::from_bytes(&[rules.letter(domain)]));
            path.push(OsStr::from_bytes(domain));
            path.push("quota");
        }
        if local.is_empty() {
            path.push("root");
            return path;
        }
        let hashed =
            local.iter().position(|&byte| byte == b'.').map_or(local, |dot| &local[dot + 1..]);
        path.push(OsStr::from_bytes(&[rules.letter(hashed)]));
        path.push(OsStr::from_bytes(local));
        path
    }
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
        let quotas = Quotas::open(&ImapdConf::load(&conf).unwrap(), Duration::ZERO).unwrap();
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
