//! Debian's packages of servers, fetched once and unpacked beside the build, with nothing installed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Packages that are unpacked together; libraries that these depend on are found through their
/// `Depends`.
pub(crate) struct Packages {
    /// The directory that they are unpacked in.
    root: &'static str,
    names: &'static [&'static str],
}

/// The server that the toolkit is for.
pub(crate) const CYRUS: Packages = Packages {
    root: "cyrus-root",
    names: &[
        "cyrus-imapd",
        "cyrus-common",
        "cyrus-admin",
        "cyrus-clients",
        "cyrus-pop3d",
        "cyrus-replication",
        "sasl2-bin",
        "libsasl2-2",
        "libsasl2-modules",
        "libsasl2-modules-db",
    ],
};

/// Another IMAP server.
pub(crate) const DOVECOT: Packages =
    Packages { root: "dovecot-root", names: &["dovecot-core", "dovecot-imapd"] };

/// How long a failed fetch is remembered, so that a hundred tests do not each wait for a network
/// that is not there.
const RETRY_AFTER: Duration = Duration::from_mins(5);

/// The unpacked packages under `servers`, fetched now if they are not there yet. Any number of
/// processes may ask at once: one fetches, the others wait.
pub(crate) fn unpacked(servers: &Path, packages: &Packages) -> Result<PathBuf> {
    let root = servers.join(packages.root);
    if root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(servers)
        .with_context(|| format!("can't create the directory {}", servers.display()))?;
    let lock = File::create(servers.join("lock")).context("can't create the fetch lock")?;
    lock.lock().context("can't take the fetch lock")?;
    if root.is_dir() {
        return Ok(root);
    }
    let failure = servers.join(format!("{}-failed", packages.root));
    if let Some(why) = recent_failure(&failure) {
        bail!("{why}");
    }
    let staging = tempfile::Builder::new().prefix("fetch-").tempdir_in(servers)?;
    let fetched = fetch(servers, staging.path(), packages)
        .and_then(|unpacked| fs::rename(unpacked, &root).context("can't move the packages in"));
    if let Err(error) = fetched {
        fs::write(failure, format!("{error:#}"))?;
        return Err(error);
    }
    Ok(root)
}

fn recent_failure(record: &Path) -> Option<String> {
    let age = record.metadata().ok()?.modified().ok()?.elapsed().unwrap_or_default();
    (age < RETRY_AFTER).then(|| fs::read_to_string(record).ok()).flatten()
}

/// Downloads and unpacks everything into `staging`; the result is the unpacked tree.
fn fetch(servers: &Path, staging: &Path, packages: &Packages) -> Result<PathBuf> {
    let apt = Apt::with_lists(servers, packages)?;
    let archives = staging.join("archives");
    let unpacked = staging.join("root");
    fs::create_dir_all(&archives)?;
    fs::create_dir_all(&unpacked)?;

    let mut known: BTreeSet<String> = packages.names.iter().map(ToString::to_string).collect();
    let mut wanted: Vec<String> = known.iter().cloned().collect();
    while !wanted.is_empty() {
        apt.download(&wanted, &archives)?;
        let mut next = Vec::new();
        for archive in fs::read_dir(&archives)? {
            let archive = archive?.path();
            run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&unpacked))?;
            let depends =
                run(Command::new("dpkg-deb").arg("--field").arg(&archive).arg("Depends"))?;
            for library in libraries(&depends) {
                if known.insert(library.clone()) && !is_installed(&library) {
                    next.push(library);
                }
            }
            fs::remove_file(archive)?;
        }
        wanted = next;
    }
    Ok(unpacked)
}

/// The shared libraries in a `Depends` field, by package name. Perl modules are not among them: none
/// of the programs in use is a Perl one.
fn libraries(depends: &str) -> impl Iterator<Item = String> {
    depends.split(',').filter_map(|alternatives| {
        let first = alternatives.split('|').next()?;
        let name = first.split([' ', '(', ':']).find(|word| !word.trim().is_empty())?.trim();
        (name.starts_with("lib") && !name.ends_with("-perl")).then(|| name.to_string())
    })
}

fn is_installed(package: &str) -> bool {
    let query = ["--show", "--showformat", "${db:Status-Status}", package];
    Command::new("dpkg-query")
        .args(query)
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"installed"))
}

/// The package manager's downloader, on the system's package lists or on some of its own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn with_lists(servers: &Path, packages: &Packages) -> Result<Self> {
        let first = packages.names.first().copied().unwrap_or_default();
        let mut apt = Self {
            options: [
                "APT::Sandbox::User=root",
                "Acquire::Retries=1",
                "Acquire::http::Timeout=20",
                "Acquire::https::Timeout=20",
            ]
            .map(str::to_string)
            .to_vec(),
        };
        if apt.has_candidate(first)? {
            return Ok(apt);
        }
        let own = servers.join("apt");
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(own.join(directory))?;
        }
        apt.options.push(format!("Dir::State::lists={}", own.join("lists").display()));
        apt.options.push(format!("Dir::Cache={}", own.join("cache").display()));
        run(apt.command("apt-get").arg("update"))?;
        ensure!(apt.has_candidate(first)?, "the configured package sources have no {first}");
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command
    }

    fn has_candidate(&self, package: &str) -> Result<bool> {
        let policy = run(self.command("apt-cache").args(["policy", package]))?;
        Ok(policy
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Candidate:"))
            .any(|candidate| candidate.trim() != "(none)"))
    }

    fn download<S: AsRef<OsStr>>(&self, packages: &[S], into: &Path) -> Result<()> {
        run(self.command("apt-get").arg("download").args(packages).current_dir(into)).map(drop)
    }
}

/// Runs a command to its end; what it printed, or an error that says what it complained of.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&stderr);
        let last = complaint.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        bail!("{program} failed ({status}): {last}");
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_from_depends_without_versions_and_perl_modules() {
        let depends = "cyrus-common (>= 3.6.1), libcyrus-imap-perl (>= 3), libpcre3, \
                       libsasl2-2 (>= 2.1), libssl3:any | libssl1.1, perl:any";
        let found: Vec<_> = libraries(depends).collect();
        assert_eq!(found, ["libpcre3", "libsasl2-2", "libssl3"]);
    }
}
