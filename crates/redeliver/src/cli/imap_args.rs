//! The options of a delivery over IMAP, and what the stores file says of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use command_line::ImapEntry;
use imap_client::{Address, Password, Server, Trust};
use redeliver::{Access, Credentials};

/// How long a server may take to answer. It may have to wait for a disk that is being rescued.
const PATIENCE: Duration = Duration::from_mins(2);
/// So many connections help a server along; more only compete for its locks and disks.
const CONNECTIONS: usize = 4;
/// A file of passwords is no larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A delivery over IMAP.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Over IMAP")]
pub(crate) struct ImapArgs {
    #[command(flatten)]
    pub(crate) server: ImapServerArgs,

    /// So many connections at a time, at most [default: 4]
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroU16>,
}

/// A server that is spoken to over IMAP, and who logs in.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Over IMAP")]
#[expect(clippy::doc_markdown, reason = "it is the help text")]
pub(crate) struct ImapServerArgs {
    /// The server: imap://HOST[:PORT] (STARTTLS) or imaps://HOST[:PORT] [default: imap of the stores
    /// file]
    #[arg(long = "imap", value_name = "URL")]
    pub(crate) imap: Option<String>,

    /// The administrator, who acts as each user [default: imap_admin of the stores file]
    #[arg(long, value_name = "NAME", conflicts_with = "imap_users_file")]
    pub(crate) imap_admin: Option<String>,

    /// The file whose first line is the administrator's password [default: imap_password_file of the
    /// stores file]
    #[arg(long, value_name = "FILE", conflicts_with = "imap_users_file")]
    pub(crate) imap_password_file: Option<PathBuf>,

    /// Instead of an administrator's: users' own passwords, a line each, NAME:PASSWORD [default:
    /// imap_users_file of the stores file]
    #[arg(long, value_name = "FILE")]
    pub(crate) imap_users_file: Option<PathBuf>,

    /// Believe the certificate authorities in this file (PEM) and no others [default: imap_ca of the
    /// stores file, else those of this machine]
    #[arg(long, value_name = "FILE")]
    pub(crate) imap_ca: Option<PathBuf>,

    /// Speak to imap:// without TLS, and send passwords so, to other machines too
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
}

impl ImapArgs {
    /// Whether any of it was named: by the spool nothing of it has a meaning.
    pub(crate) fn is_named(&self) -> bool {
        self.server.is_named() || self.connections.is_some()
    }

    /// How many connections there are at a time.
    pub(crate) fn connections(&self) -> usize {
        self.connections.map_or(CONNECTIONS, |number| usize::from(number.get()))
    }
}

impl ImapServerArgs {
    fn is_named(&self) -> bool {
        let texts = [&self.imap, &self.imap_admin].into_iter().any(Option::is_some);
        let files = [&self.imap_password_file, &self.imap_users_file, &self.imap_ca];
        texts || files.into_iter().any(Option::is_some) || self.allow_plaintext
    }

    /// The server and how one gets in: as named here, else as the stores file has it.
    pub(crate) fn access(&self, entry: &ImapEntry) -> Result<Access> {
        let url = self.imap.as_ref().or(entry.imap.as_ref());
        let url =
            url.context("where is the IMAP server? Name it with --imap, or in stores.toml")?;
        let address: Address = url.parse()?;
        let trust = match self.imap_ca.as_ref().or(entry.imap_ca.as_ref()) {
            Some(file) => Trust::of_file(file)?,
            None => Trust::of_system(),
        };
        let allow_plaintext = self.allow_plaintext;
        let server = Server { address, trust, allow_plaintext, patience: PATIENCE };
        Ok(Access { server, credentials: self.credentials(entry)? })
    }

    fn credentials(&self, entry: &ImapEntry) -> Result<Credentials> {
        let names_admin = self.imap_admin.is_some() || self.imap_password_file.is_some();
        let of_entry = entry.imap_users_file.as_ref().filter(|_| !names_admin);
        if let Some(file) = self.imap_users_file.as_ref().or(of_entry) {
            return Ok(Credentials::Users(users(file)?));
        }
        let name = self.imap_admin.as_ref().or(entry.imap_admin.as_ref());
        let file = self.imap_password_file.as_ref().or(entry.imap_password_file.as_ref());
        let (Some(name), Some(file)) = (name, file) else {
            bail!(
                "who is to log in? Name --imap-admin and --imap-password-file, or --imap-users-file, \
                 or the like in stores.toml"
            );
        };
        let text = secret(file)?;
        let password = text.lines().next().unwrap_or_default();
        ensure!(!password.is_empty(), "the first line of {} is empty", file.display());
        Ok(Credentials::Admin { name: name.clone(), password: Password::new(password) })
    }
}

/// A file that not everybody may read.
fn secret(path: &Path) -> Result<String> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let meta = file.metadata().with_context(|| format!("cannot look at {shown}"))?;
    ensure!(meta.is_file(), "{shown} is no file");
    ensure!(
        meta.permissions().mode() & 0o006 == 0,
        "{shown} holds passwords, and others can read it: chmod o= {shown}"
    );
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).with_context(|| format!("cannot read {shown}"))?;
    Ok(text)
}

fn users(path: &Path) -> Result<HashMap<String, Password>> {
    let mut users = HashMap::new();
    for (number, line) in secret(path)?.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // What stands in the line is not told: it may be a password.
        let (name, password) = line.split_once(':').with_context(|| {
            format!("line {} of {} is not NAME:PASSWORD", number + 1, path.display())
        })?;
        users.insert(name.to_owned(), Password::new(password));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        imap: ImapArgs,
    }

    fn args(arguments: &[&str]) -> ImapServerArgs {
        Only::try_parse_from([&["x"], arguments].concat()).unwrap().imap.server
    }

    fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn what_is_named_takes_the_place_of_what_the_stores_file_has() {
        let temp = tempfile::tempdir().unwrap();
        let password = file(temp.path(), "password", "secret\n\n", 0o640);
        let list = file(temp.path(), "users", "# who\nalice:a:b\n\nbob:\n", 0o600);
        let entry = ImapEntry {
            imap_admin: Some("cyrus".to_owned()),
            imap_password_file: Some(password),
            ..ImapEntry::default()
        };
        let credentials = |arguments: &[&str]| args(arguments).credentials(&entry).unwrap();
        let Credentials::Admin { name, password } = credentials(&["--imap-admin", "root"]) else {
            panic!("no administrator")
        };
        assert_eq!((name.as_str(), password), ("root", Password::new("secret")));
        let Credentials::Users(users) = credentials(&["--imap-users-file", list.to_str().unwrap()])
        else {
            panic!("no users")
        };
        assert_eq!(users.get("alice"), Some(&Password::new("a:b")));
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn passwords_that_everybody_can_read_are_refused_and_none_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let open = file(temp.path(), "open", "secret\n", 0o644);
        let error = secret(&open).unwrap_err().to_string();
        assert!(error.contains("chmod o="), "{error}");
        let odd = file(temp.path(), "odd", "alice:x\nsecret\n", 0o600);
        let error = users(&odd).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        let entry = ImapEntry::default();
        let error = args(&[]).access(&entry).unwrap_err().to_string();
        assert!(error.contains("--imap"), "{error}");
    }
}
