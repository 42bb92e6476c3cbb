//! The lines of a snapshot.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use incident::StoreBinding;
use incident::journal::path_bytes;
use mailstore::namespace::NamespaceRules;
use mailstore_format::header_file::FlagNames;
use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, ModSeq, SystemFlags, Timestamp, Uid, UidValidity, UserFlags};
use serde::{Deserialize, Serialize};

use crate::contents::{Contents, FileState, IndexState, Message, Voucher};
use crate::error::Error;
use crate::live::{LiveMailbox, LiveStore};

/// The version that is written and read.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    r#type: String,
    version: u32,
    /// When it was written, in nanoseconds since 1970.
    taken: i64,
    #[serde(with = "path_bytes")]
    config_directory: PathBuf,
    #[serde(with = "path_bytes")]
    imapd_conf: PathBuf,
    unixhierarchysep: bool,
    domains: bool,
    default_domain: StoredBytes,
    deleted_prefix: StoredBytes,
    /// How many mailboxes follow.
    pub(super) mailboxes: usize,
    /// Names of deleted mailboxes, with their unique ids.
    pub(super) tombstones: Vec<(StoredBytes, Option<StoredBytes>)>,
}

/// Bytes that are text as a rule: a string; where they are no UTF-8, an array of their numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "PathLike", into = "PathLike")]
pub(super) struct StoredBytes(pub(super) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PathLike(#[serde(with = "path_bytes")] PathBuf);

impl From<PathLike> for StoredBytes {
    fn from(PathLike(path): PathLike) -> Self {
        Self(path.into_os_string().into_vec())
    }
}

impl From<StoredBytes> for PathLike {
    fn from(StoredBytes(bytes): StoredBytes) -> Self {
        Self(OsString::from_vec(bytes).into())
    }
}

/// What of a mailbox's line is held in memory.
#[derive(Debug, Deserialize)]
pub(super) struct MailboxName {
    pub(super) name: StoredBytes,
    pub(super) uniqueid: StoredBytes,
    pub(super) dav: bool,
    pub(super) listed_at: Option<i64>,
}

/// A mailbox.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MailboxLine {
    r#type: String,
    name: StoredBytes,
    uniqueid: StoredBytes,
    dav: bool,
    listed_at: Option<i64>,
    uidvalidity: Option<u32>,
    last_uid: Option<u32>,
    deletedmodseq: Option<u64>,
    last_append: Option<i64>,
    /// Whether the index is whole.
    whole: bool,
    keywords: Vec<Option<StoredBytes>>,
    messages: Vec<MessageColumns>,
}

/// A message: UID, GUID, bytes, whether it is expunged, whether it has a file, system flags,
/// keywords, internaldate, savedate, last update, modseq, modseq of its coming, thread id.
#[derive(Debug, Serialize, Deserialize)]
struct MessageColumns(u32, String, u64, bool, bool, u16, [u32; 4], i64, i64, i64, u64, u64, u64);

impl Opening {
    pub(super) fn of(live: &LiveStore) -> Result<Self, Error> {
        let StoreBinding { config_directory, imapd_conf } = live.binding()?;
        let rules = live.namespace().rules();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tombstones = live.tombstones().iter();
        let tombstones =
            tombstones.map(|(name, id)| (StoredBytes(name.clone()), id.clone().map(StoredBytes)));
        Ok(Self {
            r#type: "gapfill-snapshot".to_owned(),
            version: VERSION,
            taken: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            config_directory,
            imapd_conf,
            unixhierarchysep: rules.unix_hierarchy_separator,
            domains: rules.domains,
            default_domain: StoredBytes(rules.default_domain),
            deleted_prefix: StoredBytes(rules.deleted_prefix),
            mailboxes: live.mailboxes().len(),
            tombstones: tombstones.collect(),
        })
    }

    /// Whether it is one that this program reads; else why not.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.r#type != "gapfill-snapshot" {
            return Err("it is no snapshot".to_owned());
        }
        if self.version != VERSION {
            let version = self.version;
            return Err(format!("it is of version {version}, and this program reads {VERSION}"));
        }
        Ok(())
    }

    pub(super) fn rules(&self) -> NamespaceRules {
        NamespaceRules {
            unix_hierarchy_separator: self.unixhierarchysep,
            domains: self.domains,
            default_domain: self.default_domain.0.clone(),
            deleted_prefix: self.deleted_prefix.0.clone(),
        }
    }

    pub(super) fn binding(&self) -> StoreBinding {
        StoreBinding {
            config_directory: self.config_directory.clone(),
            imapd_conf: self.imapd_conf.clone(),
        }
    }
}

impl MailboxLine {
    pub(super) fn of(mailbox: &LiveMailbox, contents: &Contents) -> Self {
        let highest = contents.keywords.iter().map(|(slot, _)| slot).max();
        let slots = 0..highest.map_or(0, |slot| slot.saturating_add(1));
        let keyword = |slot| contents.keywords.get(slot).map(|name| StoredBytes(name.to_vec()));
        Self {
            r#type: "mailbox".to_owned(),
            name: StoredBytes(mailbox.name.as_bytes().to_vec()),
            uniqueid: StoredBytes(mailbox.uniqueid.clone()),
            dav: mailbox.dav,
            listed_at: mailbox.listed_at,
            uidvalidity: contents.uidvalidity.map(|generation| generation.0),
            last_uid: contents.last_uid.map(|uid| uid.0),
            deletedmodseq: contents.deletedmodseq.map(|modseq| modseq.0),
            last_append: contents.last_append.map(|time| time.0),
            whole: contents.index == IndexState::Whole,
            keywords: slots.map(keyword).collect(),
            messages: contents.messages.iter().map(MessageColumns::of).collect(),
        }
    }

    pub(super) fn contents(self) -> Contents {
        let keywords = self.keywords.into_iter().map(|name| name.map(|StoredBytes(name)| name));
        let mut messages: Vec<_> =
            self.messages.iter().filter_map(MessageColumns::message).collect();
        messages.sort_by_key(|message| message.uid);
        Contents {
            uidvalidity: self.uidvalidity.map(UidValidity),
            last_uid: self.last_uid.map(Uid),
            deletedmodseq: self.deletedmodseq.map(ModSeq),
            last_append: self.last_append.map(Timestamp),
            index: if self.whole { IndexState::Whole } else { IndexState::Damaged },
            keywords: FlagNames::new(keywords).unwrap_or_default(),
            messages,
            ..Contents::default()
        }
    }
}

impl MessageColumns {
    fn of(message: &Message) -> Self {
        Self(
            message.uid.0,
            message.guid.to_string(),
            message.size,
            message.expunged,
            !matches!(message.file, FileState::Missing | FileState::Bad),
            message.system_flags.0,
            message.user_flags.0,
            message.internaldate.0,
            message.savedate.0,
            message.last_updated.0,
            message.modseq.0,
            message.createdmodseq.0,
            message.cid.0,
        )
    }

    /// The message; none where its GUID is none.
    fn message(&self) -> Option<Message> {
        let guid: Guid = self.1.parse().ok()?;
        let record = IndexRecord {
            uid: Uid(self.0),
            guid,
            size: self.2,
            system_flags: SystemFlags(self.5),
            user_flags: UserFlags(self.6),
            internaldate: Timestamp(self.7),
            savedate: Timestamp(self.8),
            last_updated: Timestamp(self.9),
            modseq: ModSeq(self.10),
            createdmodseq: ModSeq(self.11),
            cid: mailstore_format::ThreadId(self.12),
            ..IndexRecord::default()
        };
        Some(Message {
            expunged: self.3,
            file: if self.4 { FileState::Listed } else { FileState::Missing },
            voucher: Voucher::Record,
            ..Message::of_record(&record)
        })
    }
}
