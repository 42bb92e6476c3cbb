//! The command under test, as an operator runs it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::store::Store;

/// A run of our `reconstruct` on a store that is to be.
///
/// Without further arguments it would be `reconstruct -C <the store's imapd.conf>`.
#[derive(Debug)]
pub struct Reconstruct {
    environment: Vec<(OsString, OsString)>,
    arguments: Vec<OsString>,
}

/// What a run of our `reconstruct` did.
#[derive(Debug, Clone)]
pub struct ToolRun {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
    /// The objects of its `--json` output; empty where that was not asked for.
    pub json: Vec<Value>,
}

impl Reconstruct {
    /// On `store`, in its server's time zone.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        let environment = vec![
            ("CYRUS_USER".into(), store.cyrus().account().name.clone().into()),
            ("TZ".into(), store.options().timezone.clone().into()),
        ];
        Self { environment, arguments: vec!["-C".into(), store.imapd_conf().into()] }
    }

    /// Without any store's configuration: for `--path` and for what is wrong on purpose.
    #[must_use]
    pub fn bare() -> Self {
        Self { environment: Vec::new(), arguments: Vec::new() }
    }

    /// With Cyrus's tools at hand, and what these need to run unpacked.
    #[must_use]
    pub fn with_cyrus_tools(mut self, store: &Store) -> Self {
        let (directory, environment) = cyrus_tools(store);
        self.environment.extend(environment);
        self.arg("--cyrus-bin").arg(directory)
    }

    /// With this further argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With these further arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// With this environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The command, not yet run: to wrap it, to signal it, or to look on while it works.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(Self::binary()?);
        command.args(&self.arguments).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs it to its end, whatever that is.
    pub fn run(&self) -> Result<ToolRun> {
        let output = self.command()?.output().context("can't run our reconstruct")?;
        let run = ToolRun::of(&output);
        if self.arguments.iter().any(|argument| argument == "--json") {
            return run.parsed();
        }
        Ok(run)
    }

    /// The program, built from the sources as they are now: `cargo test -p mailstore-tests` builds
    /// only the library, and what an earlier build left may be stale.
    pub fn binary() -> Result<&'static Path> {
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let built =
            BUILT.get_or_init(|| build("reconstruct").map_err(|error| format!("{error:#}")));
        built.as_deref().map_err(|why| anyhow!("can't build our reconstruct: {why}"))
    }
}

impl ToolRun {
    /// What a finished process left, its JSON not yet looked for.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            json: Vec::new(),
        }
    }

    /// The same, with every line of its output read as a JSON object.
    pub fn parsed(mut self) -> Result<Self> {
        for line in self.stdout.lines() {
            let object = serde_json::from_str(line)
                .with_context(|| format!("--json printed something else: {line}"))?;
            self.json.push(object);
        }
        Ok(self)
    }

    /// The object that tells of a mailbox, by the name that operators use; `Null` if there is none.
    #[must_use]
    pub fn mailbox(&self, name: &str) -> &Value {
        let of_mailbox = |line: &&Value| line["type"] == "mailbox" && line["mailbox"] == name;
        self.json.iter().find(of_mailbox).unwrap_or(&Value::Null)
    }

    /// The object that sums the run up; `Null` if there is none.
    #[must_use]
    pub fn summary(&self) -> &Value {
        self.json.iter().find(|line| line["type"] == "summary").unwrap_or(&Value::Null)
    }

    /// The findings of all mailboxes that have this code.
    #[must_use]
    pub fn findings(&self, code: &str) -> Vec<&Value> {
        let of_mailbox = |line: &'_ Value| line["findings"].as_array().is_some();
        let lines = self.json.iter().filter(|line| of_mailbox(line));
        let findings = lines.flat_map(|line| line["findings"].as_array().into_iter().flatten());
        findings.filter(|finding| finding["code"] == code).collect()
    }
}

/// Where Cyrus's tools are, and what they need in the environment to run unpacked.
#[must_use]
pub fn cyrus_tools(store: &Store) -> (PathBuf, Vec<(OsString, OsString)>) {
    let command = store.command("quota");
    let library_paths =
        command.get_envs().filter(|(name, _)| *name == "LD_LIBRARY_PATH" || *name == "SASL_PATH");
    let set = library_paths.filter_map(|(name, value)| Some((name.into(), value?.to_owned())));
    let directory = Path::new(command.get_program()).parent().unwrap_or(Path::new(""));
    (directory.to_owned(), set.collect())
}

/// The `incident` command, built from the sources as they are now, without what the environment
/// says of accounts and incidents.
pub fn incident_command() -> Result<Command> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    command_of("incident", &BUILT)
}

/// The `gapfill` command, likewise.
pub fn gapfill_command() -> Result<Command> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    command_of("gapfill", &BUILT)
}

/// The `redeliver` command, likewise.
pub fn redeliver_command() -> Result<Command> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    command_of("redeliver", &BUILT)
}

/// The `rebuildq` command, likewise.
pub fn rebuildq_command() -> Result<Command> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    command_of("rebuildq", &BUILT)
}

fn command_of(program: &str, built: &OnceLock<Result<PathBuf, String>>) -> Result<Command> {
    let built = built.get_or_init(|| build(program).map_err(|error| format!("{error:#}")));
    let binary = built.as_deref().map_err(|why| anyhow!("can't build {program}: {why}"))?;
    let mut command = Command::new(binary);
    command.stdin(Stdio::null());
    for variable in ["CYRUS_USER", "CYRUS_GROUP", "MAILSTORE_INCIDENT"] {
        command.env_remove(variable);
    }
    Ok(command)
}

/// Builds a program of the package of its name into the target directory, and with the profile, of
/// the running test.
fn build(program: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let deps = test.parent().context("a test executable without a directory")?;
    let profile_dir = if deps.ends_with("deps") { deps.parent() } else { Some(deps) };
    let profile_dir = profile_dir.context("a test executable outside of a target directory")?;
    let profile = match profile_dir.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target_dir = profile_dir.parent().context("a target directory without a name")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile])
        // Both packages, so that dependencies get the features that this test was built with.
        .args(["--package", "mailstore-tests", "--package", program, "--bin", program])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("can't run cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let binary = profile_dir.join(program);
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_built_and_runs() -> Result<()> {
        let run = Reconstruct::bare().arg("--version").run()?;
        assert_eq!(run.status, Some(0), "{run:?}");
        assert!(run.stdout.starts_with("reconstruct "), "{run:?}");
        Ok(())
    }
}
