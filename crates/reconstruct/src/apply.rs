//! The only code that changes a mailbox: stage beside it, lock, look again, commit by one rename.
//!
//! The order of steps, and what a crash after each leaves:
//!
//! 1. New files are written and fsynced in the run's folder: the mailbox is untouched.
//! 2. Under all locks the mailbox is compared with the evidence; what changed is taken over.
//! 3. How the run began, journal and manifest are written: every name that will change, with what
//!    stands there before and after. The originals get second names in the run's folder: only names
//!    were added.
//! 4. Messages that belong to a record whose file is another get a second name in the quarantine,
//!    and those that change their UID their new name: only names were added, the old index serves.
//! 5. The former are exchanged, one after the other, for what stands under their records' names: each
//!    exchange is one instant, and gives one record its own message back. All have their second
//!    names before the first is exchanged, and are ordered so that each has a name in the mailbox at
//!    every instant; where three or more stand in a circle, the first thing a run does after one that
//!    was killed here is to finish the exchanges.
//! 6. `cyrus.header` is renamed into place: keyword slots were only added, the old index serves.
//! 7. `cyrus.index` is renamed into place: **the commit**. Beside the old cache it serves, because
//!    the server checks each cache record against the index's CRC and parses the message anew.
//! 8. `cyrus.cache` is renamed into place, and old names and all else that is set aside are moved to
//!    the quarantine, as what they are and unopened.
//!
//! At every instant each message is served as before or as after: steps 3 and 4 change nothing that
//! the old index knows, step 5 puts right what both indexes know, and what step 8 takes away the new
//! index does not know. A crash leaves a mailbox for which the next run plans what is left to do, and
//! which `undo` can put back: an entry is either still at its name, or at the one in the manifest.

mod changes;
mod commit;
mod deliver;
mod keep;
mod line_ends;
mod put;
mod rename;
mod sessions;
mod space;
mod stage;

#[cfg(test)]
mod tests;

use std::time::Duration;

use mailstore::lock::{LockMode, MailboxLocks};

use crate::error::Error;
use crate::evidence::Evidence;
use crate::gather::gather;
use crate::observer::tell_wait;
use crate::plan::{Plan, Policy, plan_reversing};
use crate::plan_file::SavedPlan;
use crate::run::Context;
use crate::staging::LazyStaging;
use crate::target::Target;
use crate::undo;
use crate::workshop::Workshop;

pub(crate) use deliver::{deliver, look_at_sources};

use changes::Since;
use stage::Staged;

/// How often a mailbox that changes meanwhile is looked at again without its locks.
const ATTEMPTS: usize = 4;
/// So many messages that came or changed meanwhile are looked at under the locks.
const FEW: usize = 256;

/// A mailbox that was looked at and, where needed, repaired.
pub(crate) struct Applied {
    pub(crate) evidence: Evidence,
    pub(crate) plan: Plan,
    pub(crate) wrote: bool,
    /// How long the mailbox's locks were held.
    pub(crate) locked: Duration,
}

/// Looks at `target` and does what the plan says. Of what was staged and not used nothing stays.
pub(crate) fn repair(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
) -> Result<Applied, Error> {
    let applied = finish_interrupted(context, target, workshop, policy)
        .and_then(|()| look_and_repair(context, target, workshop, policy));
    sweep(target, workshop);
    applied
}

/// Applies `saved`, where the mailbox is what it was and the plan comes out the same. `Err(why)`
/// inside where it is not; nothing is then changed.
pub(crate) fn apply_saved(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    saved: &SavedPlan,
) -> Result<Result<Applied, &'static str>, Error> {
    let applied = look_and_apply(context, target, workshop, policy, saved);
    sweep(target, workshop);
    applied
}

fn look_and_apply(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    saved: &SavedPlan,
) -> Result<Result<Applied, &'static str>, Error> {
    let mut staging = LazyStaging::new(workshop, &target.recovery);
    let evidence = gather(context, target, None, None, &mut staging)?;
    if !saved.is_for(&evidence) {
        return Ok(Err(CHANGED));
    }
    let mut plan = plan_reversing(&evidence, policy, None);
    let Some(rewrite) = plan.rewrite.as_ref().filter(|_| saved.is(&plan)) else {
        return Ok(Err("another release of this tool made the plan, or the file was changed"));
    };
    staging.finish()?;
    let staged = match Staged::write(target, workshop, rewrite, &staging, None) {
        Err(Error::KeepsChanging) => return Ok(Err(CHANGED)),
        staged => staged?,
    };
    staged.verify(rewrite)?;
    let locks = lock(context, target)?;
    match Since::look(target, &evidence, &rewrite.file_steps)? {
        Since::Unchanged => {}
        Since::Changed { .. } => return Ok(Err(CHANGED)),
    }
    let ended = sessions::end(context.site.conf(), target, &evidence, rewrite);
    commit::commit(context, target, workshop, rewrite, &staged, policy.now)?;
    plan.findings.extend(ended);
    let locked = held_for(locks.as_ref());
    Ok(Ok(Applied { evidence, plan, wrote: true, locked }))
}

/// Why a saved plan is not applied.
const CHANGED: &str = "it is not any more what it was when the plan was made";

fn sweep(target: &Target, workshop: &Workshop) {
    // Each of the mailbox's files can lie on a file system of its own, and so be staged there.
    for root in target.recovery_roots() {
        workshop.sweep(&workshop.folder(root, &target.key));
    }
}

/// What a run or an undo began that was killed among its exchanges of messages is finished before
/// anything is looked at: one of them may lie in its quarantine only.
fn finish_interrupted(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
) -> Result<(), Error> {
    if !commit::is_interrupted(target) && !undo::is_interrupted(target) {
        return Ok(());
    }
    let _locks = lock(context, target)?;
    undo::finish_interrupted(target, workshop, policy.now)?;
    commit::finish_interrupted(target, workshop)
}

fn look_and_repair(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
) -> Result<Applied, Error> {
    let mut staging = LazyStaging::new(workshop, &target.recovery);
    let evidence = gather(context, target, None, None, &mut staging)?;
    repair_from(context, target, workshop, policy, evidence, staging)
}

/// The same, where the evidence was gathered already.
fn repair_from(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    mut evidence: Evidence,
    mut staging: LazyStaging<'_>,
) -> Result<Applied, Error> {
    let mut earlier = None;
    for attempt in 1..=ATTEMPTS {
        let mut plan = plan_reversing(&evidence, policy, context.reversal);
        let Some(rewrite) = &plan.rewrite else {
            return Ok(Applied { evidence, plan, wrote: false, locked: Duration::ZERO });
        };
        staging.finish()?;
        let staged = match Staged::write(target, workshop, rewrite, &staging, earlier.take()) {
            Err(Error::KeepsChanging) if attempt < ATTEMPTS => {
                evidence = gather(context, target, None, Some(&evidence), &mut staging)?;
                continue;
            }
            other => other?,
        };
        staged.verify(rewrite)?;
        let locks = lock(context, target)?;
        match Since::look(target, &evidence, &rewrite.file_steps)? {
            Since::Unchanged => {
                let ended = sessions::end(context.site.conf(), target, &evidence, rewrite);
                commit::commit(context, target, workshop, rewrite, &staged, policy.now)?;
                plan.findings.extend(ended);
                let locked = held_for(locks.as_ref());
                return Ok(Applied { evidence, plan, wrote: true, locked });
            }
            Since::Changed { messages } if messages <= few(attempt) => {
                return take_over(
                    context,
                    target,
                    workshop,
                    policy,
                    TakeOver { evidence: &evidence, staging, staged, locks },
                );
            }
            Since::Changed { .. } => {}
        }
        drop(locks);
        evidence = gather(context, target, None, Some(&evidence), &mut staging)?;
        earlier = Some(staged);
    }
    Err(Error::KeepsChanging)
}

/// How many messages may be looked at under the locks: more, where waiting has not helped.
fn few(attempt: usize) -> usize {
    if attempt == ATTEMPTS { FEW.saturating_mul(16) } else { FEW }
}

/// What there is when the mailbox turns out to have changed since it was looked at.
struct TakeOver<'a> {
    evidence: &'a Evidence,
    staging: LazyStaging<'a>,
    staged: Staged,
    locks: Option<MailboxLocks>,
}

/// Plans anew under the locks, from the evidence as it is now; only what changed is read.
fn take_over(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    found: TakeOver<'_>,
) -> Result<Applied, Error> {
    let TakeOver { evidence: before, mut staging, staged, locks } = found;
    let evidence = gather(context, target, locks.as_ref(), Some(before), &mut staging)?;
    let mut plan = plan_reversing(&evidence, policy, context.reversal);
    if let Some(rewrite) = &plan.rewrite {
        staging.finish()?;
        let staged = Staged::write(target, workshop, rewrite, &staging, Some(staged))?;
        staged.verify_index(rewrite)?;
        let ended = sessions::end(context.site.conf(), target, &evidence, rewrite);
        commit::commit(context, target, workshop, rewrite, &staged, policy.now)?;
        plan.findings.extend(ended);
    }
    let wrote = plan.rewrite.is_some();
    let locked = held_for(locks.as_ref());
    Ok(Applied { evidence, plan, wrote, locked })
}

/// The mailbox's locks, exclusive, and the permit to write under them.
pub(crate) fn lock(context: &Context<'_>, target: &Target) -> Result<Option<MailboxLocks>, Error> {
    let locks = locks_of(context, target)?;
    (context.permit)().map_err(Error::NotPermitted)?;
    Ok(locks)
}

/// None where there is no server.
fn locks_of(context: &Context<'_>, target: &Target) -> Result<Option<MailboxLocks>, Error> {
    let (Some(space), Some(plan)) = (context.lock_space, &target.locks) else { return Ok(None) };
    let (name, observer) = (&target.name, context.observer);
    let mut on_wait = |wait: &mailstore::lock::LockWait| tell_wait(observer, name, wait);
    let timeout = context.options.lock_timeout;
    let locks = MailboxLocks::acquire(space, plan, LockMode::Exclusive, timeout, &mut on_wait)?;
    Ok(Some(locks))
}

pub(crate) fn held_for(locks: Option<&MailboxLocks>) -> Duration {
    locks.map_or(Duration::ZERO, MailboxLocks::held_for)
}

/// Plans for `target`, lets `change` change the plan's files and steps, and carries that out.
#[cfg(test)]
pub(crate) fn apply_changed(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    change: impl FnOnce(&mut crate::plan::Rewrite),
) -> Result<(), Error> {
    let now = crate::test_mailbox::NOW;
    let mut staging = LazyStaging::new(workshop, &target.recovery);
    let evidence = gather(context, target, None, None, &mut staging)?;
    let policy = Policy { prune: None, prune_budget: 0, now };
    let mut rewrite =
        plan_reversing(&evidence, policy, None).rewrite.expect("there is something to repair");
    rewrite.file_steps = crate::plan::FileSteps::default();
    change(&mut rewrite);
    staging.finish()?;
    let staged = Staged::write(target, workshop, &rewrite, &staging, None)?;
    commit::commit(context, target, workshop, &rewrite, &staged, now)
}
