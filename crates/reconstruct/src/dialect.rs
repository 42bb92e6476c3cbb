//! In whose manner new cache records are made: as the server does that will read them.
//!
//! Records that are kept are compared with what their own server made of the message; only what is
//! made anew is made in the manner chosen here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use mailstore_format::index::{IndexRecord, Layout};
use mailstore_format::message::CacheDialect;

use crate::evidence::IndexEvidence;
use crate::options::DialectChoice;
use crate::site::Site;

/// Index versions from this one on are only written by servers of this cache version and later.
const SINCE_INDEX_VERSION_20: u16 = 14;

/// The dialect of a mailbox's new cache records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChosenDialect {
    /// The dialect.
    pub dialect: CacheDialect,
    /// The version of the records that the server itself writes, where that is none of a dialect.
    pub unjudged: Option<u16>,
}

impl ChosenDialect {
    /// For a server that writes cache records of this version.
    fn for_server_of(cache_version: u16) -> Self {
        Self {
            dialect: CacheDialect::readable_at(cache_version),
            unjudged: CacheDialect::of_version(cache_version).is_none().then_some(cache_version),
        }
    }
}

/// The dialect for the mailbox with this index: what was chosen; else that of the highest version
/// which valid records of the mailbox and of its store have; else the installed server's.
pub(crate) fn choose(choice: DialectChoice, index: &IndexEvidence, site: &Site) -> ChosenDialect {
    if let Some(dialect) = choice.dialect() {
        return ChosenDialect { dialect, unjudged: None };
    }
    let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let of_mailbox = index.layout.and_then(|layout| version_told_by(layout, records));
    let index_version = index.layout.map(|layout| layout.version).max(site.index_version());
    let installed = || {
        let by_index = index_version.is_some_and(|version| version >= 20);
        by_index.then_some(SINCE_INDEX_VERSION_20).or(site.server_cache_version())
    };
    let version = of_mailbox.max(site.cache_version()).or_else(installed);
    version.map_or_else(ChosenDialect::default, ChosenDialect::for_server_of)
}

/// The cache version that an index's records tell of their server: the highest, as records of older
/// releases stay after an upgrade. Where no CRC proves a record, the commonest.
pub(crate) fn version_told_by<'a>(
    layout: &Layout,
    records: impl Iterator<Item = &'a IndexRecord>,
) -> Option<u16> {
    let versions = records.filter(|record| record.cache_offset > 0);
    let versions = versions.map(|record| record.cache_version);
    if layout.has_crc() {
        return versions.max();
    }
    let mut counts = BTreeMap::<u16, usize>::new();
    for version in versions {
        *counts.entry(version).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(version, count)| (count, version)).map(|(version, _)| version)
}

/// The cache version that the server whose tools lie in `bin` writes, where these tell.
pub(crate) fn version_of_server(bin: &Path) -> Option<u16> {
    let told = Command::new(bin.join("cyr_info")).arg("version").stdin(Stdio::null()).output();
    let told = told.ok().filter(|told| told.status.success())?;
    version_written_by(&String::from_utf8_lossy(&told.stdout))
}

/// The cache version that a server of this release writes (`cyrus-imapd 3.6.1`). None for
/// development releases between those.
fn version_written_by(release: &str) -> Option<u16> {
    let numbers = release.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut numbers = numbers.map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    match (major, minor) {
        (3, 13..) | (4.., _) => Some(14),
        (3, 12) => Some(13),
        (3, 6 | 8 | 10) => Some(11),
        (3, 2 | 4) => Some(10),
        (3, 0) => Some(6),
        (2, 4 | 5) => Some(3),
        (2, ..=3) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::Uid;

    use super::*;
    use crate::evidence::Slot;

    fn record(uid: u32, cache_version: u16) -> IndexRecord {
        IndexRecord { uid: Uid(uid), cache_version, cache_offset: 4, ..IndexRecord::default() }
    }

    fn index(version: u32, cache_versions: &[u16]) -> IndexEvidence {
        let records = (1..).zip(cache_versions).map(|(uid, &version)| record(uid, version));
        IndexEvidence {
            layout: Layout::of_version(version),
            slots: records.map(Slot::Record).collect(),
            ..IndexEvidence::default()
        }
    }

    fn chosen(version: u32, cache_versions: &[u16]) -> (CacheDialect, Option<u16>) {
        let index = index(version, cache_versions);
        let chosen = choose(DialectChoice::Auto, &index, &Site::none());
        (chosen.dialect, chosen.unjudged)
    }

    #[test]
    fn the_highest_version_of_a_record_tells_the_server() {
        assert_eq!(chosen(17, &[11, 11]), (CacheDialect::Cyrus36, None));
        assert_eq!(chosen(19, &[11, 14, 11]), (CacheDialect::Cyrus313, None));
    }

    #[test]
    fn a_version_that_no_server_judged_gets_the_newest_dialect_that_its_server_reads() {
        assert_eq!(chosen(19, &[11, 13]), (CacheDialect::Cyrus36, Some(13)));
        assert_eq!(chosen(20, &[15]), (CacheDialect::Cyrus313, Some(15)));
        assert_eq!(chosen(17, &[10, 10]), (CacheDialect::Cyrus36, Some(10)));
    }

    #[test]
    fn without_a_record_an_index_that_only_newer_servers_write_tells() {
        assert_eq!(chosen(20, &[]), (CacheDialect::Cyrus313, None));
        assert_eq!(chosen(19, &[]), (CacheDialect::Cyrus36, None));
        assert_eq!(chosen(17, &[]), (CacheDialect::Cyrus36, None));
    }

    #[test]
    fn where_no_crc_proves_a_record_a_single_one_does_not_count() {
        assert_eq!(chosen(10, &[11, 14, 11]), (CacheDialect::Cyrus36, None));
    }

    #[test]
    fn what_was_asked_for_is_chosen_whatever_the_records_are_of() {
        let choose = |choice| choose(choice, &index(19, &[13]), &Site::none());
        let expected = ChosenDialect { dialect: CacheDialect::Cyrus313, unjudged: None };
        assert_eq!(choose(DialectChoice::Cyrus313), expected);
        assert_eq!(choose(DialectChoice::Cyrus36), ChosenDialect::default());
    }

    #[test]
    fn a_server_is_known_by_its_release() {
        assert_eq!(version_written_by("cyrus-imapd 3.6.1-Debian-3.6.1-4+deb12u3\n"), Some(11));
        assert_eq!(version_written_by("cyrus-imapd 3.12.3"), Some(13));
        assert_eq!(version_written_by("cyrus-imapd 3.13.7-218-g1f3a129"), Some(14));
        assert_eq!(version_written_by("cyrus-imapd 3.11.0-alpha0"), None);
        assert_eq!(version_written_by("usage"), None);
    }

    #[test]
    fn tools_that_are_not_there_tell_nothing() {
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(version_of_server(nowhere.path()), None);
    }
}
