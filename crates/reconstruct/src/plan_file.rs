//! Plans in a file, to be reviewed and applied later.
//!
//! A line of JSON for the store and the settings, then one for each mailbox that would be repaired:
//! what was found, what will be done in words, and two digests. One is of the evidence: where that
//! has changed since, the mailbox is refused. The other is of the plan, which is a function of the
//! evidence: where it is another, another release has made it. Lines may be taken out.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mailstore_format::{Guid, GuidHasher, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::evidence::Evidence;
use crate::finding::Finding;
use crate::options::{Check, DialectChoice, Options, PrunePolicy};
use crate::plan::{Plan, Policy};
use crate::target::Target;

/// What this release writes and understands.
const VERSION: u32 = 1;

/// A file that holds no plans.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanFileError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("line {line} is not what a saved plan has there: {source}")]
    Json {
        /// The number of the line.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It does not begin with the settings.
    #[error("its first line is not that of a saved plan")]
    NoSettings,
    /// Another release wrote it.
    #[error("it is of version {0}, which this release does not know: make a new plan")]
    Version(u32),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<M> {
    Plan(Settings),
    Mailbox(M),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    version: u32,
    /// The configuration of the server whose store it is.
    store: PathBuf,
    /// When the plans were made, in nanoseconds since 1970: the time that new records get.
    now_ns: i64,
    check: Check,
    prune: Option<PrunePolicy>,
    #[serde(default)]
    cache_dialect: DialectChoice,
}

/// A mailbox, as it is written.
#[derive(Debug, Serialize)]
struct MailboxLine<'a> {
    key: &'a str,
    mailbox: &'a str,
    evidence: String,
    plan: String,
    prune_budget: u64,
    findings: &'a [Finding],
    actions: Vec<String>,
}

/// The plan of one mailbox, as far as it has to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SavedPlan {
    key: String,
    /// The mailbox, as operators write it.
    pub(crate) mailbox: String,
    evidence: String,
    plan: String,
    /// How many messages of the run were left to prune.
    pub(crate) prune_budget: u64,
}

/// Takes plans as they are made.
pub struct PlanWriter {
    sink: Mutex<Box<dyn Write + Send>>,
    now: Timestamp,
}

impl fmt::Debug for PlanWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanWriter").field("now", &self.now).finish_non_exhaustive()
    }
}

impl PlanWriter {
    /// Begins a file of plans, made at `now` with `options` for the store with this configuration.
    pub fn new(
        mut sink: Box<dyn Write + Send>,
        store: &Path,
        options: &Options,
        now: Timestamp,
    ) -> io::Result<Self> {
        let Options { check, prune, cache_dialect, .. } = *options;
        let settings = Settings {
            version: VERSION,
            store: store.into(),
            now_ns: now.0,
            check,
            prune,
            cache_dialect,
        };
        write_line(&mut sink, &Line::<MailboxLine<'_>>::Plan(settings))?;
        Ok(Self { sink: Mutex::new(sink), now })
    }

    /// The time for which plans are made.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds a mailbox for which there is something to do.
    pub(crate) fn add(
        &self,
        target: &Target,
        evidence: &Evidence,
        plan: &Plan,
        policy: Policy,
    ) -> io::Result<()> {
        let Some(rewrite) = &plan.rewrite else { return Ok(()) };
        let line = MailboxLine {
            key: &target.key,
            mailbox: &target.name,
            evidence: digest_of_evidence(evidence).to_string(),
            plan: digest(plan).to_string(),
            prune_budget: policy.prune_budget,
            findings: &plan.findings,
            actions: rewrite.actions(),
        };
        let mut sink = self.sink.lock().map_err(|error| io::Error::other(error.to_string()))?;
        write_line(&mut *sink, &Line::Mailbox(line))
    }

    /// Makes sure that all is written.
    pub fn finish(self) -> io::Result<()> {
        let mut sink = self.sink.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        sink.flush()
    }
}

fn write_line(sink: &mut dyn Write, line: &Line<MailboxLine<'_>>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    sink.write_all(&text)
}

/// Plans that were saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPlans {
    settings: Settings,
    by_key: HashMap<String, SavedPlan>,
}

impl SavedPlans {
    /// Reads a file of plans.
    pub fn read(file: impl BufRead) -> Result<Self, PlanFileError> {
        let (mut settings, mut by_key) = (None, HashMap::new());
        for (at, text) in file.lines().enumerate() {
            let (text, line) = (text?, at.saturating_add(1));
            if text.trim().is_empty() {
                continue;
            }
            let read = serde_json::from_str::<Line<SavedPlan>>(&text);
            match read.map_err(|source| PlanFileError::Json { line, source })? {
                Line::Plan(found) if found.version != VERSION => {
                    return Err(PlanFileError::Version(found.version));
                }
                Line::Plan(found) => settings = Some(found),
                Line::Mailbox(plan) => {
                    by_key.insert(plan.key.clone(), plan);
                }
            }
        }
        let settings = settings.ok_or(PlanFileError::NoSettings)?;
        Ok(Self { settings, by_key })
    }

    /// The configuration of the server whose store they are for.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.settings.store
    }

    /// `options` with the settings for which the plans were made.
    #[must_use]
    pub fn options(&self, options: &Options) -> Options {
        let Settings { check, prune, cache_dialect, .. } = self.settings;
        Options { check, prune, cache_dialect, ..options.clone() }
    }

    /// Those of `targets` of which there is a plan, and the names of mailboxes that are none of them.
    #[must_use]
    pub fn select(&self, targets: Vec<Target>) -> (Vec<Target>, Vec<String>) {
        let planned = |target: &Target| self.by_key.contains_key(&target.key);
        let targets: Vec<_> = targets.into_iter().filter(planned).collect();
        let is_gone = |plan: &&SavedPlan| targets.iter().all(|target| target.key != plan.key);
        let gone = self.by_key.values().filter(is_gone).map(|plan| plan.mailbox.clone());
        let gone = gone.collect();
        (targets, gone)
    }

    /// The plan of a mailbox, and the policy by which it was made.
    pub(crate) fn of(&self, target: &Target) -> Option<(&SavedPlan, Policy)> {
        let saved = self.by_key.get(&target.key)?;
        let Settings { prune, now_ns, .. } = self.settings;
        let policy = Policy { prune, prune_budget: saved.prune_budget, now: Timestamp(now_ns) };
        Some((saved, policy))
    }
}

impl SavedPlan {
    /// Whether the mailbox is what it was.
    pub(crate) fn is_for(&self, evidence: &Evidence) -> bool {
        digest_of_evidence(evidence).to_string() == self.evidence
    }

    /// Whether this is the plan.
    pub(crate) fn is(&self, plan: &Plan) -> bool {
        digest(plan).to_string() == self.plan
    }
}

/// A digest of all that is known about a mailbox. It is taken of the printed form, so that nothing
/// can be forgotten. Only what changes with every other mailbox of the user is left out: the
/// highest modseq handed out. Where it counts, the plan tells.
fn digest_of_evidence(evidence: &Evidence) -> Guid {
    let Evidence {
        directory,
        index,
        header_file,
        spool_cache,
        archive_cache,
        shares_cache,
        messages,
        strays,
        leftover,
        witnesses,
        annotations,
        annotations_whole,
        journal,
        index_trust,
        // No saved plan brings messages in.
        incoming: _,
        // What the rest of the store tells of its server may change: the plan's digest tells.
        cache_dialect: _,
    } = evidence;
    // What other mailboxes tell changes while these are repaired; where that makes another plan of
    // this one, the plan's own digest tells.
    let witnesses = crate::evidence::Witnesses {
        counters_highest: None,
        header_traces: crate::evidence::HeaderTraces::default(),
        store_version: None,
        ..witnesses.clone()
    };
    let caches = (spool_cache, archive_cache, shares_cache);
    let rest = (strays, leftover, witnesses, annotations, annotations_whole, journal);
    digest(&((directory, index, index_trust, header_file), caches, messages, rest))
}

fn digest(value: &dyn fmt::Debug) -> Guid {
    let mut hasher = Hasher(GuidHasher::default());
    // Hashing does not fail.
    let _: fmt::Result = write!(hasher, "{value:?}");
    hasher.0.finish()
}

struct Hasher(GuidHasher);

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> String {
        let line = Line::<SavedPlan>::Plan(Settings {
            version: VERSION,
            store: "/etc/imapd.conf".into(),
            now_ns: 7,
            check: Check::Full,
            prune: Some(PrunePolicy { max_percent: 0.3, ..PrunePolicy::default() }),
            cache_dialect: DialectChoice::Cyrus313,
        });
        let Line::Plan(settings) = line else { unreachable!() };
        serde_json::to_string(&Line::<MailboxLine<'_>>::Plan(settings)).unwrap()
    }

    const MAILBOX: &str = r#"{"type":"mailbox","key":"k","mailbox":"user.a","evidence":"00","plan":"11","prune_budget":3,"findings":[],"actions":["write"],"added_later":1}"#;

    #[test]
    fn settings_and_mailboxes_come_back_from_the_file_and_lines_may_be_taken_out() {
        let both = format!("{}\n{MAILBOX}\n\n", settings());
        let saved = SavedPlans::read(both.as_bytes()).unwrap();
        assert_eq!(saved.store(), Path::new("/etc/imapd.conf"));
        let options = saved.options(&Options { jobs: 3, ..Options::default() });
        assert_eq!((options.check, options.jobs), (Check::Full, 3));
        assert_eq!(options.cache_dialect, DialectChoice::Cyrus313);
        assert_eq!(options.prune.unwrap().max_percent.to_bits(), 0.3_f64.to_bits());
        let mut target = Target::in_directory(Path::new("/nowhere"));
        assert!(saved.of(&target).is_none());
        let (chosen, gone) = saved.select(vec![target.clone()]);
        assert!(chosen.is_empty() && gone == ["user.a"], "{gone:?}");
        target.key = "k".to_owned();
        let (_, policy) = saved.of(&target).unwrap();
        assert_eq!((policy.now, policy.prune_budget), (Timestamp(7), 3));
        let none = SavedPlans::read(settings().as_bytes()).unwrap();
        assert!(none.of(&target).is_none());
    }

    #[test]
    fn what_is_no_file_of_plans_is_told() {
        let read = |text: &str| SavedPlans::read(text.as_bytes()).unwrap_err().to_string();
        assert!(read("").contains("first line"));
        assert!(read(MAILBOX).contains("first line"));
        assert!(read("nonsense").contains("line 1"));
        assert!(read(&settings().replace("\"version\":1", "\"version\":2")).contains("version 2"));
    }
}
