//! Who is kept from logging in: the server's deny database, read. Entries: `docs/format/user-deny.md`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ImapdConf;
use crate::entries::entries_of;

/// The entries of the deny database.
#[derive(Debug, Clone, Default)]
pub struct Denials {
    by_user: HashMap<Vec<u8>, Vec<u8>>,
}

/// Why it is not known who is denied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot read who is denied in {}: {why}", path.display())]
pub struct DenialsError {
    /// The database.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl Denials {
    /// Those of the server with this configuration, now. The database may be locked for so long.
    ///
    /// # Errors
    /// Where it cannot be read, as when it is not a file.
    pub fn read(conf: &ImapdConf, timeout: Duration) -> Result<Self, DenialsError> {
        let path = conf.user_deny_db();
        let wrong = |why: String| DenialsError { path: path.clone(), why };
        let kind = conf.database_type("userdeny_db");
        if kind == "sql" {
            return Err(wrong("it is in an SQL server (userdeny_db: sql)".to_owned()));
        }
        let mut by_user = entries_of(&path, timeout).map_err(wrong)?;
        // The server takes an empty entry for none (`imap/userdeny_db.c`, `userdeny`).
        by_user.retain(|_, value| !value.is_empty());
        Ok(Self { by_user })
    }

    /// The message with which a user is denied; `None` where they are not.
    #[must_use]
    pub fn message_to(&self, user: &str) -> Option<&[u8]> {
        self.by_user.get(user.as_bytes()).map(|value| message(value))
    }

    /// Every user who is denied, with the message.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.by_user.iter().map(|(user, value)| (user.as_slice(), message(value)))
    }
}

/// Behind the version and the services, each of which ends with a TAB. Empty in the first version.
fn message(value: &[u8]) -> &[u8] {
    value.splitn(3, |&byte| byte == b'\t').nth(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_who_are_denied_are_told_with_the_message() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().display();
        let conf = directory.path().join("imapd.conf");
        let plain = format!("configdirectory: {base}\npartition-default: {base}\n");
        std::fs::write(&conf, &plain).unwrap();
        let read = || {
            let conf = ImapdConf::load(&conf).unwrap();
            Denials::read(&conf, Duration::ZERO)
        };
        assert_eq!(read().unwrap().iter().count(), 0);
        let entries = "alice\t2\t!lmtp*,*\tone\ttwo\nbob\t1\t*\ncarol\t\n";
        std::fs::write(directory.path().join("user_deny.db"), entries).unwrap();
        let denials = read().unwrap();
        assert_eq!(denials.message_to("alice"), Some(&b"one\ttwo"[..]));
        assert_eq!(denials.message_to("bob"), Some(&b""[..]));
        assert_eq!(denials.message_to("carol"), None);
        assert_eq!(denials.iter().count(), 2);
        std::fs::write(&conf, plain + "userdeny_db: sql\n").unwrap();
        assert!(read().unwrap_err().to_string().contains("user_deny.db: it is in an SQL server"));
    }
}
