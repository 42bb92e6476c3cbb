//! Reading what may tell how a lost `cyrus.header` was.

use std::ffi::OsStr;
use std::path::Path;

use mailstore_format::header_file::{HeaderFile, crc, remains};
use mailstore_format::index::{IndexHeader, Layout};

use super::WitnessSources;
use super::sources::Sibling;
use crate::evidence::{Evidence, HeaderCopy, HeaderTraces, RestoredHeader};
use crate::gather::{read_file, read_file_prefix};
use crate::target::Target;
use crate::workshop::earlier_runs;

/// A `cyrus.header` has some kilobytes.
const LARGEST: u64 = 1 << 20;
/// So many runs' copies are looked at, the newest first.
const RUNS: usize = 50;
/// So many other mailboxes are asked for their keywords.
const SIBLINGS: usize = 100;

pub(super) fn read(target: &Target, evidence: &Evidence, sources: &WitnessSources) -> HeaderTraces {
    let path = &target.location.header;
    let damaged = contents(path).unwrap_or_default();
    let restored = evidence.header_file_crcs().find_map(|crc| restored_by(&damaged, crc));
    let needed = evidence.header_file_crcs().filter(|_| restored.is_none());
    let possible = needed.flat_map(|crc| remains::possibly_restored(&damaged, crc)).collect();
    let (_, names) = remains::flag_names(&damaged);
    let copies = copies_of_earlier_runs(target, path);
    let mut traces =
        HeaderTraces { restored, possible, copies, remains: names, ..HeaderTraces::default() };
    read_siblings(sources.siblings_of(&target.owner), path, &mut traces);
    traces
}

fn restored_by(damaged: &[u8], crc: u32) -> Option<RestoredHeader> {
    let bytes = remains::restored(damaged, crc)?;
    Some(RestoredHeader { value: HeaderFile::decode(&bytes).ok()?, crc })
}

fn contents(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    read_file(path, LARGEST, &mut bytes).ok()?;
    Some(bytes)
}

/// What earlier runs kept of the file before they replaced it.
fn copies_of_earlier_runs(target: &Target, path: &Path) -> Vec<HeaderCopy> {
    let runs = earlier_runs(target.recovery_root(path)).unwrap_or_default();
    let mut copies = Vec::new();
    for run in runs.iter().rev().take(RUNS) {
        let kept = run.join(&target.key).join("before");
        let Ok(entries) = std::fs::read_dir(&kept) else { continue };
        let is_header = |name: &OsStr| name.as_encoded_bytes().starts_with(b"cyrus.header");
        let names = entries.flatten().map(|entry| entry.file_name());
        for name in names.filter(|name| is_header(name)).take(4) {
            let Some(bytes) = contents(&kept.join(name)) else { continue };
            let Ok(value) = HeaderFile::decode(&bytes) else { continue };
            let run = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
            copies.push(HeaderCopy { run, value, crc: crc(&bytes) });
        }
    }
    copies
}

/// Adds what the owner's other mailboxes tell.
fn read_siblings(siblings: &[Sibling], own: &Path, traces: &mut HeaderTraces) {
    for sibling in siblings.iter().filter(|sibling| sibling.header != own).take(SIBLINGS) {
        traces.sibling_crcs.extend(crcs_in_indexes(&sibling.index));
        let Some(bytes) = contents(&sibling.header) else { continue };
        let Ok(HeaderFile { flag_names, .. }) = HeaderFile::decode(&bytes) else { continue };
        traces.sibling_crcs.push(crc(&bytes));
        if flag_names.iter().next().is_some() && !traces.siblings.contains(&flag_names) {
            traces.siblings.push(flag_names);
        }
    }
}

/// The CRC of its `cyrus.header` that an index holds, and the leftover of an interrupted repack beside
/// it, where their headers are sound.
fn crcs_in_indexes(index: &Path) -> impl Iterator<Item = u32> {
    let files = [index.to_owned(), index.with_file_name("cyrus.index.NEW")];
    files.into_iter().filter_map(|path| {
        let bytes = read_file_prefix(&path, Layout::LARGEST_HEADER)?;
        let layout = IndexHeader::layout_in(&bytes).ok()?;
        let is_sound = !IndexHeader::crc_state(&bytes, layout).is_bad();
        let header = IndexHeader::decode_with(&bytes, layout).ok().filter(|_| is_sound)?;
        Some(header.header_file_crc).filter(|&crc| crc != 0)
    })
}
