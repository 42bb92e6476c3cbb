//! Every index, cache and header of the stores that real servers made: read, proved by all their
//! checksums, and written back byte for byte.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailstore_format::cache::{self, CacheRecord};
use mailstore_format::conversations::{Folders, GuidRow};
use mailstore_format::header_file::{self, HeaderFile, HeaderForm};
use mailstore_format::index::layout::HeaderField;
use mailstore_format::index::sync_crc::{self, SyncCrcDialect, ThreadIdForm};
use mailstore_format::index::{
    CrcState, HeaderState, IndexFile, IndexRecord, Layout, Salvaged, SalvagedSlot, recount, salvage,
};
use mailstore_format::message::{CacheDialect, MessageReader};
use mailstore_format::{Guid, InternalFlags, Uid, db};

/// Archives below `testdata/stores`, and the index version that their mailboxes have.
const STORES: [(&str, u32); 16] = [
    ("cyrus-3.6-v6-uuid-conversations", 6),
    ("cyrus-3.6-v7-uuid-conversations", 7),
    ("cyrus-3.6-v8-uuid-conversations", 8),
    ("cyrus-3.6-v9-uuid-conversations", 9),
    ("cyrus-3.6-v10-uuid-conversations", 10),
    ("cyrus-3.6-v12-uuid-conversations", 12),
    ("cyrus-3.6-v13-uuid-conversations", 13),
    ("cyrus-3.6-v14-uuid-conversations", 14),
    ("cyrus-3.6-v15-uuid-conversations", 15),
    ("cyrus-3.6-v16-uuid-conversations", 16),
    ("cyrus-3.6-v17-uuid-conversations", 17),
    ("cyrus-3.6-v17-legacydirs-archive", 17),
    ("cyrus-3.13-v18-legacydirs", 18),
    ("cyrus-3.13-v19-legacydirs", 19),
    ("cyrus-3.13-v20-legacydirs", 20),
    ("cyrus-3.13-v20-uuid-conversations", 20),
];

/// A store unpacked into a directory of its own.
struct Store {
    name: &'static str,
    version: u32,
    root: tempfile::TempDir,
}

impl Store {
    fn unpack((name, version): (&'static str, u32)) -> Self {
        let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/stores");
        let archive = stores.join(format!("{name}.tar.xz"));
        assert!(archive.is_file(), "the fixture {} is missing", archive.display());
        let root = tempfile::tempdir().unwrap();
        let tar = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(root.path()).status();
        assert!(tar.unwrap().success(), "tar could not unpack {}", archive.display());
        Self { name, version, root }
    }

    /// Bytes of the annotations that are kept server-wide, of the mailbox of this id or name.
    fn server_annotation_bytes(&self, mailbox: &HeaderFile) -> u64 {
        let bytes = fs::read(self.root.path().join("store/conf/annotations.db")).unwrap();
        let contents = db::read(&bytes).unwrap();
        let ids = [mailbox.uniqueid.as_deref(), mailbox.name.as_deref()];
        let of_mailbox = contents
            .entries
            .iter()
            .filter(|entry| ids.contains(&entry.key.split(|&byte| byte == 0).next()));
        of_mailbox.map(|entry| annotation_value(&entry.value).len() as u64).sum()
    }

    /// The conversations of all users: their tables of mailboxes, and their rows.
    fn conversations(&self) -> Vec<(Folders, Vec<GuidRow>)> {
        let mut found = Vec::new();
        let mut open = vec![self.root.path().join("store/conf/user")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.ends_with("conversations.db") {
                    let bytes = fs::read(&path).unwrap();
                    let contents = db::read(&bytes).unwrap();
                    assert_eq!(contents.damage, [], "{}", path.display());
                    let Some(folders) = Folders::of(&contents) else { continue };
                    let rows = contents.entries.iter().filter(|entry| GuidRow::is_key(&entry.key));
                    let rows = rows.map(|row| GuidRow::decode(&row.key, &row.value).unwrap());
                    found.push((folders, rows.collect()));
                }
            }
        }
        found
    }

    /// The directories in the spool that hold an index: 12 in every store.
    fn mailboxes(&self) -> Vec<Mailbox> {
        let spool = self.root.path().join("store/spool");
        let mut found = Vec::new();
        let mut open = vec![spool.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
            if directory.join("cyrus.index").exists() {
                let below = directory.strip_prefix(&spool).unwrap();
                let archive = self.root.path().join("store/archive").join(below);
                let label = format!("{}: {}", self.name, below.display());
                found.push(Mailbox { label, directory, archive });
            }
        }
        assert_eq!(found.len(), 12, "mailboxes of {}", self.name);
        found
    }
}

struct Mailbox {
    label: String,
    directory: PathBuf,
    archive: PathBuf,
}

impl Mailbox {
    /// Where the message and the cache item of a record lie.
    fn directory_of(&self, record: &IndexRecord) -> &Path {
        let archived = record.internal_flags.contains(InternalFlags::ARCHIVED);
        if archived { &self.archive } else { &self.directory }
    }

    fn index(&self) -> Vec<u8> {
        fs::read(self.directory.join("cyrus.index")).unwrap()
    }

    fn header(&self) -> (Vec<u8>, HeaderFile) {
        let bytes = fs::read(self.directory.join("cyrus.header")).unwrap();
        let header = HeaderFile::decode(&bytes).unwrap();
        (bytes, header)
    }

    /// The mailbox's own annotations: UID, entry, user and value of each that is not deleted.
    fn annotations(&self) -> Vec<Annotation> {
        let Ok(bytes) = fs::read(self.directory.join("cyrus.annotations")) else { return vec![] };
        let contents = db::read(&bytes).unwrap();
        assert_eq!(contents.damage, [], "{}", self.label);
        let annotations =
            contents.entries.iter().map(|entry| Annotation::of(&entry.key, &entry.value));
        annotations.filter(|annotation| !annotation.value.is_empty()).collect()
    }
}

/// As `split_key` and `split_attribs` in `imap/annotate.c` read them.
struct Annotation {
    uid: Uid,
    entry: Vec<u8>,
    userid: Vec<u8>,
    value: Vec<u8>,
}

impl Annotation {
    fn of(key: &[u8], value: &[u8]) -> Self {
        let parts: Vec<&[u8]> = key.split(|&byte| byte == 0).collect();
        let uid = std::str::from_utf8(parts[0]).unwrap().parse().unwrap();
        let value = annotation_value(value).to_vec();
        Self { uid: Uid(uid), entry: parts[1].to_vec(), userid: parts[2].to_vec(), value }
    }
}

/// The value of an annotation's database entry, empty where it is deleted.
fn annotation_value(stored: &[u8]) -> &[u8] {
    let length = u32::from_be_bytes(stored[..4].try_into().unwrap()) as usize;
    let after = &stored[8..];
    // The value and the content type, each with a NUL, then 8 bytes, the modseq, the flags.
    let content_type = after[length + 1..].iter().position(|&byte| byte == 0).unwrap();
    let is_deleted = after[length + 1 + content_type + 1 + 8 + 8] & 1 == 1;
    if is_deleted { &[] } else { &after[..length] }
}

/// Checks every mailbox of every store.
fn for_every_mailbox(mut check: impl FnMut(&Store, &Mailbox)) {
    for store in STORES.map(Store::unpack) {
        for mailbox in store.mailboxes() {
            check(&store, &mailbox);
        }
    }
}

fn records(file: &IndexFile<'_>) -> Vec<IndexRecord> {
    file.slots().map(|slot| slot.record).collect()
}

#[test]
fn every_index_is_whole_and_is_written_back_byte_for_byte() {
    let mut versions = Vec::new();
    let mut seen = 0;
    for_every_mailbox(|store, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let version = file.layout().version;
        // Cyrus's conversion to version 10 left some mailboxes of that store as they were.
        assert!(
            version == store.version || (store.version, version) == (10, 17),
            "{}",
            mailbox.label
        );
        versions.push(version);

        let expected = if version < 12 { CrcState::Absent } else { CrcState::Good };
        assert_eq!(file.header_crc(), expected, "{}", mailbox.label);
        assert!(file.slots().all(|slot| slot.crc == expected), "{}", mailbox.label);
        assert_eq!((file.missing_records(), file.trailing_bytes()), (0, &[][..]));
        assert_eq!(file.slots().len(), file.counted_slots().count(), "{}", mailbox.label);

        let mut written = file.header().encode(file.layout());
        for record in records(&file) {
            seen += 1;
            assert_eq!(record.first_misfit(file.layout()), None, "{}", mailbox.label);
            record.encode_into(file.layout(), &mut written);
        }
        assert!(written == bytes, "{} differs after a read and write", mailbox.label);
    });
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions, [6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    assert!(seen > 1_500, "only {seen} records");
}

#[test]
fn recounted_header_fields_are_those_that_are_stored() {
    for_every_mailbox(|store, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let counts = recount(file.layout(), records(&file));
        assert_eq!(counts.differences(file.header(), file.layout()), [], "{}", mailbox.label);
        if file.layout().header_has(HeaderField::FirstExpunged) {
            let stored = file.header().first_expunged;
            assert_eq!(stored, counts.oldest_expunged, "{}", mailbox.label);
        }
        if file.layout().header_has(HeaderField::QuotaAnnotUsed) {
            let kept = records(&file).into_iter().filter(|record| !record.is_expunged());
            let kept: Vec<Uid> = kept.map(|record| record.uid).collect();
            let annotations = mailbox.annotations().into_iter();
            let of_messages = annotations.filter(|annotation| kept.contains(&annotation.uid));
            let bytes: u64 = of_messages.map(|annotation| annotation.value.len() as u64).sum();
            let computed = bytes + store.server_annotation_bytes(&mailbox.header().1);
            assert_eq!(file.header().quota_annot_used, computed, "{}", mailbox.label);
        }
    });
}

#[test]
fn every_header_file_is_written_back_and_is_the_one_its_index_knows() {
    for_every_mailbox(|_, mailbox| {
        let (bytes, header) = mailbox.header();
        assert_eq!(header.form, HeaderForm::Dlist);
        assert!(header.encode() == bytes, "{} differs after a read and write", mailbox.label);
        let index = mailbox.index();
        let file = IndexFile::open(&index).unwrap();
        if file.layout().header_has(HeaderField::HeaderFileCrc) {
            let stored = file.header().header_file_crc;
            assert_eq!(stored, header_file::crc(&bytes), "{}", mailbox.label);
        }
        for record in records(&file) {
            assert_eq!(header.flag_names.unnamed(record.user_flags), [], "{}", mailbox.label);
        }
    });
}

#[test]
fn recomputed_sync_crcs_are_those_that_are_stored() {
    let mut with_annotations = 0;
    let mut told_apart = Vec::new();
    for_every_mailbox(|store, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let (_, header) = mailbox.header();
        let records = records(&file);
        let stored = file.header().sync_crcs;
        let owner = owner_of(header.name.as_deref().unwrap());
        let version = file.layout().version;
        let mut fitting = Vec::new();
        for dialect in SyncCrcDialect::candidates(version) {
            let [mut computed] = sync_crc::of_records(&records, &header.flag_names, [dialect]);
            if version >= 12 {
                assert_eq!(computed.basic, stored.basic, "{}", mailbox.label);
            }
            for annotation in mailbox.annotations() {
                let of_message = records.iter().find(|record| record.uid == annotation.uid);
                let counts = of_message.is_some_and(|record| !record.is_expunged());
                if counts && !dialect.is_virtual(&annotation.entry) {
                    let userid = match annotation.userid.as_slice() {
                        b"[.OwNeR.]" => owner.as_slice(),
                        other => other,
                    };
                    let Annotation { uid, entry, value, .. } = &annotation;
                    computed.annot ^= sync_crc::annot(*uid, entry, userid, value);
                    with_annotations += 1;
                }
            }
            if computed.annot == stored.annot {
                fitting.push(dialect.thread_id);
            }
        }
        if version >= 13 {
            assert_ne!(fitting, [], "{}", mailbox.label);
        }
        if let [only] = fitting[..] {
            told_apart.push((store.name.starts_with("cyrus-3.13"), only));
        }
    });
    assert!(with_annotations > 0, "no annotation took part");
    told_apart.sort_unstable_by_key(|(is_3_13, _)| *is_3_13);
    told_apart.dedup();
    assert_eq!(told_apart, [(false, ThreadIdForm::Shortest), (true, ThreadIdForm::Padded)]);
}

#[test]
fn conversations_know_uid_guid_flags_date_and_thread_of_every_message_of_a_user() {
    let (mut rows_compared, mut tombstones) = (0, 0);
    for store in STORES.map(Store::unpack) {
        let conversations = store.conversations();
        for mailbox in store.mailboxes() {
            let (_, header) = mailbox.header();
            let id = header.uniqueid.unwrap();
            let of_owner = conversations.iter().find_map(|(folders, rows)| {
                let number = folders.number(&id)?;
                assert_eq!(folders.mailbox(number), Some(id.as_slice()));
                let whole = |row: &&GuidRow| row.folder == number && row.part.is_none();
                Some(rows.iter().filter(whole).collect::<Vec<_>>())
            });
            let Some(rows) = of_owner else { continue };
            let index = mailbox.index();
            let file = IndexFile::open(&index).unwrap();
            let version = file.layout().version;
            let records = records(&file);
            let unlinked = records.iter().filter(|record| record.is_unlinked()).count();
            assert_eq!(rows.len(), records.len() - unlinked, "{}", mailbox.label);
            for row in rows {
                let record = records.iter().find(|record| record.uid == row.uid).unwrap();
                let state = row.state.unwrap();
                assert_eq!(state.internaldate, record.internaldate, "{}", mailbox.label);
                assert_eq!(
                    state.internal_flags.contains(InternalFlags::EXPUNGED),
                    record.is_expunged(),
                    "{}",
                    mailbox.label
                );
                tombstones += usize::from(record.is_expunged());
                // Before 12 the owner's \Seen is no flag of the record; before 10 there is no GUID.
                if version >= 12 {
                    assert_eq!(state.system_flags, record.system_flags, "{}", mailbox.label);
                }
                if version >= 10 {
                    assert_eq!(row.guid, record.guid, "{}", mailbox.label);
                }
                if version >= 13 {
                    assert_eq!(row.cid, record.cid, "{}", mailbox.label);
                }
                rows_compared += 1;
            }
        }
    }
    assert!(rows_compared > 1000 && tombstones > 30, "{rows_compared}, {tombstones}");
}

/// The user a mailbox belongs to, as its private annotations are attributed.
fn owner_of(name: &[u8]) -> Vec<u8> {
    let name = String::from_utf8(name.to_vec()).unwrap();
    let below_user = name.split_once("user.").map_or("", |(_, below)| below);
    below_user.split('.').next().unwrap().replace('^', ".").into_bytes()
}

#[test]
fn every_cache_record_is_the_one_its_index_record_knows() {
    let mut in_archive = 0;
    for_every_mailbox(|_, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let records = records(&file);
        for archived in [false, true] {
            let is_here = |record: &&IndexRecord| {
                record.internal_flags.contains(InternalFlags::ARCHIVED) == archived
            };
            let here: Vec<&IndexRecord> = records.iter().filter(is_here).collect();
            if here.is_empty() {
                continue;
            }
            let directory = if archived { &mailbox.archive } else { &mailbox.directory };
            let cache = fs::read(directory.join("cyrus.cache")).unwrap();
            let generation = cache::generation(&cache).unwrap();
            assert_eq!(generation, file.header().generation_no, "{}", mailbox.label);
            let mut written = cache::encode_generation(generation).to_vec();
            for record in here {
                let cached = CacheRecord::decode(&cache, record.cache_offset).unwrap();
                if file.layout().has_crc() {
                    assert_eq!(cached.crc(), record.cache_crc, "{}", mailbox.label);
                }
                assert_eq!(record.cache_offset, written.len() as u64, "{}", mailbox.label);
                cache::encode_record(cached.items(), &mut written);
                in_archive += usize::from(archived);
            }
            assert!(written == cache, "{}: the cache differs when rewritten", mailbox.label);
        }
    });
    assert!(in_archive > 0, "no record lies in the archive");
}

#[test]
fn every_message_yields_the_cache_record_and_the_fields_that_its_own_server_wrote() {
    let mut compared = BTreeMap::new();
    for_every_mailbox(|store, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        for record in records(&file) {
            let directory = mailbox.directory_of(&record);
            let message = directory.join(format!("{}.", record.uid));
            let Ok(message) = fs::read(&message) else { continue };
            let label = format!("{}: {}", mailbox.label, record.uid);
            let cache = fs::read(directory.join("cyrus.cache")).unwrap();
            let stored = CacheRecord::decode(&cache, record.cache_offset).unwrap();
            let dialect = CacheDialect::of_version(record.cache_version).unwrap();
            let mut reader =
                MessageReader::default().with_dialect(dialect).for_index(file.layout());
            let mut derived = Vec::new();
            let fields = reader.read(&message, &mut derived);
            let mut written = Vec::new();
            cache::encode_record(stored.items(), &mut written);
            assert!(derived == written, "{label}: {dialect:?} yields another cache record");
            assert_eq!(fields.cache_version, record.cache_version, "{label}");
            assert_eq!(fields.size, record.size, "{label}");
            assert_eq!(fields.header_size, record.header_size, "{label}");
            if file.layout().has_crc() {
                assert_eq!(fields.cache_crc, record.cache_crc, "{label}");
                let moment = fields.gmtime.unwrap_or(record.internaldate);
                assert_eq!(moment.seconds(), record.gmtime.seconds(), "{label}");
            }
            if !record.guid.is_null() {
                assert_eq!(fields.guid, record.guid, "{label}");
            }
            assert_eq!(fields.sentdate.unwrap_or(record.sentdate), record.sentdate, "{label}");
            let release = if store.name.starts_with("cyrus-3.13") { "3.13" } else { "3.6" };
            assert_eq!(dialect.release(), release, "{label}");
            *compared.entry(dialect).or_insert(0) += 1;
        }
    });
    let fewest = CacheDialect::ALL.map(|dialect| compared.get(&dialect).copied().unwrap_or(0));
    assert!(fewest[0] >= 12 * 100 && fewest[1] >= 4 * 100, "{compared:?}");
}

/// The records that are proven, and the layout that was found.
fn proven(bytes: &[u8], usual_version: u32) -> Option<(&'static Layout, Vec<IndexRecord>)> {
    let salvaged = salvage(bytes, Some(usual_version))?;
    let records = salvaged.slots.iter().filter_map(SalvagedSlot::record);
    Some((salvaged.layout, records.copied().collect()))
}

#[test]
fn a_lost_version_is_found_again_and_a_lost_header_leaves_the_records() {
    for_every_mailbox(|_, mailbox| {
        let mut bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let (layout, records) = (file.layout(), records(&file));
        bytes[8..20].fill(0xff);
        if layout.has_crc() {
            let found = salvage(&bytes, None).unwrap();
            assert!(found.header_state.is_proven(), "{}", mailbox.label);
            let expected = Some((layout, records.clone()));
            assert!(proven(&bytes, layout.version) == expected, "{}", mailbox.label);
        }
        bytes[..layout.header_size].fill(0);
        // Without CRCs a few records show nothing.
        let enough = if layout.has_crc() { 1 } else { 3 };
        let expected = (records.len() >= enough).then_some((layout, records));
        assert!(proven(&bytes, layout.version) == expected, "{}", mailbox.label);
    });
}

#[test]
fn an_intact_index_is_salvaged_as_it_is() {
    for_every_mailbox(|_, mailbox| {
        let bytes = mailbox.index();
        let file = IndexFile::open(&bytes).unwrap();
        let salvaged = salvage(&bytes, None).unwrap();
        assert_eq!(salvaged.header.as_ref(), Some(file.header()), "{}", mailbox.label);
        assert_eq!(salvaged.header_state, HeaderState::Sound, "{}", mailbox.label);
        let sound: Vec<_> = records(&file).into_iter().map(SalvagedSlot::Sound).collect();
        assert_eq!(salvaged.slots, sound, "{}", mailbox.label);
        let rest = (salvaged.missing, salvaged.beyond.len(), salvaged.displaced);
        assert_eq!(rest, (0, 0, false), "{}", mailbox.label);
    });
}

#[test]
fn a_flipped_bit_anywhere_changes_nothing_of_what_is_salvaged() {
    for_every_mailbox(|_, mailbox| {
        let intact = mailbox.index();
        let Salvaged { header, layout, .. } = salvage(&intact, None).unwrap();
        if !layout.has_crc() {
            return;
        }
        let expected = proven(&intact, layout.version);
        // Spread over the file, and different for each mailbox.
        let seed = Guid::of(mailbox.label.as_bytes()).0;
        let mut position =
            seed.iter().fold(0_usize, |all, &byte| all * 31 % 65_536 + usize::from(byte));
        for _ in 0..40 {
            position = (position * 7 + 12_345) % (intact.len() * 8);
            let mut bytes = intact.clone();
            bytes[position / 8] ^= 1 << (position % 8);
            let found = salvage(&bytes, None).unwrap();
            assert_eq!(found.header, header, "bit {position} of {}", mailbox.label);
            let salvaged = proven(&bytes, layout.version);
            assert!(salvaged == expected, "bit {position} of {}", mailbox.label);
        }
    });
}
