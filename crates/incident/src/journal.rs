//! What tools leave beside the mail, and an incident can be rebuilt from.
//!
//! It lies on the partition of the mail it is about, under
//! `<partition root>/.mailstore-recovery/<run>/<mailbox key>/`:
//!
//! | file | content |
//! |---|---|
//! | [`MANIFEST`] | a [`ManifestLine`] for each file that is kept |
//! | [`JOURNAL`] | a [`JournalEvent`] a line |
//! | [`REPORT`] | a [`ReportLine`]: what became of the mailbox |
//! | [`RUN_FILE`], in the run's directory | a [`RunLine`]: how the run began |
//!
//! All of them are read leniently: what is missing has its default, what is not known is passed
//! over. Times are nanoseconds since 1970 UTC.

use std::path::{Path, PathBuf};

use mailstore_format::{Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid};
use serde::{Deserialize, Serialize};

use crate::findings::Finding;
use crate::mailboxes::Outcome;
use crate::quarantine::Quarantined;
use crate::runs::RunStart;
use crate::wanted::{WantedAnnotation, WantedMessage, Why};

/// The directory at a partition's root under which every run keeps what it sets aside.
pub const RECOVERY_DIRECTORY: &str = ".mailstore-recovery";
/// The list of what a run kept of a mailbox.
pub const MANIFEST: &str = "manifest.jsonl";
/// What a run noted for later ones.
pub const JOURNAL: &str = "journal.jsonl";
/// What became of a mailbox in a run.
pub const REPORT: &str = "report.json";
/// How a run began.
pub const RUN_FILE: &str = "run.json";

/// The most keywords a message can have.
const KEYWORDS: usize = mailstore_format::UserFlags::SLOTS;

/// A file that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManifestLine {
    /// The mailbox, as operators write its name.
    pub mailbox: String,
    /// The name of its folder in each run.
    pub key: String,
    /// Where the file was.
    #[serde(with = "path_bytes")]
    pub origin: PathBuf,
    /// Where it, or its second name, is.
    #[serde(with = "path_bytes")]
    pub now: PathBuf,
    /// Why.
    pub reason: String,
    /// The SHA-1 of its bytes, where it is a message that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// When its content had last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
}

/// Something that happened, or was about to, to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JournalEvent {
    /// A record was expunged because its message is gone.
    Pruned(Box<MessageLine>),
    /// A message is lost, and its record stays.
    Wanted(Box<MessageLine>),
    /// A message that was wanted is there.
    Found {
        /// Its UID.
        uid: u32,
        /// Its GUID.
        guid: String,
    },
    /// What this run did to the mailbox was undone.
    Undone,
    /// Anything else: of no use to an incident.
    #[serde(other)]
    Other,
}

/// A message's record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageLine {
    /// Its UID.
    pub uid: u32,
    /// The modseq of its tombstone, where it was pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tombstone_modseq: Option<u64>,
    /// Why it is wanted, where it was not pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// 40 hexadecimal digits.
    pub guid: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of its header.
    pub header_size: u32,
    /// When it was received.
    pub internaldate: i64,
    /// The day of its Date header.
    pub sentdate: i64,
    /// The time of its Date header.
    pub gmtime: i64,
    /// When it came into the mailbox.
    pub savedate: i64,
    /// When its record was last changed.
    pub last_updated: i64,
    /// The low 16 bits of the record's flags.
    pub system_flags: u16,
    /// The others, in their places.
    pub internal_flags: u32,
    /// Its keywords, as bits.
    pub user_flags: [u32; 4],
    /// The slots and names of its keywords.
    pub keywords: Vec<(usize, String)>,
    /// The modseq of its last change.
    pub modseq: u64,
    /// The modseq of its coming.
    pub createdmodseq: u64,
    /// Its conversation.
    pub thread_id: u64,
    /// The conversation that its own was split from.
    pub base_thread_id: u64,
    /// The version of its cache record.
    pub cache_version: u16,
    /// The CRC of its cache record.
    pub cache_crc: u32,
    /// Its annotations.
    pub annotations: Vec<AnnotationLine>,
}

/// An annotation of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnotationLine {
    /// What it is called.
    pub entry: String,
    /// Whose it is; empty where everybody sees it.
    pub userid: String,
    /// What it says.
    pub value: Vec<u8>,
}

impl From<&WantedAnnotation> for AnnotationLine {
    fn from(annotation: &WantedAnnotation) -> Self {
        let WantedAnnotation { entry, userid, value } = annotation.clone();
        Self { entry, userid, value }
    }
}

impl From<AnnotationLine> for WantedAnnotation {
    fn from(AnnotationLine { entry, userid, value }: AnnotationLine) -> Self {
        Self { entry, userid, value }
    }
}

/// What became of a mailbox, as in the tool's JSON output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportLine {
    /// Its name, as operators write it.
    pub mailbox: String,
    /// What became of it.
    pub state: String,
    /// Messages with a record or a file.
    pub messages: u64,
    /// Messages that were read.
    pub messages_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// What was found.
    pub findings: Vec<FindingLine>,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

/// A finding of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingLine {
    /// The name of its kind.
    pub code: String,
    /// What became of it.
    pub remedy: String,
    /// The message it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The evidence, for people.
    pub detail: String,
}

/// How a run began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunLine {
    /// The command.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// When it began; 0 where that is not known.
    pub started: i64,
}

impl From<&RunStart> for RunLine {
    fn from(start: &RunStart) -> Self {
        let RunStart { tool, version, arguments, started, .. } = start.clone();
        Self { tool, version, arguments, started: started.0 }
    }
}

impl ManifestLine {
    pub(crate) fn into_quarantined(self) -> Quarantined {
        Quarantined {
            origin: self.origin,
            now: self.now,
            reason: self.reason,
            guid: self.guid.and_then(|guid| guid.parse().ok()),
            mtime: self.mtime_ns.map(Timestamp),
        }
    }
}

impl MessageLine {
    /// As a wanted message; none where the line tells no UID.
    pub(crate) fn into_wanted(self, why: Why) -> Option<WantedMessage> {
        let annotation =
            |AnnotationLine { entry, userid, value }| WantedAnnotation { entry, userid, value };
        let guid = if self.guid.is_empty() { Guid::NULL } else { self.guid.parse().ok()? };
        (self.uid != 0).then(|| WantedMessage {
            uid: Uid(self.uid),
            guid,
            size: self.size,
            system_flags: SystemFlags(self.system_flags),
            internal_flags: InternalFlags(self.internal_flags),
            keywords: self.keywords.into_iter().take(KEYWORDS).map(|(_, name)| name).collect(),
            internaldate: Timestamp(self.internaldate),
            savedate: Timestamp(self.savedate),
            sentdate: Timestamp(self.sentdate),
            modseq: ModSeq(self.modseq),
            createdmodseq: ModSeq(self.createdmodseq),
            thread_id: ThreadId(self.thread_id),
            annotations: self.annotations.into_iter().map(annotation).collect(),
            why: self.why.unwrap_or(why),
        })
    }
}

impl ReportLine {
    pub(crate) fn into_parts(self) -> (Outcome, Vec<Finding>) {
        let finding = |FindingLine { code, remedy, uid, detail }| Finding {
            uid: uid.map(Uid),
            code,
            remedy,
            detail,
        };
        let outcome = Outcome {
            state: self.state,
            messages: self.messages,
            messages_read: self.messages_read,
            bytes_read: self.bytes_read,
            error: self.error,
        };
        (outcome, self.findings.into_iter().map(finding).collect())
    }
}

/// A path in JSON: a string; where its bytes are no UTF-8, an array of their numbers.
pub mod path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Path, PathBuf, Serialize};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrBytes {
        Text(String),
        Bytes(Vec<u8>),
    }

    /// Writes a path.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => path.as_os_str().as_bytes().serialize(serializer),
        }
    }

    /// Reads a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match TextOrBytes::deserialize(deserializer)? {
            TextOrBytes::Text(text) => text.into(),
            TextOrBytes::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn events_and_fields_that_are_not_known_are_passed_over() {
        let read = |line: &str| serde_json::from_str::<JournalEvent>(line);
        let other = r#"{"event":"committed","generation":7,"what":{"ever":[1]}}"#;
        assert_eq!(read(other).unwrap(), JournalEvent::Other);
        let renamed = r#"{"event":"renamed","archived":false,"from":1,"to":2,"ino":3}"#;
        assert_eq!(read(renamed).unwrap(), JournalEvent::Other);
        let pruned = r#"{"event":"pruned","uid":7,"modseq":9,"of a later release":true}"#;
        let expected = MessageLine { uid: 7, modseq: 9, ..MessageLine::default() };
        assert_eq!(read(pruned).unwrap(), JournalEvent::Pruned(Box::new(expected)));
    }

    #[test]
    fn a_path_that_is_no_text_survives_the_manifest() {
        for bytes in [&b"/spool/12."[..], b"/spool/\xff\n."] {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
            let line = ManifestLine { origin: path.clone(), now: path, ..ManifestLine::default() };
            let text = serde_json::to_string(&line).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<ManifestLine>(&text).unwrap(), line);
        }
    }

    #[test]
    fn a_line_without_a_uid_or_with_a_wrong_guid_is_no_message() {
        let line =
            |uid, guid: &str| MessageLine { uid, guid: guid.to_owned(), ..MessageLine::default() };
        assert!(line(0, "").into_wanted(Why::Pruned).is_none());
        assert!(line(1, "abc").into_wanted(Why::Pruned).is_none());
        assert_eq!(line(1, "").into_wanted(Why::Pruned).unwrap().guid, Guid::NULL);
    }
}
