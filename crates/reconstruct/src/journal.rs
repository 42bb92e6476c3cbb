//! What a later run must know of this one: the records of messages that are wanted, whole, where the
//! run took them out of sight or moved their files away, and message files that were about to get
//! another name.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use mailstore_format::index::IndexRecord;
use mailstore_format::{
    Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UserFlags,
};
use serde::{Deserialize, Serialize};

use crate::evidence::{Place, StoredAnnotation};
use crate::path_text::PathText;
use crate::workshop::earlier_runs;

/// The journal in a mailbox's folder, one JSON object a line.
pub(crate) const JOURNAL: &str = "journal.jsonl";

/// What all earlier runs noted about a mailbox, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    /// Records that were pruned, or whose damaged file was moved away.
    pub wanted: Vec<Wanted>,
    /// Message files that got, or were about to get, another name.
    pub renamed: Vec<Renamed>,
    /// Messages that came, or were about to come, from outside.
    pub arrived: Vec<Arriving>,
    /// The UIDs of those among them whose coming was undone.
    pub retracted: Vec<Uid>,
}

impl Journal {
    /// The records that were expunged by order, oldest first.
    #[must_use]
    pub fn pruned(&self) -> impl DoubleEndedIterator<Item = &Wanted> {
        self.wanted.iter().filter(|wanted| wanted.is_pruned())
    }
}

/// A message file and the name it was about to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Where it lies.
    pub place: Place,
    /// The name it had.
    pub from: OsString,
    /// The UID of its new name.
    pub to: Uid,
    /// Its inode.
    pub ino: u64,
}

/// A message that comes from outside, as it is noted before it does: with this an interrupted run's
/// work can be finished, and nothing comes twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arriving {
    /// Under which key it was asked for.
    pub key: String,
    /// The UID that it gets.
    pub to: Uid,
    /// The SHA-1 of its bytes.
    pub guid: Guid,
    /// The flags that clients see.
    pub system_flags: SystemFlags,
    /// The names of its keywords.
    pub keywords: Vec<String>,
    /// When it was received.
    pub internaldate: Timestamp,
    /// Whether the index with its record came to its place.
    pub committed: bool,
}

/// A record whose message is not there: what has to be known to recognize the message wherever it
/// turns up, and to give it back all it had.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Why it is wanted.
    pub why: WantedBecause,
    /// The whole record, as it was before anything was done about it.
    pub record: IndexRecord,
    /// The names of its keywords, by slot.
    pub keywords: Vec<(usize, Vec<u8>)>,
    /// Its annotations.
    pub annotations: Vec<StoredAnnotation>,
    /// The modseq its tombstone got, where it was pruned; else 0. A tombstone with another was
    /// expunged by somebody else.
    pub tombstone: ModSeq,
}

/// Why a message is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedBecause {
    /// Its file is proved absent; the record stays.
    Missing,
    /// What has its name is not it any more; the record stays.
    Damaged,
    /// As one of these its record was expunged, by order.
    Pruned,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Pruned(Box<WantedLine>),
    Wanted(Box<WantedLine>),
    Renamed {
        archived: bool,
        from: PathText,
        to: u32,
        ino: u64,
    },
    Arriving(ArrivingLine),
    Committing(Committing),
    Committed {
        time_ns: i64,
    },
    Done,
    Undoing {
        time_ns: i64,
    },
    /// A run of its own is about to undo it.
    Retracting {
        by: String,
    },
    Undone {
        time_ns: i64,
        /// The run of its own that did it, where the mailbox had changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// That run was undone.
    Redone,
}

/// What the index will be when the run has put it into its place: where it still is that, nobody
/// has changed the mailbox since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committing {
    pub(crate) ino: u64,
    pub(crate) generation: u32,
    pub(crate) uidvalidity: u32,
    pub(crate) last_uid: u32,
    pub(crate) highestmodseq: u64,
    /// CRC-32 of all records.
    pub(crate) records_crc: u32,
    pub(crate) header_file_crc: u32,
    /// How many message files have names above the last UID.
    #[serde(default)]
    pub(crate) names_above: u64,
}

/// How far a run came with a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Course {
    /// What the index was about to be.
    pub(crate) committing: Option<Committing>,
    /// Whether all was done.
    pub(crate) done: bool,
    /// Whether an undo began.
    pub(crate) undoing: bool,
    /// The runs of their own that were about to undo it.
    pub(crate) retracting: Vec<String>,
    /// Whether it was undone.
    pub(crate) undone: bool,
    /// The run that undid it, where that took one of its own.
    pub(crate) undone_by: Option<String>,
}

impl Course {
    /// Whether the run was about to change the mailbox, came to its end neither then nor later, and
    /// was not undone.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.committing.is_some() && !self.done && !self.undoing && !self.undone
    }
}

impl Committing {
    /// As one line of the journal.
    pub(crate) fn to_json(self) -> serde_json::Result<String> {
        serde_json::to_string(&Event::Committing(self))
    }

    /// The line that says that the index is in its place.
    pub(crate) fn done(now: Timestamp) -> serde_json::Result<String> {
        serde_json::to_string(&Event::Committed { time_ns: now.0 })
    }

    /// The line that says that nothing is left to do.
    pub(crate) fn all_done() -> serde_json::Result<String> {
        serde_json::to_string(&Event::Done)
    }
}

/// A line of the journal. Times are in nanoseconds since 1970; bytes that are no UTF-8 are replaced
/// where they are for people only.
#[derive(Debug, Serialize, Deserialize)]
struct WantedLine {
    uid: u32,
    #[serde(default = "WantedLine::why_in_old_journals")]
    why: WantedBecause,
    tombstone_modseq: u64,
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
struct ArrivingLine {
    key: String,
    to: u32,
    guid: String,
    system_flags: u16,
    keywords: Vec<String>,
    internaldate: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnnotationLine {
    entry: String,
    userid: String,
    value: Vec<u8>,
}

impl WantedLine {
    /// Journals that do not say it knew only pruned records.
    const fn why_in_old_journals() -> WantedBecause {
        WantedBecause::Pruned
    }
}

impl Wanted {
    /// Whether a run did anything about its record or file.
    pub(crate) fn is_acted_on(&self) -> bool {
        self.why != WantedBecause::Missing
    }

    /// Whether its record was expunged by order.
    #[must_use]
    pub fn is_pruned(&self) -> bool {
        self.why == WantedBecause::Pruned
    }

    /// As one line of the journal.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let record = &self.record;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let annotation = |note: &StoredAnnotation| AnnotationLine {
            entry: text(&note.entry),
            userid: text(&note.userid),
            value: note.value.clone(),
        };
        let line = Box::new(WantedLine {
            uid: record.uid.0,
            why: self.why,
            tombstone_modseq: self.tombstone.0,
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
            annotations: self.annotations.iter().map(annotation).collect(),
        });
        let event = if self.is_pruned() { Event::Pruned(line) } else { Event::Wanted(line) };
        serde_json::to_string(&event)
    }

    fn from_line(line: WantedLine) -> Option<Self> {
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
        let tombstone = ModSeq(line.tombstone_modseq);
        Some(Self { why: line.why, record, keywords, annotations, tombstone })
    }
}

impl Renamed {
    /// As one line of the journal.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let Self { place, from, to: Uid(to), ino } = self;
        let from = from.as_os_str().into();
        let archived = *place == Place::Archive;
        serde_json::to_string(&Event::Renamed { archived, from, to: *to, ino: *ino })
    }
}

impl Arriving {
    /// As one line of the journal.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Event::Arriving(ArrivingLine {
            key: self.key.clone(),
            to: self.to.0,
            guid: self.guid.to_string(),
            system_flags: self.system_flags.0,
            keywords: self.keywords.clone(),
            internaldate: self.internaldate.0,
        }))
    }

    fn from_line(line: ArrivingLine) -> Option<Self> {
        Some(Self {
            key: line.key,
            to: Uid(line.to),
            guid: line.guid.parse().ok()?,
            system_flags: SystemFlags(line.system_flags),
            keywords: line.keywords,
            internaldate: Timestamp(line.internaldate),
            committed: false,
        })
    }
}

/// Reads what all earlier runs noted about the mailbox with this key, those that were undone
/// excepted. A line that a crash cut is passed over: what it tells of was not done yet.
pub(crate) fn of_earlier_runs(root: &Path, key: &str) -> Journal {
    let mut journal = Journal::default();
    for run in earlier_runs(root).unwrap_or_default() {
        let of_run = of_run(&run.join(key));
        journal.wanted.extend(of_run.wanted);
        journal.renamed.extend(of_run.renamed);
        journal.arrived.extend(of_run.arrived);
        journal.retracted.extend(of_run.retracted);
    }
    journal
}

/// Reads what the run with this folder noted since it was last undone.
pub(crate) fn of_run(folder: &Path) -> Journal {
    let (mut journal, mut undone) = (Journal::default(), Journal::default());
    // Which messages the commit is about whose end is not noted yet.
    let (mut committing, mut noted) = (0..0, 0);
    for event in events(folder) {
        match event {
            Event::Pruned(line) | Event::Wanted(line) => {
                journal.wanted.extend(Wanted::from_line(*line));
            }
            Event::Renamed { archived, from, to, ino } => {
                let place = if archived { Place::Archive } else { Place::Spool };
                let from = from.into_os_string();
                journal.renamed.push(Renamed { place, from, to: Uid(to), ino });
            }
            Event::Arriving(line) => journal.arrived.extend(Arriving::from_line(line)),
            Event::Committing(_) => {
                committing = noted..journal.arrived.len();
                noted = journal.arrived.len();
            }
            Event::Committed { .. } => {
                let arrived = journal.arrived.get_mut(committing.clone());
                arrived.into_iter().flatten().for_each(|message| message.committed = true);
            }
            Event::Undone { .. } => {
                undone = std::mem::take(&mut journal);
                journal.retracted = undone.arrived.iter().map(|message| message.to).collect();
                (committing, noted) = (0..0, 0);
            }
            Event::Redone => journal = std::mem::take(&mut undone),
            Event::Done | Event::Undoing { .. } | Event::Retracting { .. } => {}
        }
    }
    journal
}

/// How far the run with this folder came, an undo of it included.
pub(crate) fn course_of(folder: &Path) -> Course {
    events(folder).fold(Course::default(), |mut course, event| match event {
        // A run can be resumed, and after an undo done again.
        Event::Committing(committing) => {
            Course { committing: Some(committing), ..Course::default() }
        }
        Event::Done => Course { done: true, ..course },
        Event::Undoing { .. } => Course { undoing: true, ..course },
        Event::Retracting { by } => {
            course.retracting.push(by);
            course
        }
        Event::Undone { by, .. } => Course { undone: true, undone_by: by, ..course },
        Event::Redone => Course { undoing: false, undone: false, undone_by: None, ..course },
        Event::Pruned(_)
        | Event::Wanted(_)
        | Event::Renamed { .. }
        | Event::Arriving(_)
        | Event::Committed { .. } => course,
    })
}

/// The line that says that an undo begins.
pub(crate) fn undoing(now: Timestamp) -> serde_json::Result<String> {
    serde_json::to_string(&Event::Undoing { time_ns: now.0 })
}

/// The line that says that the run `by` is about to undo this one.
pub(crate) fn retracting(by: &str) -> serde_json::Result<String> {
    serde_json::to_string(&Event::Retracting { by: by.to_owned() })
}

/// The line that says that the run was undone, where that took a run of its own, `by` that one.
pub(crate) fn undone(now: Timestamp, by: Option<&str>) -> serde_json::Result<String> {
    serde_json::to_string(&Event::Undone { time_ns: now.0, by: by.map(str::to_owned) })
}

/// The line that says that the run by which this one was undone was undone itself.
pub(crate) fn redone() -> serde_json::Result<String> {
    serde_json::to_string(&Event::Redone)
}

fn events(folder: &Path) -> impl Iterator<Item = Event> {
    let journal = File::open(folder.join(JOURNAL)).ok();
    let lines = journal.into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    lines.map_while(Result::ok).filter_map(|line| serde_json::from_slice(&line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_comes_back_from_the_journal_whole() {
        let pruned = Wanted {
            why: WantedBecause::Pruned,
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
            tombstone: ModSeq(12),
        };
        let damaged =
            Wanted { why: WantedBecause::Damaged, tombstone: ModSeq(0), ..pruned.clone() };
        let renamed =
            Renamed { place: Place::Archive, from: "3.".into(), to: Uid(9), ino: u64::MAX };
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".mailstore-recovery/run/key");
        std::fs::create_dir_all(&folder).unwrap();
        let lines = [pruned.to_json(), renamed.to_json(), damaged.to_json()].map(Result::unwrap);
        let whole = lines.join("\n");
        let cut = &lines[0][..lines[0].len() / 2];
        std::fs::write(folder.join(JOURNAL), format!("{whole}\n{cut}")).unwrap();
        let expected =
            Journal { wanted: vec![pruned, damaged], renamed: vec![renamed], ..Journal::default() };
        assert_eq!(of_earlier_runs(root.path(), "key"), expected);
        assert_eq!(of_earlier_runs(root.path(), "another"), Journal::default());
    }

    #[test]
    fn what_came_from_outside_is_known_with_how_far_it_came_and_forgotten_when_undone() {
        let message = |to| Arriving {
            key: format!("key {to}"),
            to: Uid(to),
            guid: Guid::of(b"message"),
            system_flags: SystemFlags(9),
            keywords: vec!["later".to_owned()],
            internaldate: Timestamp(-1),
            committed: false,
        };
        let committing = Committing {
            ino: 1,
            generation: 1,
            uidvalidity: 1,
            last_uid: 1,
            highestmodseq: 1,
            records_crc: 1,
            header_file_crc: 1,
            names_above: 0,
        };
        let now = Timestamp(7);
        let mut lines = vec![
            message(1).to_json(),
            committing.to_json(),
            message(2).to_json(),
            committing.to_json(),
            Committing::done(now),
        ];
        let root = tempfile::tempdir().unwrap();
        let read = |lines: &[serde_json::Result<String>]| {
            let lines: Vec<_> = lines.iter().map(|line| line.as_ref().unwrap().as_str()).collect();
            std::fs::write(root.path().join(JOURNAL), lines.join("\n")).unwrap();
            of_run(root.path())
        };
        let both = [message(1), Arriving { committed: true, ..message(2) }];
        assert_eq!(read(&lines).arrived, both, "of the first nobody noted that it came");
        lines.push(undone(now, Some("another")));
        let journal = read(&lines);
        assert!(journal.arrived.is_empty());
        assert_eq!(journal.retracted, [Uid(1), Uid(2)]);
        lines.push(redone());
        assert_eq!(read(&lines).arrived, both);
    }

    #[test]
    fn a_journal_of_a_release_that_knew_only_pruned_records_is_read() {
        let pruned = Wanted {
            why: WantedBecause::Pruned,
            record: IndexRecord { uid: Uid(7), ..IndexRecord::default() },
            keywords: Vec::new(),
            annotations: Vec::new(),
            tombstone: ModSeq(12),
        };
        let line = pruned.to_json().unwrap().replace(r#""why":"pruned","#, "");
        assert!(!line.contains("why"), "{line}");
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".mailstore-recovery/run/key");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(JOURNAL), line).unwrap();
        assert_eq!(of_earlier_runs(root.path(), "key").wanted, [pruned]);
    }
}
