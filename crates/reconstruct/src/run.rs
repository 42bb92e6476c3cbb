//! Many mailboxes: one bad one never stops the others.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use incident::RunStart;
use mailstore::lock::LockSpace;
use mailstore_format::Timestamp;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::aftercare::{Aftercare, Failure};
use crate::apply::{self, Applied};
use crate::arrivals::{Arrivals, Fate};
use crate::error::Error;
use crate::evidence::{Evidence, Incoming, StoredAnnotation};
use crate::finding::Remedy;
use crate::gather::gather;
use crate::memory::{Memory, Remembered};
use crate::observer::Observer;
use crate::options::Options;
use crate::plan::{Conversations, Elsewhere, Plan, Policy, Reversal, plan};
use crate::plan_file::{PlanWriter, SavedPlans};
use crate::report::{FollowUp, MailboxReport, State, Summary};
use crate::resume::Progress;
use crate::site::Site;
use crate::staging::Discard;
use crate::target::Target;
use crate::workshop::Workshop;

/// The report of a mailbox, in its folder of the run.
const REPORT: &str = "report.json";

/// A run over mailboxes: its settings, and what it tells of itself to whom.
pub struct Run<'a> {
    options: &'a Options,
    site: &'a Site,
    observer: &'a dyn Observer,
    aftercare: Aftercare,
    memory: Option<Arc<Memory>>,
    start: Option<RunStart>,
    permit: &'a Permit<'a>,
    pool: ThreadPool,
}

/// Asked under a mailbox's locks before anything of it is written: why that must not be, if it must
/// not.
pub type Permit<'a> = dyn Fn() -> Result<(), Unknown> + Sync + 'a;

/// What every step of a run needs.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) pool: &'a ThreadPool,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) lock_space: Option<&'a LockSpace>,
    pub(crate) site: &'a Site,
    /// How the run began, which is noted beside the mail before it changes any.
    pub(crate) start: Option<&'a RunStart>,
    /// Whether it may still write, asked under the locks.
    pub(crate) permit: &'a Permit<'a>,
    /// What an earlier run did, where that is to be undone.
    pub(crate) reversal: Option<&'a Reversal>,
    /// What is to come into the mailbox, where anything is.
    pub(crate) incoming: Option<&'a Arc<Incoming>>,
}

impl<'a> Run<'a> {
    /// A run with these settings.
    ///
    /// # Panics
    /// Where the system gives no threads at all.
    #[must_use]
    pub fn new(options: &'a Options, site: &'a Site, observer: &'a dyn Observer) -> Self {
        let pool = ThreadPoolBuilder::new()
            .num_threads(options.jobs.max(1))
            .thread_name(|n| format!("reader-{n}"))
            .build()
            .expect("a process can start threads");
        let (aftercare, memory, start) = (Aftercare::none(), None, None);
        Self { options, site, observer, aftercare, memory, start, permit: &|| Ok(()), pool }
    }

    /// With what is to be done after repairs.
    #[must_use]
    pub fn with_aftercare(self, aftercare: Aftercare) -> Self {
        Self { aftercare, ..self }
    }

    /// With an incident that remembers what becomes of each repaired mailbox.
    #[must_use]
    pub fn with_memory(self, memory: impl Into<Arc<Memory>>) -> Self {
        Self { memory: Some(memory.into()), ..self }
    }

    /// Asking this under the locks of each mailbox, before anything of it is written.
    #[must_use]
    pub fn permitted_by(self, permit: &'a Permit<'a>) -> Self {
        Self { permit, ..self }
    }

    /// Beginning like this, which is noted beside the mail that it changes.
    #[must_use]
    pub fn with_start(self, start: RunStart) -> Self {
        Self { start: Some(start), ..self }
    }

    pub(crate) fn aftercare(&self) -> &Aftercare {
        &self.aftercare
    }

    /// Says what is wrong with each mailbox and what a repair would do. Changes nothing: it has
    /// nothing to write with.
    #[must_use]
    pub fn survey(&self, targets: &[Target]) -> Summary {
        self.over(targets, &|context, target, policy| {
            let evidence = gather(context, target, None, None, &mut Discard::default())?;
            let plan = plan(&evidence, policy);
            let state = if plan.rewrite.is_some() { State::Planned } else { unchanged(&plan) };
            Ok(report(context, target, state, &evidence, plan))
        })
    }

    /// Repairs each mailbox. `progress` remembers which are done, for a run that resumes this one.
    pub fn repair(&self, targets: &[Target], workshop: &Workshop, progress: &Progress) -> Summary {
        let begun = Instant::now();
        let mut summary = self.over(targets, &|context, target, policy| {
            if progress.is_done(&target.key) {
                return Ok(MailboxReport::new(&target.name, State::Resumed));
            }
            let applied = apply::repair(context, target, workshop, policy)?;
            let report = self.applied(context, target, workshop, applied);
            // What has damage left is looked at again, so that the status of the run that resumes
            // this one tells of it.
            let wrote = report.state == State::Repaired;
            if !report.damage_left() {
                progress.done(workshop, &target.key, wrote);
            }
            Ok(report)
        });
        self.finish(&mut summary, begun);
        summary.run =
            (summary.repaired > 0 || progress.was_kept()).then(|| workshop.run().to_owned());
        summary
    }

    /// Repairs one mailbox, for a caller whose run goes on and has [`Self::settle`] end it.
    #[must_use]
    pub fn repair_one(&self, target: &Target, workshop: &Workshop) -> MailboxReport {
        let repair = |context: &Context<'_>, target: &Target, policy| {
            let applied = apply::repair(context, target, workshop, policy)?;
            Ok(self.applied(context, target, workshop, applied))
        };
        let budget =
            self.options.prune.map_or(0, |prune| prune.run_limit(expected_messages(target)));
        one(&self.context(), target, &repair, &Mutex::new(budget))
    }

    /// Brings in step what concerns users and the server as a whole, after [`Self::repair_one`]. Tells
    /// what failed.
    pub fn settle(&self) -> Vec<Failure> {
        self.aftercare.of_run()
    }

    /// Notes that what the run did to a mailbox is undone.
    pub(crate) fn forget(&self, target: &Target, report: &mut MailboxReport) {
        let Some(memory) = &self.memory else { return };
        if report.state == State::Undone {
            let failed = memory.forget(target, report).err().map(|error| not_remembered(&error));
            report.aftercare_failures.extend(failed);
        }
    }

    fn remember(&self, what: &Remembered<'_>) -> Result<(), Failure> {
        let Some(memory) = &self.memory else { return Ok(()) };
        memory.remember(what).map_err(|error| not_remembered(&error))
    }

    /// The same as [`Self::survey`], and keeps the plans.
    #[must_use]
    pub fn survey_saving(&self, targets: &[Target], plans: &PlanWriter) -> Summary {
        self.over(targets, &|context, target, policy| {
            let policy = Policy { now: plans.now(), ..policy };
            let evidence = gather(context, target, None, None, &mut Discard::default())?;
            let plan = plan(&evidence, policy);
            plans
                .add(target, &evidence, &plan, policy)
                .map_err(|source| Error::io("save the plan of", &target.location.spool, source))?;
            let state = if plan.rewrite.is_some() { State::Planned } else { unchanged(&plan) };
            Ok(report(context, target, state, &evidence, plan))
        })
    }

    /// Applies plans that were saved to those mailboxes that are what they were.
    pub fn apply(&self, targets: &[Target], plans: &SavedPlans, workshop: &Workshop) -> Summary {
        let begun = Instant::now();
        let mut summary = self.over(targets, &|context, target, _| {
            let Some((saved, policy)) = plans.of(target) else {
                return Ok(MailboxReport::refused(&target.name, "there is no plan for it"));
            };
            Ok(match apply::apply_saved(context, target, workshop, policy, saved)? {
                Ok(applied) => self.applied(context, target, workshop, applied),
                Err(why) => {
                    let why = format!("{why}; nothing was changed: make a new plan");
                    MailboxReport::refused(&target.name, why)
                }
            })
        });
        self.finish(&mut summary, begun);
        summary.run = (summary.repaired > 0).then(|| workshop.run().to_owned());
        summary
    }

    /// What concerns users and the server as a whole is brought in step, and the incident told.
    fn finish(&self, summary: &mut Summary, begun: Instant) {
        summary.aftercare_failures.extend(self.aftercare.of_run());
        summary.remembered = self.memory.is_some();
        if let Some(memory) = &self.memory {
            let ended = memory.end(summary, begun.elapsed());
            summary.aftercare_failures.extend(ended.err().map(|error| not_remembered(&error)));
        }
    }

    /// Brings messages into mailboxes that are sound: `arrivals` tells which into each.
    pub fn deliver(
        &self,
        targets: &[Target],
        arrivals: &ArrivalsFor<'_>,
        workshop: &Workshop,
    ) -> Summary {
        let (begun, wrote) = (Instant::now(), AtomicBool::new(false));
        let mut summary = self.over(targets, &|context, target, policy| {
            let arrivals = arrivals(target).map_err(Error::ArrivalsUnknown)?;
            let applied = apply::deliver(context, target, workshop, policy, arrivals)?;
            wrote.fetch_or(applied.wrote, Ordering::Relaxed);
            Ok(self.applied(context, target, workshop, applied))
        });
        self.finish(&mut summary, begun);
        summary.run = wrote.into_inner().then(|| workshop.run().to_owned());
        summary
    }

    /// Says what [`Self::deliver`] would do. Changes nothing.
    #[must_use]
    pub fn survey_delivery(&self, targets: &[Target], arrivals: &ArrivalsFor<'_>) -> Summary {
        self.over(targets, &|context, target, policy| {
            let mut sink = Discard::default();
            let evidence = gather(context, target, None, None, &mut sink)?;
            let arrivals = arrivals(target).map_err(Error::ArrivalsUnknown)?;
            let incoming = apply::look_at_sources(&evidence, policy.now, arrivals, &mut sink)?;
            let evidence = Evidence { incoming: Some(Arc::new(incoming)), ..evidence };
            let plan = plan(&evidence, policy);
            let state = if plan.rewrite.is_some() { State::Planned } else { unchanged(&plan) };
            Ok(report(context, target, state, &evidence, plan))
        })
    }

    /// What comes after a mailbox was looked at and, where needed, written: the rest of the server is
    /// brought in step, and the report is kept beside the mail.
    pub(crate) fn applied(
        &self,
        context: &Context<'_>,
        target: &Target,
        workshop: &Workshop,
        applied: Applied,
    ) -> MailboxReport {
        let Applied { evidence, plan, wrote, locked } = applied;
        // By a run that was cut short before it could do what comes after.
        let mut arrived = plan.arrived.iter();
        let before = arrived.any(|it| matches!(it.fate, Fate::DeliveredBefore { .. }));
        let state = match wrote {
            _ if before => State::Delivered,
            true if evidence.incoming.is_some() => State::Delivered,
            true => State::Repaired,
            false => unchanged(&plan),
        };
        let wanted = plan.wanted.clone();
        let mut report = report(context, target, state, &evidence, plan);
        if before {
            let elsewhere = Elsewhere { quota: true, conversations: Conversations::LackThreads };
            report.follow_up = follow_up(context, target, elsewhere);
        }
        report.locked_ms = u64::try_from(locked.as_millis()).unwrap_or(u64::MAX);
        self.aftercare.of_mailbox(target, &mut report);
        if wrote {
            note(target, workshop, &report);
        }
        let (wanted, evidence) = (&*wanted, &evidence);
        self.remember(&Remembered { target, report: &report, wanted, evidence })
            .unwrap_or_else(|failure| report.aftercare_failures.push(failure));
        report
    }

    fn context(&self) -> Context<'_> {
        Context {
            options: self.options,
            pool: &self.pool,
            observer: self.observer,
            lock_space: self.site.lock_space(),
            site: self.site,
            start: self.start.as_ref(),
            permit: self.permit,
            reversal: None,
            incoming: None,
        }
    }

    /// Works on the mailboxes, several at a time, so that one that waits for a lock or a disk does
    /// not stop the others.
    pub(crate) fn over(&self, targets: &[Target], work: &Work<'_>) -> Summary {
        let messages = targets.iter().map(expected_messages).sum();
        self.observer.started(targets.len(), messages);
        let context = self.context();
        let (next, summary) = (AtomicUsize::new(0), Mutex::new(Summary::default()));
        let prune_budget = self.options.prune.map_or(0, |prune| prune.run_limit(messages));
        let prune_budget = Mutex::new(prune_budget);
        let worker = || {
            while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                let report = one(&context, target, work, &prune_budget);
                self.observer.finished(&report);
                if let Ok(mut summary) = summary.lock() {
                    summary.add(&report);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..=self.options.jobs.min(targets.len()) {
                scope.spawn(worker);
            }
        });
        summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Which messages are to come into a mailbox.
pub type ArrivalsFor<'a> = dyn Fn(&Target) -> Result<Arrivals, Unknown> + Sync + 'a;

/// What a caller says who does not know, or does not allow.
pub type Unknown = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Work<'w> =
    dyn Fn(&Context<'_>, &Target, Policy) -> Result<MailboxReport, Error> + Sync + 'w;

fn one(
    context: &Context<'_>,
    target: &Target,
    work: &Work<'_>,
    prune_budget: &Mutex<u64>,
) -> MailboxReport {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let prune = context.options.prune;
    // The budget of a run that prunes is one: its mailboxes take turns.
    let mut budget = prune.and_then(|_| prune_budget.lock().ok());
    let policy = Policy { prune, prune_budget: budget.as_deref().copied().unwrap_or(0), now };
    match work(context, target, policy) {
        Ok(report) => {
            if let Some(budget) = budget.as_deref_mut() {
                *budget = budget.saturating_sub(report.pruned());
            }
            report
        }
        Err(error) => MailboxReport {
            findings: error.finding().into_iter().collect(),
            ..MailboxReport::failed(&target.name, error.to_string())
        },
    }
}

/// Notes what was done, for those who look into the run's folder later: the repair does not depend
/// on it.
fn note(target: &Target, workshop: &Workshop, report: &MailboxReport) {
    if let Ok(json) = serde_json::to_vec(report) {
        let folder = target.folder(workshop, &target.location.index);
        let _: Result<(), _> = workshop.put_file(&folder, REPORT, &json);
    }
}

fn not_remembered(error: &incident::Error) -> Failure {
    Failure { follow_up: None, why: format!("the incident does not remember it: {error}") }
}

/// The state of a mailbox in which nothing is written.
pub(crate) fn unchanged(plan: &Plan) -> State {
    let left = plan.findings.iter().any(|finding| finding.remedy == Remedy::Left);
    if left { State::Left } else { State::Sound }
}

/// What the operator has to bring in step with the rewritten mailbox.
pub(crate) fn follow_up(
    context: &Context<'_>,
    target: &Target,
    elsewhere: Elsewhere,
) -> Vec<FollowUp> {
    let user = String::from_utf8_lossy(&target.owner).into_owned();
    let has_conversations = context.site.has_conversations() && !user.is_empty();
    let conversations = match elsewhere.conversations {
        _ if !has_conversations => None,
        Conversations::InStep => None,
        Conversations::LackThreads => Some(FollowUp::Conversations(user)),
        Conversations::OutOfStep => Some(FollowUp::ConversationCounts(user)),
    };
    let quota = elsewhere.quota && target.listed.listed;
    let cached = context.site.has_status_cache() && target.listed.listed;
    let status = || {
        let name = target.internal_name();
        FollowUp::StatusCache(String::from_utf8_lossy(name.as_bytes()).into_owned())
    };
    let steps = [quota.then_some(FollowUp::Quota), conversations, cached.then(status)];
    steps.into_iter().flatten().collect()
}

pub(crate) fn report(
    context: &Context<'_>,
    target: &Target,
    state: State,
    evidence: &Evidence,
    plan: Plan,
) -> MailboxReport {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let follow_up =
        plan.rewrite.as_ref().map(|rewrite| follow_up(context, target, rewrite.elsewhere));
    let read = evidence.messages.iter().filter_map(|message| message.reading.as_ref());
    MailboxReport {
        messages: count(evidence.messages.len()),
        messages_read: count(read.clone().count()),
        bytes_read: read.map(|reading| reading.fields.size).sum(),
        wanted: count(plan.wanted.len()),
        findings: plan.findings,
        arrived: plan.arrived,
        follow_up: follow_up.unwrap_or_default(),
        ..MailboxReport::new(&target.name, state)
    }
}

/// Messages a mailbox has, as far as the size of its index tells.
fn expected_messages(target: &Target) -> u64 {
    const HEADER: u64 = 160;
    const RECORD: u64 = 112;
    // A hole in a file holds no messages.
    let size = |meta: Metadata| meta.len().min(meta.blocks().saturating_mul(512));
    let index = target.location.index.symlink_metadata();
    index.map_or(0, size).saturating_sub(HEADER) / RECORD
}

impl Context<'_> {
    /// The annotations of the mailbox itself; `None` where they cannot be read.
    pub(crate) fn mailbox_annotations(&self, target: &Target) -> Option<Vec<StoredAnnotation>> {
        self.site.mailbox_annotations(target)
    }
}
