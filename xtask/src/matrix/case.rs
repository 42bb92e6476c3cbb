//! One damage, and what two tools make of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mailstore_tests::damage::{Damage, Damaged, Score, Specimen, Survivors};
use mailstore_tests::{Reconstruct, Server, Store, judge, run_within};

/// How long a tool may take for a store of 88 messages.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of a damage, by tool.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) damages: Vec<Damage>,
    pub(crate) ours: Repaired,
    pub(crate) cyrus: Option<Repaired>,
}

/// A store after a tool was at it.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    pub(crate) score: Score,
    /// Processes of the server that died while what is left was looked at.
    pub(crate) deaths: Vec<String>,
    /// What Cyrus's tools have to say against it; `None` where files of messages are destroyed,
    /// of which they would always complain.
    pub(crate) objections: Option<String>,
    /// The tool did not end, or crashed.
    pub(crate) failure: Option<String>,
}

impl Outcome {
    pub(crate) fn of(specimen: &Specimen, kind: &str, seed: u64, with_cyrus: bool) -> Result<Self> {
        let damaged = specimen.damaged(kind, seed)?;
        let theirs = with_cyrus.then(|| damaged.store.copy()).transpose()?;
        let Damaged { store, damages, left } = damaged;

        let failure = run_ours(&store)?;
        let ours = Repaired::look(specimen, store, &left, failure)?;
        let repaired_by_cyrus = |store: Store| {
            let failure = run_cyrus(&store)?;
            Repaired::look(specimen, store, &left, failure)
        };
        let cyrus = theirs.map(repaired_by_cyrus).transpose()?;
        Ok(Self { damages, ours, cyrus })
    }

    pub(crate) fn summary(&self) -> String {
        if self.damages.is_empty() {
            return "nothing to hit".into();
        }
        let ours = self.ours.summary();
        self.cyrus
            .as_ref()
            .map_or(ours.clone(), |cyrus| format!("{ours}; Cyrus {}", cyrus.summary()))
    }

    /// Everything about our tool's result that is not as it should be, for people.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let damages = self.damages.iter().map(|damage| {
            format!("damage: {}: {}: {}", damage.mailbox, damage.kind, damage.detail)
        });
        let ours = &self.ours;
        let deaths = ours.deaths.iter().map(|death| format!("death: {death}"));
        let objections = ours.objections.iter().filter(|text| !text.is_empty());
        let objections =
            objections.flat_map(|text| text.lines().map(|line| format!("judge: {line}")));
        let failure = ours.failure.iter().map(|failure| format!("failure: {failure}"));
        let scored = ours.score.remarks.iter().cloned();
        damages.chain(scored).chain(deaths).chain(objections).chain(failure).collect()
    }
}

impl Repaired {
    /// Serves the store and scores what is seen; asks Cyrus's tools what they think of it before.
    fn look(
        specimen: &Specimen,
        store: Store,
        left: &BTreeMap<String, Survivors>,
        failure: Option<String>,
    ) -> Result<Self> {
        let verdict = judge(&store).map_or_else(|error| format!("{error:#}"), |v| v.to_string());
        let _ = std::fs::remove_file(store.log_file());
        let server = Server::serve(store).context("serving the repaired store")?;
        let seen = specimen.score_served(&server, left);
        let objections = left.values().all(Survivors::every_file_is_whole).then_some(verdict);
        Ok(Self { deaths: server.deaths(), score: seen, objections, failure })
    }

    /// Everything that can be is back, and the server serves it.
    pub(crate) fn is_full(&self) -> bool {
        self.score.is_full()
            && self.deaths.is_empty()
            && self.failure.is_none()
            && self.objections.as_deref().unwrap_or_default().is_empty()
    }

    fn summary(&self) -> String {
        if self.is_full() {
            return "full".into();
        }
        let score = &self.score;
        let objections = self.objections.as_deref().unwrap_or_default();
        let count = |what: &str, count: usize| (count > 0).then(|| format!("{count} {what}"));
        let told = [
            count("UIDVALIDITYs changed", score.uidvalidity.wrong),
            count("messages lost", score.messages.lost),
            count("UIDs", score.uids.lost),
            count("flags", score.flags.lost),
            count("keywords", score.keywords.lost),
            count("thirds", score.thirds()),
            count("too many", score.too_many),
            count("deaths", self.deaths.len()),
            count("objections", objections.lines().count()),
            self.failure.as_ref().map(|failure| format!("tool: {failure}")),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// As an operator runs it after a crash: every message is read.
fn run_ours(store: &Store) -> Result<Option<String>> {
    let tool = Reconstruct::new(store).args(["--user", Specimen::USER, "--check", "full"]);
    let output = run_within(&mut tool.command()?, PATIENCE)?;
    Ok(match output.as_ref().map(|output| output.status.code()) {
        None => Some("it hangs".into()),
        Some(Some(0 | 1)) => None,
        Some(_) => {
            let said = output.map(|output| output.stderr).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            Some(said.lines().next().unwrap_or("it failed").to_owned())
        }
    })
}

/// As its manual has it: the mailbox and those below it, GUIDs computed anew.
fn run_cyrus(store: &Store) -> Result<Option<String>> {
    let mut command = store.command("reconstruct");
    command.args(["-G", "-r", "user.alice"]);
    match run_within(&mut command, PATIENCE) {
        Ok(None) => Ok(Some("it hangs".into())),
        Ok(Some(output)) if output.status.success() => Ok(None),
        Ok(Some(output)) => Ok(Some(output.status.to_string())),
        Err(error) => bail!(error.context("running Cyrus's reconstruct")),
    }
}
