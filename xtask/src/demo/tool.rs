//! The commands that are shown.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use mailstore_tests::{Store, ToolRun};

/// What the environment says of accounts and incidents is not about the demonstration's stores.
const FOREIGN_VARIABLES: [&str; 3] = ["CYRUS_USER", "CYRUS_GROUP", "MAILSTORE_INCIDENT"];

/// A command on one store, as an operator types it.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// What is long and the same everywhere, and what stands for it where it is shown.
    shortened: Vec<(String, &'static str)>,
}

impl Tool {
    /// For a store that belongs to whoever runs us.
    pub(crate) fn new(name: &'static str, program: PathBuf) -> Self {
        Self { name, program, environment: Vec::new(), shortened: Vec::new() }
    }

    /// For a store that a real server serves: as its account, in its time zone, and with what
    /// Cyrus's tools need to run unpacked.
    pub(crate) fn beside(name: &'static str, program: PathBuf, store: &Store) -> Self {
        let mut tool = Self::new(name, program);
        tool.environment = vec![
            ("CYRUS_USER".into(), store.cyrus().account().name.clone().into()),
            ("TZ".into(), store.options().timezone.clone().into()),
        ];
        let command = store.command("quota");
        let paths = command.get_envs();
        let paths = paths.filter(|(name, _)| *name == "LD_LIBRARY_PATH" || *name == "SASL_PATH");
        let set = paths.filter_map(|(name, value)| Some((name.into(), value?.to_owned())));
        tool.environment.extend(set);
        tool
    }

    /// Working in an incident.
    pub(crate) fn remembering(mut self, incident: &Path) -> Self {
        self.environment.push(("MAILSTORE_INCIDENT".into(), incident.into()));
        self
    }

    /// Shows `short` wherever `long` would be printed.
    pub(crate) fn shortening(mut self, long: &Path, short: &'static str) -> Self {
        self.shortened.push((long.display().to_string(), short));
        self
    }

    /// Runs it, and shows the command and all it prints.
    pub(crate) fn shown(&self, arguments: &[&str]) -> Result<ToolRun> {
        println!("$ {} {}", self.name, self.shorter(&arguments.join(" ")));
        let run = self.run(arguments)?;
        print!("{}", self.shorter(&run.stderr));
        print!("{}", self.shorter(&run.stdout));
        println!("(exit status {})\n", run.status.unwrap_or(-1));
        Ok(run)
    }

    /// Runs it, and shows nothing.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<ToolRun> {
        let mut command = Command::new(&self.program);
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command.args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().with_context(|| format!("can't run {}", self.name))?;
        let run = ToolRun::of(&output);
        if arguments.contains(&"--json") { run.parsed() } else { Ok(run) }
    }

    fn shorter(&self, text: &str) -> String {
        let shortened = self.shortened.iter();
        shortened.fold(text.to_owned(), |text, (long, short)| text.replace(long.as_str(), short))
    }
}
