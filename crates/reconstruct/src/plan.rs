//! From evidence to the mailbox as it should be: a pure function, printed by a dry run.

mod actions;
mod adoption;
mod conversations;
mod copies;
mod dates;
mod displaced;
mod file_steps;
mod free_slots;
mod header;
mod header_file;
mod incoming;
pub(crate) mod index_trust;
mod keyword_slots;
mod keywords;
mod known;
mod loose;
mod matching;
mod orphans;
mod pruned;
mod reversal;
mod strays;
mod testimony;
mod totals;
mod wanted;

#[cfg(test)]
pub(crate) mod tests;

use mailstore_format::header_file::HeaderFile;
use mailstore_format::index::{HeaderRepair, IndexHeader, IndexRecord, Layout};
use mailstore_format::{ModSeq, Timestamp, Uid};

use crate::arrivals::Arrived;
use crate::evidence::{CacheItem, Evidence, StagedCache};
use crate::finding::{Code, Finding, Remedy};
use crate::journal::Wanted;
use crate::options::PrunePolicy;

use loose::{Known, Loose};
use matching::Matching;

pub use file_steps::{Arrive, FileSteps, MessageContent, Put, Rename, Return, SetAside};
pub(crate) use reversal::{Quarantined, Reversal};

/// What is wrong with a mailbox, and what it will be after the repair.
#[derive(Debug)]
pub struct Plan {
    /// All that was found.
    pub findings: Vec<Finding>,
    /// The records whose message is not there, whole.
    pub wanted: Vec<Wanted>,
    /// What becomes of the messages that are to come in, in their order.
    pub arrived: Vec<Arrived>,
    /// The files to write; `None` where nothing has to change.
    pub rewrite: Option<Rewrite>,
}

/// The files of a mailbox as they will be.
#[derive(Debug)]
pub struct Rewrite {
    /// The version in which the index is written: the one it had.
    pub layout: &'static Layout,
    /// The index header.
    pub header: IndexHeader,
    /// The records by UID, ascending.
    pub records: Vec<PlannedRecord>,
    /// Whether the spool's cache is written anew.
    pub replace_spool_cache: bool,
    /// Whether the archive's cache is written anew.
    pub replace_archive_cache: bool,
    /// Whether archived messages have their items in the spool's cache.
    pub shares_cache: bool,
    /// `cyrus.header`, where it has to change.
    pub header_file: Option<HeaderFile>,
    /// What becomes of the entries of the mailbox's directories.
    pub file_steps: FileSteps,
    /// Of the wanted records those that are expunged, or whose damaged file is moved away; whole, for
    /// the journal.
    pub wanted: Vec<Wanted>,
    /// Files of the server to move to the quarantine.
    pub set_aside: Vec<String>,
    /// What the server keeps elsewhere that will no longer fit.
    pub elsewhere: Elsewhere,
}

/// What the server keeps about a mailbox outside of it and a rewrite puts out of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elsewhere {
    /// The mailbox will use another amount of its owner's quota.
    pub quota: bool,
    /// What its owner's conversations will lack.
    pub conversations: Conversations,
}

/// What the server's conversations know of a mailbox after a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversations {
    /// All of it, as before.
    InStep,
    /// Nothing yet of some messages: these have no thread id.
    LackThreads,
    /// Messages that are gone or have another UID, or flags they no longer have.
    OutOfStep,
}

/// A record and where its cache item comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRecord {
    /// The record, its cache offset already that of the file it will stand beside.
    pub record: IndexRecord,
    /// The bytes of its cache item.
    pub cache: CacheSource,
}

/// Where the bytes of a cache item are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSource {
    /// In the old cache of the record's place.
    Old {
        /// Byte offset.
        offset: u64,
        /// Bytes.
        len: usize,
    },
    /// In the staging file.
    Staged(StagedCache),
    /// There are none; the message cannot be read, or its file is gone.
    None,
}

/// What the plan is made for, besides the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Expunge records of messages that are proved absent.
    pub prune: Option<PrunePolicy>,
    /// How many messages this run may still prune.
    pub prune_budget: u64,
    /// The time that new records and tombstones get.
    pub now: Timestamp,
}

/// By how much the last UID jumps where nothing proves it.
pub const UID_JUMP: u32 = 1_000;
/// By how much the highest modseq jumps where nothing proves it.
pub const MODSEQ_JUMP: u64 = 1_000_000;
/// The generation of an index where none is known: unlike any that a session may remember.
pub const FRESH_GENERATION: u32 = 1_000;
/// The index version of a mailbox that lost its index in a store without any other (Cyrus 3.6).
pub const DEFAULT_VERSION: u32 = 17;

/// A record on its way into the plan.
#[derive(Debug, Clone)]
struct Draft {
    record: IndexRecord,
    cache: CacheSource,
    /// Whether a client could notice the difference: it then gets a new modseq.
    changed: bool,
}

/// The plan in the making: what each rule adds to.
struct Draughtsman<'a> {
    evidence: &'a Evidence,
    policy: Policy,
    /// The run that is undone, if one is.
    reversal: Option<&'a Reversal>,
    findings: Vec<Finding>,
    drafts: Vec<Draft>,
    file_steps: FileSteps,
    wanted: Vec<Wanted>,
    arrived: Vec<Arrived>,
    /// Which file is whose.
    matching: Matching<'a>,
    /// Files whose content has to find its place.
    loose: Vec<Loose<'a>>,
    /// Which messages the mailbox has, where anything may be a copy of one.
    known: Known,
    /// Messages whose flags nobody knows.
    flags_unknown: Vec<Uid>,
    /// Whether the times of files without a record are those of a careless copy.
    distrust_files: bool,
    header_file: Option<HeaderFile>,
    last_uid: Uid,
    highestmodseq: ModSeq,
    stale_spool_cache: bool,
    stale_archive_cache: bool,
}

pub(crate) use dates::start_of_local_day_number;
pub(crate) use header::layout_to_write;

/// Decides what has to be done about `evidence`.
#[must_use]
pub fn plan(evidence: &Evidence, policy: Policy) -> Plan {
    plan_reversing(evidence, policy, None)
}

/// The same, and takes back what a run decided that is undone.
pub(crate) fn plan_reversing(
    evidence: &Evidence,
    policy: Policy,
    reversal: Option<&Reversal>,
) -> Plan {
    let mut draughtsman = Draughtsman {
        evidence,
        policy,
        reversal,
        findings: Vec::new(),
        drafts: Vec::with_capacity(evidence.messages.len()),
        file_steps: FileSteps::default(),
        wanted: Vec::new(),
        arrived: Vec::new(),
        matching: Matching::of(evidence),
        loose: Vec::new(),
        known: Known::default(),
        flags_unknown: Vec::new(),
        distrust_files: false,
        header_file: None,
        last_uid: Uid(0),
        highestmodseq: ModSeq(0),
        stale_spool_cache: false,
        stale_archive_cache: false,
    };
    let rewrite = draughtsman.draw();
    if rewrite.is_none() {
        draughtsman.hold_unasked();
    }
    let Draughtsman { findings, wanted, arrived, .. } = draughtsman;
    Plan { findings, wanted, arrived, rewrite }
}

impl Draughtsman<'_> {
    fn draw(&mut self) -> Option<Rewrite> {
        if let Some(why) = &self.evidence.directory.unavailable {
            self.find(Code::PartitionUnavailable, Remedy::Left, why.clone());
            return None;
        }
        if self.evidence.index.unreadable.is_some() && self.evidence.index.identity.is_none() {
            return self.leave_unreadable_index();
        }
        if self.belongs_to_another_mailbox() {
            return None;
        }
        self.report_directory();
        self.report_index();
        if !self.settle_header_file() {
            return None;
        }
        self.settle_numbers();
        self.keep_known_records();
        self.settle_wanted();
        match self.reversal {
            // To undo is not to repair: what has no record is left as it is.
            Some(reversal) => self.reverse(reversal),
            None => self.settle_files(),
        }
        if !self.settle_incoming() {
            return None;
        }
        self.report_unknown_flags();
        self.name_every_keyword();
        self.report_cache_dialect();
        self.drafts.sort_by_key(|draft| draft.record.uid);
        self.finish()
    }

    /// Finds a place for every file that has none.
    fn settle_files(&mut self) {
        self.know_messages();
        self.judge_file_times();
        self.adopt_orphans();
        self.settle_strays();
        self.settle_loose();
    }

    fn find(&mut self, code: Code, remedy: Remedy, detail: impl Into<String>) {
        self.findings.push(Finding::new(code, remedy, detail));
    }

    fn find_about(&mut self, uid: Uid, code: Code, remedy: Remedy, detail: impl Into<String>) {
        self.findings.push(Finding::new(code, remedy, detail).about(uid));
    }

    /// An index that cannot even be opened says nothing; to replace it could destroy all it holds.
    fn leave_unreadable_index(&mut self) -> Option<Rewrite> {
        let why = self.evidence.index.unreadable.clone().unwrap_or_default();
        self.find(
            Code::IndexUnreadable,
            Remedy::Left,
            format!("{why}; left alone: check the volume and its permissions, then run again"),
        );
        None
    }

    fn report_directory(&mut self) {
        for name in &self.evidence.directory.leftovers {
            let (code, remedy) = if name == "cyrus.expunge" {
                (Code::StaleExpunge, Remedy::Repair)
            } else {
                (Code::Leftover, Remedy::Note)
            };
            self.findings.push(Finding::new(code, remedy, format!("{name} is present")));
        }
    }

    fn report_index(&mut self) {
        if self.report_index_trust() {
            return;
        }
        let index = &self.evidence.index;
        match (&index.unreadable, index.identity) {
            (None, None) => {
                self.find(
                    Code::IndexMissing,
                    Remedy::Repair,
                    "there is no cyrus.index; it is made anew from the message files",
                );
                return;
            }
            (Some(why), _) => {
                self.find(Code::IndexUnreadable, Remedy::Repair, why.clone());
                return;
            }
            (None, Some(_)) => {}
        }
        self.report_index_header();
        if index.truncated_slots > 0 {
            self.find(
                Code::IndexTruncated,
                Remedy::Repair,
                format!(
                    "the file ends {} records before the count in its header",
                    index.truncated_slots
                ),
            );
        }
        let destroyed = index.unproven_slots();
        if destroyed > 0 {
            self.find(
                Code::RecordDamaged,
                Remedy::Repair,
                format!("{destroyed} of {} records fail their CRC", index.slots.len()),
            );
        }
        let repaired = index.repaired_slots.len();
        if repaired > 0 {
            let of = index.slots.len();
            let detail = format!(
                "{repaired} of {of} records fit their CRC once one flipped bit or foreign bytes in \
                 the midst of them are taken out; they are whole again"
            );
            self.find(Code::RecordBit, Remedy::Repair, detail);
        }
        if index.displaced {
            let detail = "records do not lie one after the other behind the header: bytes were \
                          lost or inserted; each that is whole was found where it is";
            self.find(Code::IndexDisplaced, Remedy::Repair, detail);
        }
    }
    fn report_index_header(&mut self) {
        let index = &self.evidence.index;
        let (code, detail) = match index.header_repair {
            None if index.header_proven => return,
            None => (
                Code::IndexHeaderDamaged,
                "the header fails its CRC or makes no sense; the records stand on their own CRCs",
            ),
            Some(HeaderRepair::Bit) => (
                Code::IndexHeaderBit,
                "the header fits its CRC once one flipped bit is put right; nothing of it is lost",
            ),
            Some(HeaderRepair::Named) => (
                Code::IndexHeaderDamaged,
                "the header names a version, start offset or record size that is not that of the \
                 records; its CRC proves the rest of it, which is kept",
            ),
            Some(HeaderRepair::Moved) => (
                Code::IndexHeaderDamaged,
                "the header is not in its place or torn apart by foreign bytes; its CRC proves it \
                 once they are taken out, and nothing of it is lost",
            ),
        };
        self.find(code, Remedy::Repair, detail);
    }
}

/// Where the draft's cache item lives before the rewrite.
fn old_cache(record: &IndexRecord, item: CacheItem) -> CacheSource {
    match item {
        CacheItem::Sound(len) => CacheSource::Old { offset: record.cache_offset, len },
        CacheItem::Damaged | CacheItem::None => CacheSource::None,
    }
}
