//! One damaged store: repaired, and every promise checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mailstore_format::Guid;
use mailstore_tests::damage::{Damage, Damaged, Place, Score, Specimen, Survivors};
use mailstore_tests::{Reconstruct, Server, Store, ToolRun, Tree, judge, run_within};

use crate::life::Life;

/// How long the tool may take for a store of 88 messages.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A damaged store, before it is repaired.
pub(crate) struct Case<'a> {
    specimen: &'a Specimen,
    store: Store,
    damages: Vec<Damage>,
    left: BTreeMap<String, Survivors>,
}

impl<'a> Case<'a> {
    pub(crate) fn of(specimen: &'a Specimen, kind: &str, seed: u64) -> Result<Self> {
        let Damaged { store, damages, left } = specimen.damaged(kind, seed)?;
        Ok(Self { specimen, store, damages, left })
    }

    /// What was done, one damage a line.
    pub(crate) fn told(&self) -> String {
        self.damages.iter().fold(String::new(), |mut told, damage| {
            let _ = writeln!(told, "  {}: {}: {}", damage.mailbox, damage.kind, damage.detail);
            told
        })
    }

    /// Looks, repairs, and looks again; what is not as promised.
    pub(crate) fn broken_promises(&self, served: bool) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let damaged = self.tree()?;
        self.run(&["-n"], &mut broken)?;
        tell(&mut broken, "a dry run changed", damaged.differences(&self.tree()?));

        let run = self.run(&[], &mut broken)?;
        let score = self.specimen.score_at_rest(&self.store.imapd_conf(), &self.left)?;
        tell_score(&mut broken, &score);
        tell(&mut broken, "nowhere any more", self.contents_gone(&damaged)?);
        tell(&mut broken, "handed to the server", self.odd_entries()?);

        let repaired = self.tree()?;
        let again = self.run(&[], &mut broken)?;
        tell(&mut broken, "a second run changed", repaired.differences(&self.tree()?));
        if let Some(again) = again {
            let summary = again.summary();
            if summary["repaired"] != 0 || summary["failed"] != 0 {
                broken.push(format!("a second run had something to do: {summary}"));
            }
        }
        if served {
            self.serve(&mut broken)?;
        }
        if let Some(run) = run {
            self.undo(&run, &damaged, &mut broken)?;
        }
        Ok(broken)
    }

    /// Repairs, lets the mailboxes live on, and undoes the repair; what is not as promised.
    pub(crate) fn broken_promises_of_a_late_undo(self, seed: u64) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let Some(run) = self.run(&[], &mut broken)? else { return Ok(broken) };
        let server = Server::serve(self.store)?;
        match Life::after(&run, server) {
            Some(life) => life.broken_promises(seed),
            None => Ok(broken),
        }
    }

    /// Runs our tool on all mailboxes; `None` where it did not end as it should.
    #[allow(clippy::print_stderr, reason = "whoever repeats a single case asks for it")]
    fn run(&self, arguments: &[&str], broken: &mut Vec<String>) -> Result<Option<ToolRun>> {
        let tool = Reconstruct::new(&self.store).args(["--user", Specimen::USER, "--json"]);
        let tool = tool.args(["--check", "full"]).args(arguments);
        let shown = format!("reconstruct {}", arguments.join(" "));
        let Some(output) = run_within(&mut tool.command()?, PATIENCE)? else {
            broken.push(format!("{shown} hangs"));
            return Ok(None);
        };
        let run = ToolRun::of(&output);
        if crate::only("MAILSTORE_SEED").is_some() {
            eprintln!("{shown}:\n{}", run.stdout);
        }
        if !matches!(run.status, Some(0 | 1)) {
            broken.push(format!("{shown} ended with {:?}: {}", run.status, run.stderr.trim_end()));
            return Ok(None);
        }
        run.parsed().map(Some)
    }

    fn tree(&self) -> Result<Tree> {
        Tree::read(self.store.path())
    }

    /// Files with content that was there before the repair, and that no file has after it.
    fn contents_gone(&self, damaged: &Tree) -> Result<Vec<String>> {
        let after = self.tree()?;
        let left: BTreeSet<Guid> = after.entries.values().map(|entry| entry.content).collect();
        let spool = Path::new("spool");
        let gone = damaged.entries.iter().filter(|(path, entry)| {
            path.starts_with(spool) && entry.size > 0 && !left.contains(&entry.content)
        });
        Ok(gone.map(|(path, _)| path.display().to_string()).collect())
    }

    /// Entries with the names of messages that the server would open, and that are no files.
    fn odd_entries(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for place in Place::all(&self.store.imapd_conf())? {
            for (name, path) in place.entries()? {
                if Place::uid_of(&name).is_some() && !path.symlink_metadata()?.is_file() {
                    found.push(format!("{} {name}", place.mailbox));
                }
            }
        }
        Ok(found)
    }

    /// The same over IMAP, and Cyrus's tools' opinion, on a copy.
    fn serve(&self, broken: &mut Vec<String>) -> Result<()> {
        let server = Server::serve(self.store.copy()?)?;
        let score = self.specimen.score_served(&server, &self.left);
        tell_score(broken, &score);
        tell(broken, "died", server.deaths());
        if self.left.values().all(Survivors::every_file_is_whole) {
            let verdict = judge(&self.store);
            let objections = verdict.map_or_else(|error| error.to_string(), |v| v.to_string());
            tell(broken, "Cyrus objects", objections.lines().map(String::from).collect());
        }
        Ok(())
    }

    /// `reconstruct undo` right after the run restores every entry that there was, times included,
    /// and leaves nothing beside it but what lies in the recovery directory.
    fn undo(&self, run: &ToolRun, damaged: &Tree, broken: &mut Vec<String>) -> Result<()> {
        // A run that wrote nothing has no name.
        let Some(name) = run.summary()["run"].as_str() else { return Ok(()) };
        let tool = Reconstruct::bare().arg("undo").arg(name).arg("-C").arg(self.store.imapd_conf());
        let tool = tool.env("CYRUS_USER", &self.store.cyrus().account().name);
        let output = run_within(&mut tool.command()?, PATIENCE)?.context("undo hangs")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            broken.push(format!("undo ended with {}: {said}", output.status));
        }
        let mut differences = damaged.differences(&self.tree()?);
        differences.retain(|line| {
            // Locks are made where missing; the partition's root got a directory of ours.
            let is_lock = line.starts_with("lock") || line.starts_with("conf/lock");
            !line.contains(".mailstore-recovery") && !is_lock && !line.starts_with("spool: mtime")
        });
        tell(broken, "undo left", differences);
        Ok(())
    }
}

pub(crate) fn tell(broken: &mut Vec<String>, what: &str, found: Vec<String>) {
    const SHOWN: usize = 4;
    let more = found.len().saturating_sub(SHOWN);
    broken.extend(found.into_iter().take(SHOWN).map(|line| format!("{what}: {line}")));
    if more > 0 {
        broken.push(format!("{what}: {more} more"));
    }
}

fn tell_score(broken: &mut Vec<String>, score: &Score) {
    if !score.is_full() {
        tell(broken, "promised", score.remarks.clone());
    }
}
