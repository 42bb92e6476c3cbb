//! The rules of `docs/policy.md`, each on the smallest evidence that calls for it.

mod displaced;
mod incoming;
mod index_trust;
mod keywords;
mod model;
mod orphans;
mod properties;
mod pruning;
mod reversal;
mod strays;
mod told;
mod whole_mailbox;

use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::index::SyncCrcs;
use mailstore_format::message::{MessageFields, MessageReader};
use mailstore_format::{Guid, InternalFlags, SystemFlags, UidValidity, UserFlags};

use mailstore::spool::{OddEntry, OddKind};

use super::*;
use crate::evidence::{
    CacheFileEvidence, ChosenDialect, DirectoryEvidence, FileEvidence, FileIdentity,
    HeaderFileEvidence, IndexEvidence, IndexTrust, Leftover, MessageEvidence, OddInPlace, Place,
    Reading, Slot, Witnesses,
};
use crate::journal::{Journal, Renamed, WantedBecause};
use crate::likeness::Likeness;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const MIDNIGHT: i64 = 1_700_006_400;

fn policy() -> Policy {
    Policy { prune: None, prune_budget: 100, now: NOW }
}

fn pruning() -> Policy {
    Policy { prune: Some(PrunePolicy::default()), ..policy() }
}

fn fields(text: &str) -> MessageFields {
    let message = format!("Subject: {text}\r\n\r\nbody\r\n");
    MessageReader::default().read(message.as_bytes(), &mut Vec::new())
}

fn file(uid: u32) -> FileEvidence {
    let size = fields(&uid.to_string()).size;
    let mtime = Timestamp::from_seconds(MIDNIGHT + i64::from(uid) * 3600);
    let identity = FileIdentity { ino: u64::from(uid), size, mtime };
    FileEvidence::Regular { place: Place::Spool, identity, in_both: false }
}

fn record(uid: u32) -> IndexRecord {
    let found = fields(&uid.to_string());
    let internaldate = Timestamp::from_seconds(MIDNIGHT + i64::from(uid) * 3600);
    IndexRecord {
        uid: Uid(uid),
        internaldate,
        sentdate: Timestamp::from_seconds(MIDNIGHT),
        gmtime: internaldate,
        size: found.size,
        header_size: found.header_size,
        guid: found.guid,
        modseq: ModSeq(u64::from(uid)),
        createdmodseq: ModSeq(u64::from(uid)),
        cache_offset: u64::from(uid) * 1000,
        cache_crc: found.cache_crc,
        cache_version: 11,
        ..IndexRecord::default()
    }
}

fn reading_of(fields: MessageFields, staged: Option<StagedCache>) -> Reading {
    let likeness = Likeness::default();
    let (cache_differs, with_crlf, blank) = (false, false, false);
    Reading { fields, likeness, blank, staged, cache_differs, with_crlf, as_crlf: None }
}

fn read(uid: u32) -> Reading {
    let fields = fields(&uid.to_string());
    let staged = StagedCache { offset: u64::from(uid), len: fields.cache_len };
    reading_of(fields, Some(staged))
}

/// A sound mailbox with these messages, all of them with a record and a file.
pub(crate) fn sound(uids: &[u32]) -> Evidence {
    let layout = Layout::of_version(17).unwrap();
    let slots: Vec<_> = uids.iter().map(|&uid| Slot::Record(record(uid))).collect();
    let messages = uids.iter().enumerate().map(|(slot, &uid)| MessageEvidence {
        uid: Uid(uid),
        slot: Some(slot),
        file: file(uid),
        reading: None,
        cache: CacheItem::Sound(100),
        cached_likeness: None,
    });
    let header_file = HeaderFile::new(HeaderForm::Dlist);
    let crc = crc32fast::hash(&header_file.encode());
    let mut evidence = Evidence {
        directory: DirectoryEvidence::default(),
        cache_dialect: ChosenDialect::default(),
        index: IndexEvidence {
            identity: Some(FileIdentity { ino: 1, size: 1, mtime: NOW }),
            header_proven: true,
            layout: Some(layout),
            header: Some(IndexHeader {
                generation_no: 7,
                minor_version: 17,
                uidvalidity: UidValidity(42),
                last_uid: Uid(uids.iter().copied().max().unwrap_or(0)),
                highestmodseq: ModSeq(1000),
                deletedmodseq: ModSeq(3),
                header_file_crc: crc,
                ..IndexHeader::default()
            }),
            slots,
            ..IndexEvidence::default()
        },
        index_trust: IndexTrust::Current,
        messages: messages.collect(),
        strays: Vec::new(),
        leftover: Leftover::default(),
        header_file: HeaderFileEvidence::Sound { value: Box::new(header_file), crc },
        spool_cache: CacheFileEvidence { generation: Some(7), ..CacheFileEvidence::default() },
        archive_cache: None,
        shares_cache: false,
        witnesses: Witnesses { listed: true, ..Witnesses::default() },
        annotations: Vec::new(),
        annotations_whole: true,
        journal: Journal::default(),
        incoming: None,
    };
    settle_counts(&mut evidence);
    evidence
}

/// Makes the header's counts and checksums those of its records.
fn settle_counts(evidence: &mut Evidence) {
    evidence.index.header.as_mut().unwrap().sync_crcs = SyncCrcs { basic: 0, annot: 0 };
    let header = plan(evidence, policy()).rewrite.unwrap().header;
    let generation_no = evidence.index.header.as_ref().unwrap().generation_no;
    evidence.index.header = Some(IndexHeader { generation_no, ..header });
}

/// Takes the record of `uid` out of the index and leaves destroyed bytes in its place.
fn destroy(evidence: &mut Evidence, uid: u32) {
    for message in evidence.messages.iter_mut().filter(|message| message.uid == Uid(uid)) {
        let slot = message.slot.take().unwrap();
        evidence.index.slots[slot] = Slot::Destroyed;
        message.reading = Some(read(uid));
        message.cache = CacheItem::None;
    }
}

/// Adds a file that no record knows.
fn add_orphan(evidence: &mut Evidence, uid: u32) {
    evidence.messages.push(MessageEvidence {
        uid: Uid(uid),
        slot: None,
        file: file(uid),
        reading: Some(read(uid)),
        cache: CacheItem::None,
        cached_likeness: None,
    });
    evidence.messages.sort_by_key(|message| message.uid);
}

fn lose_file(evidence: &mut Evidence, uid: u32) {
    for message in evidence.messages.iter_mut().filter(|message| message.uid == Uid(uid)) {
        message.file = FileEvidence::Absent;
    }
}

fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

fn planned(plan: &Plan, uid: u32) -> &IndexRecord {
    let records = &plan.rewrite.as_ref().unwrap().records;
    &records.iter().find(|planned| planned.record.uid == Uid(uid)).unwrap().record
}

fn uids(plan: &Plan) -> Vec<u32> {
    plan.rewrite.as_ref().unwrap().records.iter().map(|planned| planned.record.uid.0).collect()
}
