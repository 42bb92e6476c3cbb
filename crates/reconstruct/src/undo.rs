//! `undo`: a mailbox as it was before a run, where nobody changed it since.
//!
//! A run's manifests tell of every name it changed what stood there before and after. Both are told
//! apart by inode, so what a name has now says what was done there and what was undone already: an
//! undo that is cut short is finished by the next. Its first change puts the index back, or what
//! stood in its place; from there on the mailbox is that of before.

mod merge;
mod put_back;
mod standing;

#[cfg(test)]
mod tests;

use mailstore_format::Timestamp;

use crate::apply::{held_for, lock};
use crate::error::Error;
use crate::finding::{Code, Finding, Remedy};
use crate::journal::{self, Course};
use crate::manifest::{self, Change};
use crate::plan::{Conversations, Elsewhere};
use crate::report::{MailboxReport, State, Summary};
use crate::run::{Context, Run, follow_up};
use crate::target::Target;
use crate::workshop::{RECOVERY_DIRECTORY, Workshop, earlier_runs};

use put_back::PutBack;
use standing::Standing;

/// What a run left about one mailbox.
struct Trail {
    /// The run's name.
    run: String,
    /// How far it came.
    course: Course,
    /// What it was about to change, in that order.
    changes: Vec<Change>,
    /// Whether it brought messages from outside. Clients may have seen their UIDs, so that the index
    /// of before cannot serve again: they are expunged.
    brought_messages: bool,
}

impl Trail {
    fn of(target: &Target, run: &str) -> Self {
        let root = target.recovery_root(&target.location.index);
        let folder = root.join(RECOVERY_DIRECTORY).join(run).join(&target.key);
        let changes = manifest::of_run(target, run.as_ref());
        let brought_messages = !journal::of_run(&folder).arrived.is_empty();
        Self { run: run.to_owned(), course: journal::course_of(&folder), changes, brought_messages }
    }

    /// Whether it can only be undone by a run of its own, if `standing` is where its mailbox stands.
    fn has_to_be_merged(&self, standing: &Standing) -> bool {
        self.brought_messages && matches!(standing, Standing::Unchanged | Standing::Changed(_))
    }
}

/// What becomes of a mailbox that was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfChanged {
    /// Nothing.
    Refuse,
    /// What nobody touched since is as before the run, and all that came or changed since stays.
    Merge,
}

impl Run<'_> {
    /// Which of `targets` the run of this name changed, or was about to.
    #[must_use]
    pub fn changed_by<'t>(targets: &'t [Target], run: &str) -> Vec<&'t Target> {
        let has_trail = |target: &&Target| !Trail::of(target, run).changes.is_empty();
        targets.iter().filter(has_trail).collect()
    }

    /// Says of each mailbox what an undo of the run would do. Changes nothing.
    #[must_use]
    pub fn survey_undo(&self, targets: &[Target], run: &str, if_changed: IfChanged) -> Summary {
        self.over(targets, &|context, target, policy| {
            let trail = Trail::of(target, run);
            match standing::of(target, &trail)? {
                standing if trail.has_to_be_merged(&standing) => {
                    merge::survey(context, target, policy, &trail)
                }
                Standing::Undone => Ok(undone_before(target, &trail)),
                Standing::Damaged => Ok(damaged(target, &trail)),
                Standing::Changed(_) if if_changed == IfChanged::Merge => {
                    merge::survey(context, target, policy, &trail)
                }
                Standing::Changed(why) => Ok(refused(target, &trail, &why)),
                Standing::Unchanged | Standing::BeforeCommit | Standing::BeingUndone => {
                    Ok(would_be_put_back(target, &trail))
                }
            }
        })
    }

    /// Puts back what the run of this name did to each mailbox. `workshop` is that of a new run,
    /// which is needed, and can be undone, where a mailbox was changed since.
    pub fn undo(
        &self,
        targets: &[Target],
        run: &str,
        if_changed: IfChanged,
        workshop: &Workshop,
    ) -> Summary {
        let mut summary = self.over(targets, &|context, target, policy| {
            let of_run = workshop.of_run(run);
            let mut report = match put_back(context, target, &of_run, policy.now)? {
                PutBackOr::Report(mut report) => {
                    self.forget(target, &mut report);
                    report
                }
                PutBackOr::Changed(why) if if_changed == IfChanged::Refuse => {
                    refused(target, &Trail::of(target, run), &why)
                }
                PutBackOr::Changed(_) | PutBackOr::HasToBeMerged => {
                    let mut merged = merge::merge(context, target, policy, &of_run, workshop)?;
                    self.forget(target, &mut merged.report);
                    merged.note(target, &of_run, policy.now)?;
                    merged.report
                }
            };
            self.aftercare().of_mailbox(target, &mut report);
            Ok(report)
        });
        summary.aftercare_failures.extend(self.aftercare().of_run());
        let root = |target: &Target| workshop.folder(&target.recovery, &target.key);
        let wrote = targets.iter().any(|target| root(target).path().exists());
        summary.run = wrote.then(|| workshop.run().to_owned());
        summary
    }
}

/// The names of the runs that left anything about any of `targets`, oldest first.
#[must_use]
pub fn runs_of(targets: &[Target]) -> Vec<String> {
    let roots = targets.iter().flat_map(Target::recovery_roots);
    let runs = roots.filter_map(|root| earlier_runs(root).ok()).flatten();
    let names = runs.filter_map(|run| Some(run.file_name()?.to_str()?.to_owned()));
    let names: std::collections::BTreeSet<_> = names.collect();
    names.into_iter().collect()
}

fn would_be_put_back(target: &Target, trail: &Trail) -> MailboxReport {
    let count = trail.changes.iter().filter(|change| put_back::is_done(change)).count();
    let detail = format!("{count} names would be given back to what had them");
    let findings = vec![Finding::new(Code::Undone, Remedy::Repair, detail)];
    MailboxReport { findings, ..MailboxReport::new(&target.name, State::Planned) }
}

/// What came of trying to put a mailbox back.
enum PutBackOr {
    /// It was, or needs not be, or cannot.
    Report(MailboxReport),
    /// It was changed since, in these ways.
    Changed(Vec<String>),
    /// The files of before cannot serve again.
    HasToBeMerged,
}

/// Puts a mailbox back that was not changed since.
fn put_back(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    now: Timestamp,
) -> Result<PutBackOr, Error> {
    let locks = lock(context, target)?;
    let trail = Trail::of(target, workshop.run());
    match standing::of(target, &trail)? {
        standing if trail.has_to_be_merged(&standing) => return Ok(PutBackOr::HasToBeMerged),
        Standing::Undone => return Ok(PutBackOr::Report(undone_before(target, &trail))),
        Standing::Damaged => return Ok(PutBackOr::Report(damaged(target, &trail))),
        Standing::Changed(why) => return Ok(PutBackOr::Changed(why)),
        Standing::Unchanged | Standing::BeforeCommit | Standing::BeingUndone => {}
    }
    let put_back = put_back_all(target, workshop, now)?;
    let elsewhere = Elsewhere { quota: true, conversations: Conversations::OutOfStep };
    let locked = held_for(locks.as_ref()).as_millis();
    Ok(PutBackOr::Report(MailboxReport {
        findings: put_back.findings(),
        follow_up: follow_up(context, target, elsewhere),
        locked_ms: u64::try_from(locked).unwrap_or(u64::MAX),
        ..MailboxReport::new(&target.name, State::Undone)
    }))
}

/// The runs of which an undo was cut short, the last first. Until it is finished, a message may lie in
/// the quarantine only.
fn half_undone(target: &Target) -> Vec<String> {
    let root = target.recovery_root(&target.location.index);
    let runs = earlier_runs(root).unwrap_or_default().into_iter().rev();
    let half = runs.filter(|run| {
        let course = journal::course_of(&run.join(&target.key));
        course.undoing && !course.undone
    });
    half.filter_map(|run| Some(run.file_name()?.to_str()?.to_owned())).collect()
}

/// Whether there is anything for [`finish_interrupted`] to do.
pub(crate) fn is_interrupted(target: &Target) -> bool {
    !half_undone(target).is_empty()
}

/// Finishes undos that were cut short. Under the mailbox's locks.
pub(crate) fn finish_interrupted(
    target: &Target,
    workshop: &Workshop,
    now: Timestamp,
) -> Result<(), Error> {
    for run in half_undone(target) {
        put_back_all(target, &workshop.of_run(&run), now)?;
    }
    Ok(())
}

fn put_back_all<'a>(
    target: &'a Target,
    workshop: &'a Workshop,
    now: Timestamp,
) -> Result<PutBack<'a>, Error> {
    let mut put_back = PutBack::new(target, workshop);
    put_back.note(journal::undoing(now))?;
    put_back.all(&Trail::of(target, workshop.run()).changes)?;
    note_redone(target, workshop)?;
    put_back.note(journal::undone(now, None))?;
    Ok(put_back)
}

/// Where the run that is undone was itself one that undid another, that other one counts again.
fn note_redone(target: &Target, workshop: &Workshop) -> Result<(), Error> {
    let root = target.recovery_root(&target.location.index);
    let runs = earlier_runs(root).unwrap_or_default().into_iter();
    let undone_by_this = runs.filter(|run| {
        let course = journal::course_of(&run.join(&target.key));
        course.undone_by.as_deref() == Some(workshop.run())
    });
    let names = undone_by_this.filter_map(|run| Some(run.file_name()?.to_str()?.to_owned()));
    for run in names {
        PutBack::new(target, &workshop.of_run(&run)).note(journal::redone())?;
    }
    Ok(())
}

fn undone_before(target: &Target, trail: &Trail) -> MailboxReport {
    let detail = format!("run {} was undone before", trail.run);
    let findings = vec![Finding::new(Code::Undone, Remedy::Note, detail)];
    MailboxReport { findings, ..MailboxReport::new(&target.name, State::Sound) }
}

fn damaged(target: &Target, trail: &Trail) -> MailboxReport {
    let why =
        format!("it was damaged since run {}: repair it first; nothing was undone", trail.run);
    MailboxReport::refused(&target.name, why)
}

fn refused(target: &Target, trail: &Trail, why: &[String]) -> MailboxReport {
    let why = format!(
        "changed since run {}: {}; nothing was undone (--merge undoes what nobody touched since, \
         and keeps the rest)",
        trail.run,
        why.join(", ")
    );
    MailboxReport::refused(&target.name, why)
}
