//! One worker: claims a job, repairs its mailboxes one after the other, lets its user in.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use incident::queue::{Claim, EventKind, Job, JobMailbox, JobState, MailboxEnd, Queue};
use mailstore::sync_log::SyncLog;
use reconstruct::{
    Aftercare, Code, FollowUp, MailboxReport, Remedy, Run, Silent, State, Target, Unknown,
};

use super::snapshot::Snapshot;
use super::{IDLE, RunnerError, Shop};
use crate::clock::now;

/// So often a mailbox is repaired that turns out to need it again.
const LOOKS: usize = 3;
/// Where a job failed, its worker rests this long, times its attempts: what is in the way may go.
const REST: Duration = Duration::from_secs(1);

pub(super) struct Worker<'a> {
    shop: &'a Shop<'a>,
    /// Since when it is free for the next mailbox: what comes between two mailboxes of its counts to the
    /// second, so that estimates reckon with it.
    free_since: Cell<Instant>,
}

/// How a job ended for its worker.
enum Ending {
    Done,
    Failed(String),
    /// The runner is to stop.
    Stopped,
    /// The claim does not count any more.
    Lost,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shop: &'a Shop<'a>) -> Self {
        Self { shop, free_since: Cell::new(Instant::now()) }
    }

    pub(super) fn work(&self) {
        let shop = self.shop;
        while !shop.is_stopping() {
            match self.next_job() {
                Ok(Some((claim, job))) => shop.keep_failure(self.work_on(claim, &job)),
                Ok(None) => match self.is_all_done() {
                    Ok(true) => break,
                    Ok(false) => {
                        shop.look_at_access_now_and_then();
                        shop.runner.stop.sleep(IDLE);
                        self.free_since.set(Instant::now());
                    }
                    Err(error) => shop.keep_failure(Err(error)),
                },
                Err(error) => shop.keep_failure(Err(error)),
            }
        }
    }

    /// What a runner left that is gone, else the next that waits.
    fn next_job(&self) -> Result<Option<(Claim, Job)>, RunnerError> {
        let shop = self.shop;
        while let Some(left) = shop.watch.next_left(Instant::now()) {
            if let Some(taken) = shop.queue.take_over(&left, shop.id)? {
                return Ok(Some(taken));
            }
        }
        Ok(shop.queue.claim(shop.runner.store, shop.id)?)
    }

    fn is_all_done(&self) -> Result<bool, RunnerError> {
        if !self.shop.runner.settings.until_empty {
            return Ok(false);
        }
        let totals = self.shop.queue.totals(self.shop.runner.store)?;
        let is_to_do = |state| matches!(state, JobState::Waiting | JobState::Running);
        Ok(!totals.iter().any(|total| is_to_do(total.state)))
    }

    fn work_on(&self, claim: Claim, job: &Job) -> Result<(), RunnerError> {
        let (shop, witness) = (self.shop, self.shop.runner.witness);
        witness.claimed(&job.user);
        let repair = AssertUnwindSafe(|| self.repair(claim, job));
        // The last net: a panic is a bug, and must not leave the job to a runner that still lives.
        let ending = std::panic::catch_unwind(repair)
            .unwrap_or_else(|_| Ok(Ending::Failed("the repair panicked: report it".to_owned())))?;
        match ending {
            Ending::Done => {
                let may = || shop.queue.holds(claim);
                let opened =
                    shop.runner.doorkeeper.open(claim.job, may, || shop.queue.complete(claim));
                match opened {
                    Ok(Some(Some(state))) => witness.ended(&job.user, state, None),
                    Ok(_) => {}
                    Err(error) => self.fail(claim, job, &error.to_string())?,
                }
            }
            Ending::Failed(why) => self.fail(claim, job, &why)?,
            Ending::Stopped => {
                shop.queue.lay_back(claim)?;
            }
            Ending::Lost => {
                let told = format!("{}: the job was taken over, held or cancelled", job.user);
                witness.warned(&told);
            }
        }
        Ok(())
    }

    fn fail(&self, claim: Claim, job: &Job, why: &str) -> Result<(), RunnerError> {
        let shop = self.shop;
        if let Some(state) = shop.queue.fail(claim, why, shop.runner.settings.attempts)? {
            shop.runner.witness.ended(&job.user, state, Some(why));
            shop.runner.stop.sleep(REST.saturating_mul(job.attempts.saturating_add(1)));
            self.free_since.set(Instant::now());
        }
        Ok(())
    }

    fn repair(&self, claim: Claim, job: &Job) -> Result<Ending, RunnerError> {
        let shop = self.shop;
        let mut snapshot = shop.snapshots.newest();
        let mut targets = Vec::new();
        for mailbox in shop.queue.mailboxes_of(claim.job)? {
            if mailbox.end.is_some() {
                continue;
            }
            let mut target = snapshot.target(&mailbox.mailbox);
            if target.is_none()
                && let Some(newer) = shop.snapshots.newer_than(&snapshot)?
            {
                snapshot = newer;
                target = snapshot.target(&mailbox.mailbox);
            }
            targets.push((mailbox, target));
        }
        self.repair_all(claim, job, &snapshot, targets)
    }

    fn repair_all(
        &self,
        claim: Claim,
        job: &Job,
        snapshot: &Arc<Snapshot>,
        mailboxes: Vec<(JobMailbox, Option<Target>)>,
    ) -> Result<Ending, RunnerError> {
        let (shop, options) = (self.shop, &self.shop.runner.settings.options);
        let queue = shop.queue;
        let permit = move || permit(queue, claim);
        let run = Run::new(options, &snapshot.site, &Silent)
            .with_aftercare(self.aftercare(job, snapshot).owing(self.owed(claim, job, &mailboxes)))
            .with_memory(Arc::clone(&shop.memory))
            .with_start(shop.start.clone())
            .permitted_by(&permit);
        let mut failed = None;
        for (mailbox, target) in mailboxes {
            if shop.is_stopping() {
                self.settle(&run, claim)?;
                return Ok(Ending::Stopped);
            }
            let outcome = match &target {
                None => {
                    let told = &mailbox.mailbox.name;
                    shop.queue.tell(Some(claim.job), EventKind::MailboxGone, told)?;
                    Ok(None)
                }
                Some(target) => self.repair_mailbox(&run, target).map(Some),
            };
            match outcome {
                Ok(outcome) => {
                    let seconds = self.free_since.replace(Instant::now()).elapsed().as_secs_f64();
                    let end = MailboxEnd { outcome, seconds, at: now() };
                    if !shop.queue.mailbox_ended(claim, mailbox.position, &end)? {
                        return Ok(Ending::Lost);
                    }
                }
                Err(_) if !shop.queue.holds(claim)? => return Ok(Ending::Lost),
                Err(why) => {
                    failed.get_or_insert(format!("{}: {why}", mailbox.mailbox.name));
                }
            }
        }
        self.settle(&run, claim)?;
        Ok(failed.map_or(Ending::Done, Ending::Failed))
    }

    /// Brings in step what the server keeps elsewhere of the user.
    fn settle(&self, run: &Run<'_>, claim: Claim) -> Result<(), RunnerError> {
        for failure in run.settle() {
            self.shop.queue.tell(Some(claim.job), EventKind::OutOfStep, &failure.why)?;
        }
        Ok(())
    }

    /// What whoever had the job before may have left undone: nothing tells what it repaired last.
    fn owed(
        &self,
        claim: Claim,
        job: &Job,
        mailboxes: &[(JobMailbox, Option<Target>)],
    ) -> Vec<FollowUp> {
        let conf = self.shop.runner.conf;
        if claim.is_first() || job.user.is_empty() {
            return Vec::new();
        }
        let mut owed = vec![FollowUp::Quota];
        if conf.conversations() {
            owed.push(FollowUp::ConversationCounts(job.user.clone()));
        }
        if conf.status_cache().is_some() {
            let targets = mailboxes.iter().filter_map(|(_, target)| target.as_ref());
            let names = targets.map(|target| target.internal_name().to_string());
            owed.extend(names.map(FollowUp::StatusCache));
        }
        owed
    }

    /// Repairs a mailbox until a look at it finds nothing to do. Returns what became of it, as the
    /// repair says; or why it cannot be served.
    fn repair_mailbox(&self, run: &Run<'_>, target: &Target) -> Result<String, String> {
        for _ in 0..LOOKS {
            let report = run.repair_one(target, &self.shop.workshop);
            self.count(&report);
            if let Some(why) = why_not_served(&report) {
                return Err(why);
            }
            let is_verified = report.state != State::Repaired
                || run.survey(std::slice::from_ref(target)).planned == 0;
            if is_verified {
                return Ok(report.state.as_str().to_owned());
            }
        }
        Err("it needs to be repaired again and again: look at it with reconstruct -n -v".to_owned())
    }

    fn count(&self, report: &MailboxReport) {
        let mut summary =
            self.shop.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        summary.add(report);
    }

    fn aftercare(&self, job: &Job, snapshot: &Snapshot) -> Aftercare {
        let (runner, witness) = (self.shop.runner, self.shop.runner.witness);
        let tools = match job.user.as_str() {
            "" => runner.tools.clone(),
            user => runner.tools.for_user(user),
        };
        let directory = runner.conf.config_directory();
        let logs = runner.settings.sync_log.iter().filter_map(|channel| {
            let log = SyncLog::of(directory, channel);
            log.map_err(|error| witness.warned(&error.to_string())).ok()
        });
        Aftercare::new(tools, logs.collect(), runner.settings.options.lock_timeout)
            .held_back_by(snapshot.expunge_files(&job.user))
    }
}

/// Whether the claim still counts; asked under a mailbox's locks.
fn permit(queue: &dyn Queue, claim: Claim) -> Result<(), Unknown> {
    if queue.holds(claim)? {
        return Ok(());
    }
    Err("its job was taken over, held or cancelled".into())
}

/// Why the server cannot serve the mailbox, where it cannot. Damage that was left in it is no reason:
/// its owner sees everything else.
fn why_not_served(report: &MailboxReport) -> Option<String> {
    if let Some(error) = &report.error {
        return Some(error.clone());
    }
    let keeps_out = |code| {
        matches!(code, Code::PartitionUnavailable | Code::MailboxMismatch | Code::IndexUnreadable)
    };
    let mut left = report.findings.iter().filter(|finding| finding.remedy == Remedy::Left);
    left.find(|finding| keeps_out(finding.code)).map(ToString::to_string)
}
