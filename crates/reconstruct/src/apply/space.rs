//! Whether the new files of a mailbox fit beside the old ones. Asked before anything is written.

use std::collections::BTreeMap;
use std::path::Path;

use mailstore::replace::FreeSpace;

use super::line_ends;
use super::stage::{cache_path, in_place};
use crate::error::Error;
use crate::evidence::Place;
use crate::plan::{CacheSource, Rewrite};
use crate::target::Target;

/// Bytes that are left for the journal and the like.
const SPARE: u64 = 64 * 1024;
/// Files that are made besides those of messages.
const OWN_FILES: u64 = 16;
/// What a name takes in a directory, and a step in journal and manifest.
const STEP: u64 = 512;

/// Fails where the files of `rewrite` do not fit.
pub(super) fn require_space(target: &Target, rewrite: &Rewrite) -> Result<(), Error> {
    let location = &target.location;
    let mut needs = BTreeMap::<&Path, u64>::new();
    let mut need = |root, bytes: u64| {
        let all = needs.entry(root).or_default();
        *all = all.saturating_add(bytes);
    };
    need(target.recovery_root(&location.index), size_of_index(rewrite));
    let replaced = [
        (Place::Spool, rewrite.replace_spool_cache),
        (Place::Archive, rewrite.replace_archive_cache),
    ];
    for (place, _) in replaced.into_iter().filter(|(_, is)| *is) {
        let root = target.recovery_root(cache_path(target, place));
        need(root, size_of_cache(rewrite, place));
    }
    for (place, bytes) in line_ends::room_for(rewrite) {
        need(target.recovery_root_of(place), bytes);
    }
    // Where the kernel gives no second name, a step takes an inode of its own.
    let steps = rewrite.file_steps.count();
    for (root, bytes) in needs {
        let free = FreeSpace::at(root).map_err(|e| Error::io("measure free space at", root, e))?;
        let bytes = bytes.saturating_add(steps.saturating_mul(STEP)).saturating_add(SPARE);
        free.require(root, bytes, steps.saturating_add(OWN_FILES))?;
    }
    Ok(())
}

fn size_of_index(rewrite: &Rewrite) -> u64 {
    let records = sum(rewrite.layout.record_size).saturating_mul(sum(rewrite.records.len()));
    sum(rewrite.layout.header_size).saturating_add(records)
}

fn size_of_cache(rewrite: &Rewrite, place: Place) -> u64 {
    let items = in_place(rewrite, place).map(|planned| match planned.cache {
        CacheSource::Old { len, .. } => sum(len),
        CacheSource::Staged(staged) => sum(staged.len),
        CacheSource::None => 0,
    });
    items.fold(0, u64::saturating_add)
}

fn sum(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
