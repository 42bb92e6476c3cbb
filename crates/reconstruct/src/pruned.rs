//! What `--prune` took out of sight, whole, so that it can come back.

use std::io::{BufRead, BufReader};
use std::path::Path;

use mailstore_format::index::IndexRecord;
use mailstore_format::{
    Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UserFlags,
};
use serde::{Deserialize, Serialize};

use crate::evidence::StoredAnnotation;
use crate::workshop::earlier_runs;

/// The file of a mailbox's folder in which pruned records are kept, one JSON object a line.
pub(crate) const JOURNAL: &str = "pruned.jsonl";

/// A record as it was before it was expunged for want of its message.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedRecord {
    /// The whole record.
    pub record: IndexRecord,
    /// The names of its keywords, by slot.
    pub keywords: Vec<(usize, Vec<u8>)>,
    /// Its annotations.
    pub annotations: Vec<StoredAnnotation>,
}

/// A line of the journal. Times are in nanoseconds since 1970; bytes that are no UTF-8 are replaced
/// where they are for people only.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    uid: u32,
    guid: String,
    size: u64,
    header_size: u32,
    internaldate: i64,
    sentdate: i64,
    gmtime: i64,
    savedate: i64,
    last_updated: i64,
    system_flags: u16,
    internal_flags: u32,
    user_flags: [u32; 4],
    keywords: Vec<(usize, String)>,
    modseq: u64,
    createdmodseq: u64,
    thread_id: u64,
    base_thread_id: u64,
    cache_version: u16,
    cache_crc: u32,
    annotations: Vec<AnnotationLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnnotationLine {
    entry: String,
    userid: String,
    value: Vec<u8>,
}

impl PrunedRecord {
    /// As one line of the journal.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let record = &self.record;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        serde_json::to_string(&Line {
            uid: record.uid.0,
            guid: record.guid.to_string(),
            size: record.size,
            header_size: record.header_size,
            internaldate: record.internaldate.0,
            sentdate: record.sentdate.0,
            gmtime: record.gmtime.0,
            savedate: record.savedate.0,
            last_updated: record.last_updated.0,
            system_flags: record.system_flags.0,
            internal_flags: record.internal_flags.0,
            user_flags: record.user_flags.0,
            keywords: self.keywords.iter().map(|(slot, name)| (*slot, text(name))).collect(),
            modseq: record.modseq.0,
            createdmodseq: record.createdmodseq.0,
            thread_id: record.cid.0,
            base_thread_id: record.basecid.0,
            cache_version: record.cache_version,
            cache_crc: record.cache_crc,
            annotations: self
                .annotations
                .iter()
                .map(|note| AnnotationLine {
                    entry: text(&note.entry),
                    userid: text(&note.userid),
                    value: note.value.clone(),
                })
                .collect(),
        })
    }

    fn from_json(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        let record = IndexRecord {
            uid: Uid(line.uid),
            guid: line.guid.parse::<Guid>().ok()?,
            size: line.size,
            header_size: line.header_size,
            internaldate: Timestamp(line.internaldate),
            sentdate: Timestamp(line.sentdate),
            gmtime: Timestamp(line.gmtime),
            savedate: Timestamp(line.savedate),
            last_updated: Timestamp(line.last_updated),
            system_flags: SystemFlags(line.system_flags),
            internal_flags: InternalFlags(line.internal_flags),
            user_flags: UserFlags(line.user_flags),
            modseq: ModSeq(line.modseq),
            createdmodseq: ModSeq(line.createdmodseq),
            cid: ThreadId(line.thread_id),
            basecid: ThreadId(line.base_thread_id),
            cache_version: line.cache_version,
            cache_crc: line.cache_crc,
            ..IndexRecord::default()
        };
        let keywords =
            line.keywords.into_iter().map(|(slot, name)| (slot, name.into_bytes())).collect();
        let annotations = line
            .annotations
            .into_iter()
            .map(|note| StoredAnnotation {
                uid: record.uid,
                entry: note.entry.into_bytes(),
                userid: note.userid.into_bytes(),
                value: note.value,
            })
            .collect();
        Some(Self { record, keywords, annotations })
    }
}

/// What all earlier runs pruned from the mailbox with this key, oldest first. A line that was cut
/// by a crash is passed over: its record was not pruned yet.
pub(crate) fn of_earlier_runs(root: &Path, key: &str) -> Vec<PrunedRecord> {
    let journals = earlier_runs(root).unwrap_or_default().into_iter();
    journals
        .map(|run| run.join(key).join(JOURNAL))
        .filter_map(|journal| std::fs::File::open(journal).ok())
        .flat_map(|journal| BufReader::new(journal).lines().map_while(Result::ok))
        .filter_map(|line| PrunedRecord::from_json(&line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pruned_record_comes_back_from_its_journal_whole() {
        let pruned = PrunedRecord {
            record: IndexRecord {
                uid: Uid(7),
                guid: Guid::of(b"message"),
                internaldate: Timestamp(1_234_567_890_123_456_789),
                system_flags: SystemFlags(9),
                user_flags: UserFlags([1, 2, 3, u32::MAX]),
                modseq: ModSeq(u64::MAX),
                cid: ThreadId(0xabc),
                ..IndexRecord::default()
            },
            keywords: vec![(0, b"$Work".to_vec())],
            annotations: vec![StoredAnnotation {
                uid: Uid(7),
                entry: b"/comment".to_vec(),
                userid: b"alice".to_vec(),
                value: vec![0, 255, 10],
            }],
        };
        let line = pruned.to_json().unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(PrunedRecord::from_json(&line), Some(pruned));
        assert_eq!(PrunedRecord::from_json(&line[..line.len() / 2]), None);
    }
}
