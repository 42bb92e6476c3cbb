//! Where a mailbox stands with a run that is to be undone.

use std::collections::HashMap;

use mailstore::volume::ReadError;
use mailstore_format::ModSeq;
use mailstore_format::index::IndexRecord;

use super::Trail;
use crate::error::Error;
use crate::evidence::{HeaderFileEvidence, IndexEvidence, Slot};
use crate::examine::identity_of;
use crate::gather::{read_file, read_header_file};
use crate::index_reader::read_index;
use crate::journal::{Committing, course_of};
use crate::manifest::{Change, How, inode_at, of_run};
use crate::target::{Target, names_above};
use crate::workshop::earlier_runs;

/// What became of a mailbox since.
pub(super) enum Standing {
    /// The run put its index into place, and nobody changed anything since.
    Unchanged,
    /// The run was cut short before it could.
    BeforeCommit,
    /// An undo was cut short.
    BeingUndone,
    /// The run was undone.
    Undone,
    /// It was changed since, in these ways.
    Changed(Vec<String>),
    /// It was damaged since: nothing can be told of it.
    Damaged,
}

pub(super) fn of(target: &Target, trail: &Trail) -> Result<Standing, Error> {
    if trail.course.undone {
        return Ok(Standing::Undone);
    }
    if trail.course.undoing {
        return Ok(Standing::BeingUndone);
    }
    let index = &target.location.index;
    let of_index = |change: &&Change| change.origin() == index;
    let Some(last) = trail.changes.iter().rfind(of_index) else {
        return Ok(Standing::BeforeCommit);
    };
    let found = inode_at(index);
    if found == last.before {
        return Ok(Standing::BeforeCommit);
    }
    let (true, Some(committed)) = (found == last.after, trail.course.committing) else {
        let (index, ..) = read(target)?;
        let why = || Standing::Changed(vec![replaced_by(target, trail, last)]);
        return Ok(if is_sound(&index) { why() } else { Standing::Damaged });
    };
    let Some(why) = changes_since(target, &committed, trail)? else {
        return Ok(Standing::Damaged);
    };
    Ok(if why.is_empty() { Standing::Unchanged } else { Standing::Changed(why) })
}

/// Who put another index in the place of the run's.
fn replaced_by(target: &Target, trail: &Trail, ours: &Change) -> String {
    let root = target.recovery_root(&target.location.index);
    let later = earlier_runs(root).unwrap_or_default().into_iter().rev().filter_map(|run| {
        let name = run.file_name()?.to_str()?.to_owned();
        (name != trail.run && !course_of(&run.join(&target.key)).undone).then_some(name)
    });
    let replaced_ours = |run: &String| {
        let changes = of_run(target, run.as_ref());
        let mut of_index = changes.iter().filter(|change| change.origin() == ours.origin());
        of_index.any(|change| change.before == ours.after && change.how == How::Replaced)
    };
    let mut later = later;
    match later.find(replaced_ours) {
        Some(run) => format!("run {run} repaired it again (undo that one first)"),
        None => "there is another cyrus.index".to_owned(),
    }
}

fn read(target: &Target) -> Result<(IndexEvidence, Vec<u8>), Error> {
    let path = &target.location.index;
    let mut bytes = Vec::new();
    match read_file(path, u64::MAX, &mut bytes) {
        Ok(meta) => Ok((read_index(&bytes, identity_of(&meta), None), bytes)),
        Err(ReadError::NotFound) => Ok((IndexEvidence::default(), bytes)),
        Err(error) => Err(Error::io("read", path, std::io::Error::other(error.to_string()))),
    }
}

/// Whether nothing is missing in the index.
fn is_sound(index: &IndexEvidence) -> bool {
    let is_record = |slot: &Slot| matches!(slot, Slot::Record(_));
    index.is_read()
        && index.header_proven
        && index.truncated_slots == 0
        && index.slots.iter().all(is_record)
}

/// In which ways the mailbox is not what the run made of it; `None` where its index is damaged.
fn changes_since(
    target: &Target,
    committed: &Committing,
    trail: &Trail,
) -> Result<Option<Vec<String>>, Error> {
    let (index, bytes) = read(target)?;
    let (true, Some(header), Some(layout)) = (is_sound(&index), &index.header, index.layout) else {
        return Ok(None);
    };
    let mut why = Vec::new();
    let records = || (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let is_new = |record: &&IndexRecord| record.uid.0 > committed.last_uid;
    let is_changed =
        |record: &&IndexRecord| record.modseq > ModSeq(committed.highestmodseq) && !is_new(record);
    let (new, changed) = (records().filter(is_new).count(), records().filter(is_changed).count());
    if new > 0 {
        why.push(format!("{new} messages came"));
    }
    if changed > 0 {
        why.push(format!("{changed} messages have other flags or are gone"));
    }
    let crc = bytes.get(layout.header_size..).map_or(0, crc32fast::hash);
    if why.is_empty() && crc != committed.records_crc {
        why.push("its records are others".to_owned());
    }
    let numbers = (header.generation_no, header.uidvalidity.0, header.last_uid.0);
    let then = (committed.generation, committed.uidvalidity, committed.last_uid);
    if why.is_empty() && (numbers, header.highestmodseq.0) != (then, committed.highestmodseq) {
        why.push("the numbers of its index are others".to_owned());
    }
    if names_above(target, header.last_uid) > committed.names_above {
        why.push("message files came that have no record yet".to_owned());
    }
    if has_other_header_file(target, committed) {
        why.push("it has another cyrus.header: its ACL or keywords were changed".to_owned());
    }
    // What was noted last of a name counts: a run can be resumed.
    let last = trail.changes.iter().map(|change| (change.origin(), change));
    let last: HashMap<_, _> = last.collect();
    let names = last.into_values().filter(|change| is_another_since(change)).count();
    if why.is_empty() && names > 0 {
        why.push(format!("{names} names in it belong to other files"));
    }
    Ok(Some(why))
}

fn has_other_header_file(target: &Target, committed: &Committing) -> bool {
    match read_header_file(&target.location) {
        HeaderFileEvidence::Sound { crc, .. } => {
            committed.header_file_crc != 0 && crc != committed.header_file_crc
        }
        _ => true,
    }
}

/// Whether a name has neither what it had before the run nor what the run gave it. Of what the run
/// left nothing, or the server since, nothing is not another.
fn is_another_since(change: &Change) -> bool {
    let found = inode_at(change.origin());
    let is_other = found.is_some() && found != change.before && found != change.after;
    change.how != How::Directory && (change.after.is_some() || change.how == How::Moved) && is_other
}
