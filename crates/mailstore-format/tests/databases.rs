//! Every database of the stores that real servers made: read without damage, its entries decoded,
//! and those of `mailboxes.db` written back byte for byte.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailstore_format::annotations::{Annotation, AnnotationUser};
use mailstore_format::counters::Counters;
use mailstore_format::db::{self, DbContents, DbKind, Standing};
use mailstore_format::mboxlist::{Generation, MailboxEntry, MailboxList, RecordKey, name_from_db};
use mailstore_format::seen::SeenEntry;
use mailstore_format::{ModSeq, Uid, UidValidity};

/// All archives below `testdata/stores`, unpacked into one directory.
fn stores() -> (tempfile::TempDir, Vec<(String, PathBuf)>) {
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/stores");
    let root = tempfile::tempdir().unwrap();
    let mut stores = Vec::new();
    for archive in fs::read_dir(archives).unwrap() {
        let archive = archive.unwrap().path();
        let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_suffix(".tar.xz") else { continue };
        let place = root.path().join(name);
        fs::create_dir(&place).unwrap();
        let tar = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&place).status();
        assert!(tar.unwrap().success(), "tar could not unpack {}", archive.display());
        stores.push((name.to_owned(), place.join("store")));
    }
    assert_eq!(stores.len(), 16, "the fixtures are not all there");
    (root, stores)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn read<'a>(path: &Path, bytes: &'a [u8]) -> DbContents<'a> {
    let contents = db::read(bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(contents.damage, [], "{}", path.display());
    assert!(contents.entries.iter().all(|entry| entry.standing == Standing::Live));
    contents
}

#[test]
fn every_database_is_read_without_damage_and_its_entries_decode() {
    let (_root, stores) = stores();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut lacking: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let (mut comments, mut seen, mut special) = (0, 0, 0);
    for (store, root) in &stores {
        for path in files_below(root) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = fs::read(&path).unwrap();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_database = matches!(extension, Some("db" | "seen" | "sub"));
            if name == "counters.db" || extension == Some("counters") {
                let counters = Counters::decode(&bytes).unwrap();
                assert_eq!(counters.version, 9);
                assert!(counters.highestmodseq >= counters.mailmodseq);
                assert!(
                    counters.highestmodseq > ModSeq(0) && counters.uidvalidity > UidValidity(0)
                );
                continue;
            }
            if !is_database && name != "cyrus.annotations" {
                continue;
            }
            let contents = read(&path, &bytes);
            *kinds.entry(contents.kind.to_string()).or_default() += 1;
            for entry in &contents.entries {
                let (key, value) = (entry.key.as_ref(), entry.value.as_ref());
                if name == "cyrus.annotations" {
                    let note = Annotation::decode_of_message(key, value).unwrap();
                    assert!(note.modseq > ModSeq(0) && !note.is_deleted());
                    // What a record of that index version has no field for.
                    if let Some(field) = note.entry.strip_prefix(b"/vendor/cmu/cyrus-imapd/") {
                        let field = str::from_utf8(field).unwrap().to_owned();
                        let version = store.split("-v").nth(1).unwrap().split('-').next().unwrap();
                        lacking.entry(field).or_default().insert(version.parse().unwrap());
                        continue;
                    }
                    assert_eq!((note.uid, note.entry.as_slice()), (Uid(4), &b"/comment"[..]));
                    let expected: &[u8] = match note.user {
                        AnnotationUser::Owner => b"a private note",
                        _ => b"a shared note",
                    };
                    assert_eq!(note.value, expected, "{store}");
                    comments += 1;
                } else if name == "annotations.db" {
                    let note = Annotation::decode_global(key, value).unwrap();
                    assert_eq!(note.value, b"\\Sent");
                    special += 1;
                } else if name == "seen.db" || extension == Some("seen") {
                    SeenEntry::decode(value).unwrap();
                    seen += 1;
                }
            }
        }
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(kinds, [("flat", 16), ("skiplist", 36), ("twoskip", 233)]);
    // Up to index version 10 what the owner has seen is kept there too.
    assert_eq!((comments, special, seen), (32, 16, 11 * 2 + 8 + 4 * 12));
    let versions = |field: &str| lacking[field].iter().copied().collect::<Vec<_>>();
    assert_eq!(versions("thrid"), [6, 7, 8, 9, 10, 12]);
    assert_eq!(versions("savedate"), [6, 7, 8, 9, 10, 12, 13, 14]);
    assert_eq!(versions("createdmodseq"), [6, 7, 8, 9, 10, 12, 13, 14, 15]);
}

#[test]
fn every_record_of_every_mailboxes_db_is_written_back_byte_for_byte() {
    let (_root, stores) = stores();
    for (store, root) in &stores {
        let path = root.join("conf/mailboxes.db");
        let bytes = fs::read(&path).unwrap();
        let contents = read(&path, &bytes);
        for record in &contents.entries {
            let stored_name;
            let (kind, rest) = record.key.split_first().unwrap();
            let key = match kind {
                b'N' => {
                    stored_name = name_from_db(rest);
                    RecordKey::Name(&stored_name)
                }
                b'I' => RecordKey::Uniqueid(rest),
                b'J' => RecordKey::Jmapid(rest),
                _ => panic!("{store}: {}", record.key.escape_ascii()),
            };
            let entry = MailboxEntry::decode(key, &record.value).unwrap();
            assert_eq!(
                entry.encode().escape_ascii().to_string(),
                record.value.escape_ascii().to_string(),
                "{store}"
            );
        }
    }
}

#[test]
fn the_mailbox_list_names_every_directory_with_an_index() {
    let (_root, stores) = stores();
    for (store, root) in &stores {
        let path = root.join("conf/mailboxes.db");
        let bytes = fs::read(&path).unwrap();
        let list = MailboxList::from_database(&read(&path, &bytes));
        assert_eq!((list.generation, list.malformed.as_slice()), (Generation::ByKind, &[][..]));
        let active: Vec<_> = list
            .by_name
            .values()
            .map(|listed| &listed.entry)
            .filter(|entry| !entry.mbtype.is_deleted() && !entry.mbtype.is_intermediate())
            .collect();
        assert_eq!(active.len(), 12, "{store}");
        let spool = root.join("spool");
        let found: BTreeSet<_> = files_below(&spool)
            .into_iter()
            .filter(|file| file.ends_with("cyrus.index"))
            .map(|file| file.parent().unwrap().strip_prefix(&spool).unwrap().to_owned())
            .collect();
        for entry in &active {
            let id = str::from_utf8(entry.uniqueid.as_ref().unwrap()).unwrap();
            assert_eq!(entry.mbtype.is_stored_by_name(), store.contains("legacydirs"), "{store}");
            let by_id = &list.by_uniqueid[id.as_bytes()].entry;
            assert_eq!((&by_id.name, by_id.uidvalidity), (&entry.name, entry.uidvalidity));
            assert_eq!(by_id.acl, entry.acl);
            if entry.mbtype.is_stored_by_name() {
                let below = str::from_utf8(&entry.name).unwrap().replace('.', "/");
                assert!(found.iter().any(|place| place.ends_with(&below)), "{store}: {below}");
            } else {
                let place = Path::new("uuid").join(&id[..1]).join(&id[1..2]).join(id);
                assert!(found.contains(&place), "{store}: {id}");
            }
        }
        let renamed = list.by_name[&b"user.erin.OldArchive"[..]].entry.uniqueid.as_ref().unwrap();
        let history = list.by_uniqueid[renamed].entry.former_names.as_ref().unwrap();
        assert_eq!(history[0].name, b"user.erin.Archive");
    }
}

/// The keys by the pointers of the lowest level, which a sound skiplist of a server that was shut
/// down has in order: another way than `db::read` takes.
fn keys_by_pointers(bytes: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize| {
        usize::try_from(u32::from_be_bytes(*bytes[at..].first_chunk().unwrap())).unwrap()
    };
    let mut keys = Vec::new();
    let mut at = 48;
    loop {
        let key_end = at + 8 + word(at + 4);
        let value_at = key_end.next_multiple_of(4);
        let pointers_at = (value_at + 4 + word(value_at)).next_multiple_of(4);
        if at != 48 {
            keys.push(bytes[at + 8..key_end].to_vec());
        }
        match word(pointers_at) {
            0 => return keys,
            next => at = next,
        }
    }
}

#[test]
fn a_skiplist_read_from_its_log_is_what_its_pointers_say() {
    let (_root, stores) = stores();
    let mut compared = 0;
    for (_, root) in &stores {
        for path in files_below(&root.join("conf")) {
            let bytes = fs::read(&path).unwrap();
            if db::recognise(&bytes) != Some(DbKind::Skiplist) {
                continue;
            }
            let contents = read(&path, &bytes);
            let keys: Vec<_> = contents.entries.iter().map(|entry| entry.key.to_vec()).collect();
            assert_eq!(keys, keys_by_pointers(&bytes), "{}", path.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 36);
}
