//! An undo of a mailbox that was changed since the run: a run of its own, which takes back what
//! nobody touched.

use std::collections::HashMap;
use std::path::Path;

use mailstore::volume::{GuardedDir, Kind};
use mailstore_format::header_file::HeaderFile;
use mailstore_format::{ModSeq, Timestamp};

use super::put_back::PutBack;
use super::{Trail, undone_before};
use crate::apply::{self, Applied};
use crate::error::Error;
use crate::evidence::{FileIdentity, Place};
use crate::examine::identity_of;
use crate::gather::{gather, read_file};
use crate::index_reader::read_index;
use crate::journal;
use crate::manifest::{Change, How};
use crate::plan::{Policy, Quarantined, Reversal, plan_reversing};
use crate::report::{MailboxReport, State};
use crate::run::{Context, report, unchanged};
use crate::staging::Discard;
use crate::target::Target;
use crate::workshop::{RECOVERY_DIRECTORY, Workshop};

/// Larger files than this are no index and no header of a mailbox.
const LARGEST_FILE: u64 = 1 << 31;

/// What a merge would do.
pub(super) fn survey(
    context: &Context<'_>,
    target: &Target,
    policy: Policy,
    trail: &Trail,
) -> Result<MailboxReport, Error> {
    let reversal = reversal(target, trail);
    let evidence = gather(context, target, None, None, &mut Discard::default())?;
    let plan = plan_reversing(&evidence, policy, Some(&reversal));
    let state = if plan.rewrite.is_some() { State::Planned } else { unchanged(&plan) };
    Ok(report(context, target, state, &evidence, plan))
}

/// Takes back what the run of `undone` decided, as the run of `workshop`. That it is undone is noted
/// by [`Merged::note`].
pub(super) fn merge(
    context: &Context<'_>,
    target: &Target,
    policy: Policy,
    undone: &Workshop,
    workshop: &Workshop,
) -> Result<Merged, Error> {
    let trail = Trail::of(target, undone.run());
    if trail.course.undone {
        return Ok(Merged { report: undone_before(target, &trail), is_news: false, by: None });
    }
    PutBack::new(target, undone).note(journal::retracting(workshop.run()))?;
    let reversal = reversal(target, &trail);
    let context = Context { reversal: Some(&reversal), ..*context };
    let applied = apply::repair(&context, target, workshop, policy)?;
    let Applied { evidence, plan, wrote, locked } = applied;
    let by = wrote.then(|| workshop.run().to_owned());
    let mut report = report(&context, target, State::Undone, &evidence, plan);
    report.locked_ms = u64::try_from(locked.as_millis()).unwrap_or(u64::MAX);
    Ok(Merged { report, is_news: true, by })
}

/// What came of a merge.
pub(super) struct Merged {
    pub(super) report: MailboxReport,
    /// Whether no undo had done it before.
    is_news: bool,
    /// The run that did it, where it wrote anything.
    by: Option<String>,
}

impl Merged {
    /// Notes that the run of `undone` is undone. After that no run looks at what it did any more, so
    /// all else that has to know is told before.
    pub(super) fn note(
        &self,
        target: &Target,
        undone: &Workshop,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.is_news {
            return Ok(());
        }
        PutBack::new(target, undone).note(journal::undone(now, self.by.as_deref()))
    }
}

/// What the run did, from what it kept.
fn reversal(target: &Target, trail: &Trail) -> Reversal {
    let location = &target.location;
    let root = target.recovery_root(&location.index);
    let folder = root.join(RECOVERY_DIRECTORY).join(&trail.run).join(&target.key);
    let committing = trail.course.committing;
    let kept = |path: &Path| {
        let mut changes = trail.changes.iter();
        let first = changes.find(|change| change.origin() == path && change.how == How::Replaced);
        first.and_then(Change::now)
    };
    let mut before = HashMap::new();
    let mut bytes = Vec::new();
    if let Some(Ok(meta)) = kept(&location.index).map(|at| read_file(at, LARGEST_FILE, &mut bytes))
    {
        let index = read_index(&bytes, identity_of(&meta), None);
        let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
        before = records.map(|record| (record.uid, *record)).collect();
    }
    let header = kept(&location.header).unwrap_or(&location.header);
    let header = read_file(header, LARGEST_FILE, &mut bytes).ok();
    let header = header.and_then(|_| HeaderFile::decode(&bytes).ok());
    let noted = journal::of_run(&folder);
    let undoers = trail.course.retracting.iter().filter_map(|by| {
        let folder = root.join(RECOVERY_DIRECTORY).join(by).join(&target.key);
        Some(ModSeq(journal::course_of(&folder).committing?.highestmodseq))
    });
    Reversal {
        retracted_at: undoers.collect(),
        highestmodseq: ModSeq(committing.map_or(0, |committing| committing.highestmodseq)),
        before,
        flag_names: header.map(|header| header.flag_names),
        renamed: noted.renamed,
        arrived: noted.arrived,
        quarantined: trail
            .changes
            .iter()
            .filter_map(|change| quarantined(target, change))
            .collect(),
    }
}

/// A file that the run moved away and that can come back. The server's own cannot: of these only
/// orders to delete messages are moved.
fn quarantined(target: &Target, change: &Change) -> Option<Quarantined> {
    let (origin, now) = (change.origin(), change.now().filter(|_| change.how == How::Moved)?);
    let (directory, name) = (origin.parent()?, origin.file_name()?);
    let place = [Place::Spool, Place::Archive];
    let place = place.into_iter().find(|place| target.directory(*place) == directory)?;
    if name.as_encoded_bytes().starts_with(b"cyrus.") {
        return None;
    }
    let kept = GuardedDir::open_trusted(now.parent()?).ok()?.stat(now.file_name()?).ok()?;
    let is_it = kept.kind == Kind::Regular && Some(kept.ino) == change.before;
    let identity: FileIdentity = identity_of(&kept);
    is_it.then(|| Quarantined { place, name: name.to_owned(), kept: now.to_owned(), identity })
}
