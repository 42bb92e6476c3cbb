//! Cyrus's own opinion of a store.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use reconstruct::RECOVERY_DIRECTORY;

use crate::index_fields;
use crate::store::Store;
use crate::tree::Tree;

/// The size of a twoskip database without records: its header and its first node.
const EMPTY_TWOSKIP: u64 = 336;

/// What is wrong with a store in Cyrus's eyes. Prints one remark a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Mailbox directories whose `cyrus.header` does not have the CRC that the index remembers,
    /// which Cyrus checks at other times than this.
    pub header_crc_wrong: Vec<String>,
    /// What it changed in the copy it was given: files that came, went or got other bytes; for
    /// indexes which fields of the header and of which records.
    pub changed: Vec<String>,
    /// What it printed, the mailboxes' names aside: `… uid 3 mismatch: …`, `… rewrote cache …`.
    pub printed: Vec<String>,
    /// What it logged as a warning or worse. Always empty where no C compiler is.
    pub logged: Vec<String>,
}

impl Verdict {
    /// Whether Cyrus has nothing to say against the store.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [&self.header_crc_wrong, &self.changed, &self.printed, &self.logged]
            .iter()
            .all(|remarks| remarks.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, remarks) in [
            ("header CRC wrong", &self.header_crc_wrong),
            ("changed", &self.changed),
            ("printed", &self.printed),
            ("logged", &self.logged),
        ] {
            for remark in remarks.iter().take(30) {
                writeln!(f, "{what}: {remark}")?;
            }
            if remarks.len() > 30 {
                writeln!(f, "{what}: {} in all", remarks.len())?;
            }
        }
        Ok(())
    }
}

/// Has Cyrus's `reconstruct -G` go over every mailbox of a copy of `store`, deleted ones included,
/// and tells what it did. `-G` parses every message anew and compares the result with the index
/// record and, byte for byte, with the cache record (`records_match` in `imap/mailbox.c`).
///
/// Nobody may be writing to the store meanwhile. Of a healthy store Cyrus writes every index's
/// header again with the same bytes, and creates directories (on other partitions) and an empty
/// `cyrus.annotations` where there were none: none of that counts. The sent date it computes
/// depends on the time zone, so the judge uses the one that the store's server has.
///
/// What it does not see (tried one by one on 3.6.1): in the index header `last_uid` being too high,
/// `last_appenddate`, `pop3_last_login`, `leaked_cache_records`, `deletedmodseq`, `first_expunged`,
/// `last_repack_time`, `recentuid`, `createdmodseq`, `changes_epoch`; in `cyrus.cache` bytes that no
/// record points to. Facts that only a record holds (internaldate, flags, savedate, thread id,
/// modseqs) it sees only through the header's counts and sync CRCs.
pub fn judge(store: &Store) -> Result<Verdict> {
    let copy = store.copy()?;
    let _ = fs::remove_file(copy.log_file());
    let before = Contents::read(&copy)?;
    let header_crc_wrong = before.wrong_header_crcs()?;
    let output = copy.tool("reconstruct", &["-G"])?;
    ensure!(
        output.status.success(),
        "Cyrus's reconstruct failed ({}): {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        copy.log()
    );
    let after = Contents::read(&copy)?;

    let mailboxes = copy.mailboxes()?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let is_remark = |line: &&str| !line.is_empty() && !mailboxes.iter().any(|name| name == line);
    Ok(Verdict {
        header_crc_wrong,
        changed: before.changes(&after),
        printed: printed.lines().filter(is_remark).map(String::from).collect(),
        logged: copy.log().lines().filter(|line| is_warning(line)).map(String::from).collect(),
    })
}

/// Whether a log entry's priority, as in `<3>`, is a warning's or worse.
fn is_warning(entry: &str) -> bool {
    let priority = entry.split_once('<').and_then(|(_, rest)| rest.bytes().next());
    priority.is_some_and(|digit| digit <= b'4')
}

/// What lies on a store's partitions, with the indexes' bytes.
struct Contents {
    trees: Vec<(PathBuf, Tree)>,
    indexes: BTreeMap<PathBuf, Vec<u8>>,
}

impl Contents {
    fn read(store: &Store) -> Result<Self> {
        let mut trees = Vec::new();
        let mut indexes = BTreeMap::new();
        for partition in store.partitions() {
            let tree = Tree::read(&partition)?;
            let is_set_aside = |path: &PathBuf| path.starts_with(RECOVERY_DIRECTORY);
            let found = tree.entries.keys().filter(|path| path.ends_with("cyrus.index"));
            for path in found.filter(|path| !is_set_aside(path)) {
                let path = partition.join(path);
                let bytes =
                    fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                indexes.insert(path, bytes);
            }
            trees.push((partition, tree));
        }
        Ok(Self { trees, indexes })
    }

    fn wrong_header_crcs(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (index, bytes) in &self.indexes {
            // The two may lie on different partitions, in directories of the same name there.
            let roots = self.trees.iter().map(|(root, _)| root);
            let directory = roots.clone().find_map(|root| index.strip_prefix(root).ok());
            let directory =
                directory.and_then(|path| path.parent()).context("an index elsewhere")?;
            let mut headers = roots.map(|root| root.join(directory).join("cyrus.header"));
            let header = headers.find(|path| path.is_file());
            let crc = match &header {
                Some(path) => Some(u64::from(crc32fast::hash(&fs::read(path)?))),
                None => None,
            };
            if crc.is_none() || crc != index_fields::header_file_crc(bytes) {
                found.push(directory.display().to_string());
            }
        }
        Ok(found)
    }

    fn changes(&self, after: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for ((partition, before), (_, tree_after)) in self.trees.iter().zip(&after.trees) {
            for (path, entry) in &before.entries {
                let shown = path.display();
                let full = partition.join(path);
                match tree_after.entries.get(path) {
                    None => found.push(format!("{shown} is gone")),
                    Some(now) if now.content == entry.content => {}
                    Some(now) => match (self.indexes.get(&full), after.indexes.get(&full)) {
                        (Some(old), Some(new)) => {
                            let fields = index_fields::differences(old, new);
                            found.extend(fields.iter().map(|field| format!("{shown}: {field}")));
                        }
                        _ => found.push(format!(
                            "{shown}: other content, {} bytes before and {} now",
                            entry.size, now.size
                        )),
                    },
                }
            }
            for (path, entry) in &tree_after.entries {
                let is_empty = entry.size == EMPTY_TWOSKIP;
                let is_expected =
                    entry.is_directory() || path.ends_with("cyrus.annotations") && is_empty;
                if !before.entries.contains_key(path) && !is_expected {
                    found.push(format!("{} is new", path.display()));
                }
            }
        }
        found
    }
}
