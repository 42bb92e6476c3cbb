//! The conversations of the users whose mailboxes are worked on, each database read once.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mailstore::lock;
use mailstore_format::conversations::{FoldersBy, MessageRow, MessageRows};
use mailstore_format::db;

use super::{Gathered, HURRY};
use crate::evidence::{ConversationRow, Coverage, Witnesses};
use crate::gather::read_whole;
use crate::run::Context;
use crate::target::Target;

/// The databases of so many users are kept in memory.
const USERS: usize = 4;
/// With others waiting, a larger database is not read.
const LARGEST_IN_A_HURRY: u64 = 32 << 20;

/// The conversations that were read last.
#[derive(Debug, Default)]
pub(super) struct ConversationsCache(Mutex<VecDeque<Kept>>);

/// A database as it was read. It was not changed while it is the same file of the same size: both
/// kinds of database only grow until they are replaced.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    file: (u64, u64),
    rows: Option<Arc<UserRows>>,
}

/// A user's messages by mailbox.
#[derive(Debug)]
struct UserRows {
    by: FoldersBy,
    /// By unique id or name: the rows that tell a state, in order of UID.
    mailboxes: HashMap<Vec<u8>, Vec<ConversationRow>>,
    /// Whole where nothing of the database is damaged, and no row tells less than others.
    coverage: Coverage,
}

/// Adds to `witnesses` what the owner's conversations know of the mailbox.
pub(super) fn read(
    context: &Context<'_>,
    target: &Target,
    gathered: &Gathered<'_>,
    witnesses: &mut Witnesses,
) {
    let sources = context.site.witness_sources();
    let (Some(cache), Some(path)) = (&sources.conversations, &target.conversations_file) else {
        return;
    };
    if let Ok(rows) = cache.of_user(path, gathered.held, context.options.lock_timeout) {
        if let Some(rows) = rows {
            rows.tell_of(target, witnesses);
        }
    } else if let Some(previous) = gathered.previous {
        // Under the locks there is no time to wait: what was known before is as good as ever for
        // all that did not change since.
        witnesses.conversations.clone_from(&previous.witnesses.conversations);
    }
    let known = witnesses.conversations.iter().flatten().map(|row| row.uid).max();
    witnesses.highest_uid = witnesses.highest_uid.max(known);
}

/// The database could not be had in the time there was.
struct Busy;

impl ConversationsCache {
    /// The rows of the database at `path`; none where there is no such database or it is no use.
    fn of_user(
        &self,
        path: &Path,
        held: bool,
        patience: Duration,
    ) -> Result<Option<Arc<UserRows>>, Busy> {
        let mut kept = self.lock(held).ok_or(Busy)?;
        let Ok(meta) = path.symlink_metadata() else { return Ok(None) };
        let file = (std::os::unix::fs::MetadataExt::ino(&meta), meta.len());
        if let Some(known) = kept.iter().find(|known| known.path == path && known.file == file) {
            return Ok(known.rows.clone());
        }
        if held && meta.len() > LARGEST_IN_A_HURRY {
            return Err(Busy);
        }
        let patience = if held { HURRY } else { patience };
        let locked = lock::read_database(path, patience, &mut |_| {}).map_err(|_| Busy)?;
        let bytes = read_whole(locked.file());
        drop(locked);
        let rows = bytes.ok().and_then(|bytes| UserRows::decode(&bytes)).map(Arc::new);
        kept.retain(|known| known.path != path);
        kept.truncate(USERS.saturating_sub(1));
        kept.push_front(Kept { path: path.into(), file, rows: rows.clone() });
        Ok(rows)
    }

    /// Waits while another thread reads a database, unless there is no time for that.
    fn lock(&self, held: bool) -> Option<MutexGuard<'_, VecDeque<Kept>>> {
        if held {
            return self.0.try_lock().ok();
        }
        Some(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl From<&MessageRow> for ConversationRow {
    fn from(row: &MessageRow) -> Self {
        Self {
            uid: row.uid,
            guid: row.guid,
            system_flags: row.state.system_flags,
            internal_flags: row.state.internal_flags,
            internaldate: row.state.internaldate,
            cid: row.cid,
        }
    }
}

impl UserRows {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let rows = MessageRows::of(&db::read(bytes).ok()?)?;
        let coverage = if rows.whole { Coverage::Whole } else { Coverage::Partial };
        let of_mailbox = |(mailbox, rows): (Vec<u8>, Vec<MessageRow>)| {
            (mailbox, rows.iter().map(ConversationRow::from).collect())
        };
        let mailboxes = rows.mailboxes.into_iter().map(of_mailbox).collect();
        Some(Self { by: rows.by, mailboxes, coverage })
    }

    fn tell_of(&self, target: &Target, witnesses: &mut Witnesses) {
        let [id, name] = &target.annotation_keys;
        let key = match self.by {
            FoldersBy::Uniqueid => id,
            FoldersBy::Name => name,
        };
        if let Some(rows) = self.mailboxes.get(key) {
            witnesses.conversations = Some(rows.clone());
            witnesses.conversations_coverage = self.coverage;
        }
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::Uid;

    use super::*;

    const DATABASE: &[u8] =
        include_bytes!("../../../mailstore-format/testdata/conversations-3.6.1.skiplist");
    const PATIENCE: Duration = Duration::from_secs(1);

    struct Scene {
        _directory: tempfile::TempDir,
        path: PathBuf,
        cache: ConversationsCache,
    }

    fn scene() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("conversations.db");
        std::fs::write(&path, DATABASE).unwrap();
        Scene { _directory: directory, path, cache: ConversationsCache::default() }
    }

    impl Scene {
        fn rows(&self, held: bool) -> Option<Arc<UserRows>> {
            self.cache.of_user(&self.path, held, PATIENCE).ok().flatten()
        }
    }

    #[test]
    fn the_rows_of_each_mailbox_come_out_in_order_of_uid_and_without_parts() {
        let rows = scene().rows(false).unwrap();
        assert_eq!((rows.by, rows.coverage), (FoldersBy::Uniqueid, Coverage::Whole));
        assert!(rows.mailboxes.values().any(|of_mailbox| of_mailbox.len() > 2));
        for of_mailbox in rows.mailboxes.values() {
            let uids: Vec<Uid> = of_mailbox.iter().map(|row| row.uid).collect();
            assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "{uids:?}");
        }
    }

    #[test]
    fn a_database_is_read_once_until_it_changes() {
        let scene = scene();
        let first = scene.rows(false).unwrap();
        assert!(Arc::ptr_eq(&first, &scene.rows(true).unwrap()));
        let replaced = scene.path.with_extension("new");
        std::fs::write(&replaced, b"").unwrap();
        std::fs::rename(replaced, &scene.path).unwrap();
        assert!(scene.rows(false).is_none(), "an empty database has no table of mailboxes");
    }

    #[test]
    fn with_the_locks_held_nobody_waits_for_another_thread_that_reads() {
        let scene = scene();
        let _reading = scene.cache.0.lock().unwrap();
        assert!(scene.cache.of_user(&scene.path, true, PATIENCE).is_err());
    }

    #[test]
    fn a_damaged_database_tells_what_is_whole_and_that_there_may_be_more() {
        let scene = scene();
        let whole = scene.rows(false).unwrap();
        let count = |rows: &UserRows| rows.mailboxes.values().map(Vec::len).sum::<usize>();
        let mut damaged = DATABASE.to_vec();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 200].fill(0);
        let damaged = UserRows::decode(&damaged).unwrap();
        assert_eq!(damaged.coverage, Coverage::Partial);
        assert!(count(&damaged) <= count(&whole) && count(&damaged) > 0);
    }
}
