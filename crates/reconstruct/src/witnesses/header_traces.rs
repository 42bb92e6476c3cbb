//! Reading what may tell how a lost `cyrus.header` was.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use mailstore_format::header_file::{FlagNames, HeaderFile, crc, remains};

use super::WitnessSources;
use crate::evidence::{Evidence, HeaderCopy, HeaderTraces};
use crate::gather::read_file;
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
    let known = evidence.index.header.as_ref().map_or(0, |header| header.header_file_crc);
    let restored = (known != 0).then(|| remains::restored(&damaged, known)).flatten();
    let restored = restored.and_then(|bytes| HeaderFile::decode(&bytes).ok());
    let (_, names) = remains::flag_names(&damaged);
    HeaderTraces {
        restored,
        copies: copies_of_earlier_runs(target, path),
        remains: names,
        siblings: keywords_of_siblings(sources.headers_of(&target.owner), path),
    }
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

fn keywords_of_siblings(headers: &[PathBuf], own: &Path) -> Vec<FlagNames> {
    let mut found: Vec<FlagNames> = Vec::new();
    for path in headers.iter().filter(|path| *path != own).take(SIBLINGS) {
        let names = contents(path).and_then(|bytes| HeaderFile::decode(&bytes).ok());
        let names = names.map(|header| header.flag_names).unwrap_or_default();
        if names.iter().next().is_some() && !found.contains(&names) {
            found.push(names);
        }
    }
    found
}
