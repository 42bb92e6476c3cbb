//! A mailbox in memory: evidence is gathered from it as a full check would, and plans are carried
//! out on it, so that rules can be tested by what becomes of messages.

use std::collections::BTreeMap;

use mailstore::spool::message_uid;
use mailstore_format::cache;
use mailstore_format::line_ends::{bare_lfs, with_crlf};

use super::*;
use crate::evidence::{ConversationRow, Stray};

/// A message's text; no two with another `text` have the same Message-ID or subject.
pub(super) fn message(text: &str) -> Vec<u8> {
    format!("Subject: {text}\r\nMessage-ID: <{text}@x>\r\n\r\nthe body of {text}\r\n").into_bytes()
}

/// What is left of a message whose end was lost.
pub(super) fn cut(text: &str) -> Vec<u8> {
    let mut bytes = message(text);
    bytes.truncate(bytes.len() - 9);
    bytes
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredFile {
    pub(super) ino: u64,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Mailbox {
    pub(super) files: BTreeMap<String, StoredFile>,
    pub(super) quarantine: Vec<StoredFile>,
    pub(super) odd: Vec<OddInPlace>,
    pub(super) rows: Option<Vec<ConversationRow>>,
    pub(super) journal: Journal,
    pub(super) base: Evidence,
    /// What the cache items of records are of; else they are of their messages.
    cached: BTreeMap<Uid, Likeness>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for slot in &self.base.index.slots {
            match slot {
                Slot::Record(record) => {
                    let expunged = if record.is_expunged() { " expunged" } else { "" };
                    writeln!(f, "record {} of {}{expunged}", record.uid, record.guid)?;
                }
                Slot::Doubtful(_) | Slot::Destroyed => writeln!(f, "a destroyed record")?,
            }
        }
        for (name, file) in &self.files {
            let text = String::from_utf8_lossy(&file.bytes);
            writeln!(f, "file {name} of {}: {text:?}", Guid::of(&file.bytes))?;
        }
        Ok(())
    }
}

impl Mailbox {
    /// With these messages, each with its record.
    pub(super) fn with(messages: &[(u32, &str)]) -> Self {
        let mut base = sound(&[]);
        base.index.slots = messages
            .iter()
            .map(|(uid, text)| Slot::Record(record_of(*uid, &message(text))))
            .collect();
        let mut mailbox = Self {
            files: BTreeMap::new(),
            quarantine: Vec::new(),
            odd: Vec::new(),
            rows: None,
            journal: Journal::default(),
            base,
            cached: BTreeMap::new(),
        };
        for (uid, text) in messages {
            mailbox.store(&format!("{uid}."), message(text));
        }
        for (uid, text) in messages {
            mailbox.cached.insert(Uid(*uid), understand(&message(text)).0);
        }
        let last_uid = messages.iter().map(|(uid, _)| Uid(*uid)).max().unwrap_or_default();
        mailbox.base.index.header.as_mut().unwrap().last_uid = last_uid;
        mailbox.settle();
        mailbox
    }

    /// Makes the header that of the records.
    pub(super) fn settle(&mut self) {
        if let Some(rewrite) = self.plan().rewrite {
            let generation_no = self.base.index.header.as_ref().unwrap().generation_no;
            self.base.index.header = Some(IndexHeader { generation_no, ..rewrite.header });
        }
    }

    pub(super) fn store(&mut self, name: &str, bytes: Vec<u8>) {
        let known = self.files.values().chain(&self.quarantine).map(|file| file.ino);
        let ino = known.max().unwrap_or(100) + 1;
        self.files.insert(name.to_owned(), StoredFile { ino, bytes });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.files.remove(name).unwrap();
    }

    pub(super) fn swap(&mut self, one: &str, other: &str) {
        let (first, second) = (self.files.remove(one).unwrap(), self.files.remove(other).unwrap());
        self.files.insert(one.to_owned(), second);
        self.files.insert(other.to_owned(), first);
    }

    pub(super) fn change_record(&mut self, uid: u32, change: impl Fn(&mut IndexRecord)) {
        for slot in &mut self.base.index.slots {
            if let Slot::Record(record) = slot
                && record.uid == Uid(uid)
            {
                change(record);
            }
        }
    }

    pub(super) fn destroy_record(&mut self, uid: u32) {
        for slot in &mut self.base.index.slots {
            if matches!(slot, Slot::Record(record) if record.uid == Uid(uid)) {
                *slot = Slot::Destroyed;
            }
        }
    }

    pub(super) fn drop_record(&mut self, uid: u32) {
        let is_its = |slot: &Slot| matches!(slot, Slot::Record(record) if record.uid == Uid(uid));
        self.base.index.slots.retain(|slot| !is_its(slot));
        self.settle_counts_only();
    }

    /// The header's counts as if the index had always been so; last UID and modseq stay.
    fn settle_counts_only(&mut self) {
        let before = self.base.index.header.clone().unwrap();
        let files = std::mem::take(&mut self.files);
        for at in 0..self.base.index.slots.len() {
            if let Some(record) = self.base.index.record(at).copied() {
                let file = files.get(&format!("{}.", record.uid)).cloned();
                self.files.extend(file.map(|file| (format!("{}.", record.uid), file)));
            }
        }
        self.settle();
        self.files = files;
        let header = self.base.index.header.as_mut().unwrap();
        header.last_uid = before.last_uid;
        header.highestmodseq = before.highestmodseq;
    }

    pub(super) fn evidence(&self) -> Evidence {
        let mut uids: BTreeMap<Uid, Option<usize>> = BTreeMap::new();
        for name in self.files.keys() {
            uids.extend(message_uid(name.as_bytes()).map(|uid| (uid, None)));
        }
        for (slot, content) in self.base.index.slots.iter().enumerate() {
            if let Slot::Record(record) = content {
                uids.insert(record.uid, Some(slot));
            }
        }
        let messages = uids.into_iter().map(|(uid, slot)| self.message(uid, slot)).collect();
        let strays = self.files.iter().filter(|(name, _)| message_uid(name.as_bytes()).is_none());
        let strays = strays.map(|(name, file)| {
            let (_, mut reading) = understand(&file.bytes);
            note_other_line_ends(&mut reading, &file.bytes);
            let is_mail = reading.fields.has_header;
            let identity = identity(file);
            let reading = (!file.bytes.is_empty()).then_some(reading);
            Stray { place: Place::Spool, name: name.into(), identity, is_mail, reading }
        });
        let strays: Vec<_> = strays.collect();
        let badly_named = strays.iter().map(|stray| OddInPlace {
            place: Place::Spool,
            entry: OddEntry {
                name: stray.name.clone(),
                kind: OddKind::BadName,
                ino: stray.identity.ino,
                movable: true,
            },
        });
        let odd = self.odd.iter().cloned().chain(badly_named).collect();
        let sound = sound(&[]);
        Evidence {
            directory: DirectoryEvidence { odd, ..DirectoryEvidence::default() },
            index: IndexEvidence {
                unreadable: None,
                identity: self.base.index.identity,
                header_bytes: Vec::new(),
                header: self.base.index.header.clone(),
                slots: self.base.index.slots.clone(),
                ..IndexEvidence { header_proven: self.base.index.header_proven, ..sound.index }
            },
            header_file: match &self.base.header_file {
                HeaderFileEvidence::Sound { value, crc } => {
                    HeaderFileEvidence::Sound { value: value.clone(), crc: *crc }
                }
                _ => unreachable!("the model has one"),
            },
            messages,
            strays,
            witnesses: Witnesses {
                conversations: self.rows.clone(),
                uidvalidity: Some(UidValidity(42)),
                ..self.base.witnesses.clone()
            },
            journal: self.journal.clone(),
            ..sound
        }
    }

    fn message(&self, uid: Uid, slot: Option<usize>) -> MessageEvidence {
        let record = slot.and_then(|slot| self.base.index.record(slot));
        let file = self.files.get(&format!("{uid}."));
        let odd = self.odd.iter().any(|odd| *odd.entry.name == *format!("{uid}."));
        let cache = if record.is_some() { CacheItem::Sound(100) } else { CacheItem::None };
        let evidence = MessageEvidence {
            uid,
            slot,
            file: match file {
                Some(file) => FileEvidence::Regular {
                    place: Place::Spool,
                    identity: identity(file),
                    in_both: false,
                },
                None if odd => FileEvidence::Odd,
                None => FileEvidence::Absent,
            },
            reading: None,
            cache,
            cached_likeness: self.cached.get(&uid).copied(),
        };
        let Some(file) = file.filter(|file| !file.bytes.is_empty()) else { return evidence };
        let (_, mut reading) = understand(&file.bytes);
        let converted = with_crlf(&file.bytes, bare_lfs(&file.bytes));
        let (_, as_crlf) = understand(&converted);
        match record {
            Some(record) if reading.fields.guid == record.guid => reading.staged = None,
            Some(record) if as_crlf.fields.guid == record.guid => {
                reading = Reading { with_crlf: true, staged: None, ..as_crlf };
            }
            _ => note_other_line_ends(&mut reading, &file.bytes),
        }
        MessageEvidence { reading: Some(reading), ..evidence }
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.evidence(), policy())
    }

    /// Carries out what is planned; returns it.
    pub(super) fn repair(&mut self) -> Plan {
        let plan = self.plan();
        if let Some(rewrite) = &plan.rewrite {
            self.apply(rewrite);
        }
        plan
    }

    fn apply(&mut self, rewrite: &Rewrite) {
        let FileSteps { puts, renames, set_aside, returns, arrivals } = &rewrite.file_steps;
        assert!(returns.is_empty(), "only an undo gives names back");
        assert!(arrivals.is_empty(), "nothing was to come in");
        let contents: Vec<_> = puts.iter().map(|put| self.content(&put.content)).collect();
        for (put, content) in puts.iter().zip(contents) {
            self.quarantine.extend(self.files.insert(format!("{}.", put.uid), content));
            self.odd.retain(|odd| *odd.entry.name != *format!("{}.", put.uid));
        }
        for rename in renames {
            let from = self.files[rename.from.to_str().unwrap()].clone();
            assert_eq!(from.ino, rename.identity.ino, "the file that was looked at");
            let old = self.files.insert(format!("{}.", rename.to), from.clone());
            assert!(old.is_none_or(|old| old.ino == from.ino), "no name is taken away");
        }
        self.base.index.slots =
            rewrite.records.iter().map(|planned| Slot::Record(planned.record)).collect();
        self.base.index.header = Some(rewrite.header.clone());
        self.base.index.header_proven = true;
        if let Some(file) = &rewrite.header_file {
            let crc = crc32fast::hash(&file.encode());
            self.base.header_file =
                HeaderFileEvidence::Sound { value: Box::new(file.clone()), crc };
        }
        for rename in renames {
            self.quarantine.extend(self.files.remove(rename.from.to_str().unwrap()));
        }
        for aside in set_aside {
            let name = aside.name.to_str().unwrap();
            let odd = self.odd.iter().position(|odd| *odd.entry.name == *aside.name);
            if let Some(odd) = odd.filter(|_| !self.files.contains_key(name)) {
                self.odd.remove(odd);
                continue;
            }
            let file = self.files.remove(name).expect("what is set aside is there");
            assert_eq!(file.ino, aside.ino, "{name} is the file that was looked at");
            self.quarantine.push(file);
        }
        for planned in &rewrite.records {
            let file = self.files.get(&format!("{}.", planned.record.uid));
            let likeness = file.map(|file| understand(&file.bytes).0);
            self.cached.extend(likeness.map(|likeness| (planned.record.uid, likeness)));
        }
    }

    fn content(&self, content: &MessageContent) -> StoredFile {
        let file = self.files[content.name.to_str().unwrap()].clone();
        assert_eq!(file.ino, content.identity.ino, "the file that was looked at");
        if !content.with_crlf {
            return file;
        }
        let bytes = with_crlf(&file.bytes, bare_lfs(&file.bytes));
        StoredFile { ino: file.ino + 1_000_000, bytes }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &IndexRecord> {
        (0..self.base.index.slots.len()).filter_map(|slot| self.base.index.record(slot))
    }

    pub(super) fn record(&self, uid: u32) -> &IndexRecord {
        self.records().find(|record| record.uid == Uid(uid)).unwrap()
    }

    /// UIDs and texts of what is served: live records with the bytes under their names.
    pub(super) fn served(&self) -> Vec<(u32, Vec<u8>)> {
        let live = self.records().filter(|record| !record.is_expunged());
        live.filter_map(|record| {
            let file = self.files.get(&format!("{}.", record.uid))?;
            Some((record.uid.0, file.bytes.clone()))
        })
        .collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }
}

fn identity(file: &StoredFile) -> FileIdentity {
    let size = u64::try_from(file.bytes.len()).unwrap();
    FileIdentity { ino: file.ino, size, mtime: Timestamp::from_seconds(MIDNIGHT + 3600) }
}

fn note_other_line_ends(reading: &mut Reading, bytes: &[u8]) {
    let converted = with_crlf(bytes, bare_lfs(bytes));
    if converted != bytes {
        let (_, as_crlf) = understand(&converted);
        reading.as_crlf = Some(Box::new(Reading { with_crlf: true, ..as_crlf }));
    }
}

fn understand(bytes: &[u8]) -> (Likeness, Reading) {
    let mut item = Vec::new();
    let fields = MessageReader::default().read(bytes, &mut item);
    assert!(item.len() > cache::HEADER_SIZE);
    let likeness = Likeness::of_cache_record(&item);
    let staged = Some(StagedCache { offset: 0, len: item.len() });
    let blank = bytes.iter().all(|&byte| byte == 0);
    (likeness, Reading { likeness, blank, ..reading_of(fields, staged) })
}

pub(super) fn record_of(uid: u32, bytes: &[u8]) -> IndexRecord {
    let (_, reading) = understand(bytes);
    let fields = reading.fields;
    IndexRecord {
        size: fields.size,
        header_size: fields.header_size,
        guid: fields.guid,
        cache_crc: fields.cache_crc,
        ..record(uid)
    }
}
