//! What users have seen: the highest UID there was when one of them last selected the mailbox.

use std::path::Path;
use std::time::Duration;

use mailstore::lock;
use mailstore_format::seen::SeenEntry;
use mailstore_format::{Uid, db};

use super::HURRY;
use crate::gather::read_whole;
use crate::target::Target;

/// How long a user's database is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The highest UID that a user of the mailbox knows.
pub(super) fn highest_uid(target: &Target, held: bool) -> Option<Uid> {
    let [id, _] = &target.annotation_keys;
    let patience = if held { HURRY } else { PATIENCE };
    let of_user = |path| last_uid(path, id, patience);
    target.seen_files.iter().map(AsRef::as_ref).filter_map(of_user).max()
}

fn last_uid(path: &Path, id: &[u8], patience: Duration) -> Option<Uid> {
    let locked = lock::read_database(path, patience, &mut |_| {}).ok()?;
    let bytes = read_whole(locked.file()).ok()?;
    let contents = db::read(&bytes).ok()?;
    let entry = contents.get(id)?;
    SeenEntry::decode(&entry.value).ok().map(|seen| seen.lastuid).filter(|&uid| uid != Uid(0))
}
