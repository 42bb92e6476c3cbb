//! A mailbox to work on: where its files lie, who must be kept away, what the server says of it.

use std::path::{Path, PathBuf};

use incident::MailboxId;
use mailstore::location::MailboxLocation;
use mailstore::lock::LockPlan;
use mailstore::name::InternalName;
use mailstore::spool::SpoolScan;
use mailstore::store::{MailboxEntry, Store};
use mailstore::volume::GuardedDir;
use mailstore_format::Uid;
use mailstore_format::header_file::{HeaderFile, HeaderForm};

use crate::evidence::{Place, Witnesses};
use crate::workshop::{Folder, Workshop};

/// The seen states of so many users are asked at most.
const SEEN_BY: usize = 16;

/// One mailbox.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name, as operators write it.
    pub name: String,
    /// A name for its folder under `.mailstore-recovery`: the same in every run.
    pub key: String,
    /// Where its files lie.
    pub location: MailboxLocation,
    /// The root under which a run keeps what it sets aside of the message files.
    pub recovery: PathBuf,
    /// Its locks; `None` where there is no server to lock out.
    pub locks: Option<LockPlan>,
    /// The user it belongs to; empty for a shared mailbox.
    pub owner: Vec<u8>,
    /// How the server-wide annotations name it: its unique id, its internal name.
    pub annotation_keys: [Vec<u8>; 2],
    /// The counters of its owner.
    pub counters_file: Option<PathBuf>,
    /// The conversations of its owner.
    pub conversations_file: Option<PathBuf>,
    /// The seen states of those who may use it.
    pub seen_files: Vec<PathBuf>,
    /// What mailboxes.db says of it.
    pub listed: Witnesses,
}

impl Target {
    /// A mailbox that a store lists.
    pub fn listed(
        store: &Store,
        entry: &MailboxEntry,
    ) -> Result<Self, mailstore::location::LocationError> {
        let location = store.location(entry)?;
        Ok(Self {
            name: store.namespace().display(&entry.name),
            key: file_name_for(&lasting_name(&entry.uniqueid, &entry.name)),
            recovery: location.partition_roots.data.clone(),
            locks: Some(store.lock_plan(entry)?),
            owner: store.namespace().owner(&entry.name).unwrap_or_default(),
            annotation_keys: [entry.uniqueid.clone(), entry.name.as_bytes().to_vec()],
            counters_file: store.counters_file(entry).ok(),
            conversations_file: store.conversations_file(entry).ok().flatten(),
            seen_files: seen_files(store, entry),
            listed: listed_witnesses(entry),
            location,
        })
    }

    /// A mailbox directory without any server around it.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            name: directory.display().to_string(),
            key: file_name_for(&directory.display().to_string()),
            location: MailboxLocation::in_directory(directory),
            recovery: outside_of_mailboxes(directory),
            locks: None,
            owner: Vec::new(),
            annotation_keys: [Vec::new(), Vec::new()],
            counters_file: None,
            conversations_file: None,
            seen_files: Vec::new(),
            listed: Witnesses::default(),
        }
    }

    /// What it is remembered by: its unique id; where it has none, its internal name; where there is
    /// no server, its path.
    fn lasting_name(&self) -> String {
        let [id, _] = &self.annotation_keys;
        let name = self.internal_name();
        if name.as_bytes().is_empty() { self.name.clone() } else { lasting_name(id, &name) }
    }

    /// What incidents know it by.
    #[must_use]
    pub fn id(&self) -> MailboxId {
        MailboxId { uniqueid: self.lasting_name(), name: self.name.clone() }
    }

    /// Its name, as the server writes it into its databases.
    #[must_use]
    pub fn internal_name(&self) -> InternalName {
        let [_, name] = &self.annotation_keys;
        InternalName::new(name.as_slice())
    }

    /// The folder of `workshop`'s run for what concerns `file`, on the file system of `file`.
    pub(crate) fn folder(&self, workshop: &Workshop, file: &Path) -> Folder {
        workshop.folder(self.recovery_root(file), &self.key)
    }

    /// Every directory that files of the mailbox lie in.
    pub(crate) fn directories(&self) -> Vec<&Path> {
        let location = &self.location;
        let files = [&location.index, &location.header, &location.cache, &location.expunge];
        let files = files.into_iter().chain(&location.archive_cache);
        let parents = files.filter_map(|file| file.parent());
        let mut all: Vec<_> = parents.chain([location.spool.as_path()]).collect();
        all.extend(location.archive.as_deref());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every root under which a run keeps what it sets aside of the mailbox.
    pub(crate) fn recovery_roots(&self) -> Vec<&Path> {
        let directories = self.directories();
        let roots = directories.into_iter().map(|directory| self.root_of_directory(directory));
        let mut all: Vec<_> = roots.chain([self.recovery.as_path()]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The directory of the messages that lie in `place`.
    pub(crate) fn directory(&self, place: Place) -> &Path {
        match (place, &self.location.archive) {
            (Place::Archive, Some(archive)) => archive,
            _ => &self.location.spool,
        }
    }

    /// The root under which a run keeps what it takes from the messages in `place`.
    pub(crate) fn recovery_root_of(&self, place: Place) -> &Path {
        self.root_of_directory(self.directory(place))
    }

    /// The root on whose file system `file` lies: below each root the server keeps a mailbox's files
    /// under the same path, so what is left without that path is the root.
    pub(crate) fn recovery_root<'a>(&'a self, file: &'a Path) -> &'a Path {
        file.parent().map_or(&self.recovery, |directory| self.root_of_directory(directory))
    }

    /// The root on whose file system a directory of the mailbox lies.
    pub(crate) fn root_of_directory<'a>(&'a self, directory: &'a Path) -> &'a Path {
        let roots = &self.location.partition_roots;
        let Ok(below) = self.location.spool.strip_prefix(&roots.data) else {
            return &self.recovery;
        };
        if below.as_os_str().is_empty() || !directory.ends_with(below) {
            return &self.recovery;
        }
        directory.ancestors().nth(below.components().count()).unwrap_or(&self.recovery)
    }
}

fn lasting_name(uniqueid: &[u8], name: &InternalName) -> String {
    if uniqueid.is_empty() {
        name.to_string()
    } else {
        String::from_utf8_lossy(uniqueid).into_owned()
    }
}

/// How many message files of the mailbox have names above `last_uid`: the next delivery makes one.
pub(crate) fn names_above(target: &Target, last_uid: Uid) -> u64 {
    let places = [Some(&target.location.spool), target.location.archive.as_ref()];
    let scans = places
        .into_iter()
        .flatten()
        .filter_map(|directory| SpoolScan::of(&GuardedDir::open_trusted(directory).ok()?).ok());
    let above = |scan: SpoolScan| scan.messages.iter().filter(|file| file.uid > last_uid).count();
    u64::try_from(scans.map(above).sum::<usize>()).unwrap_or(u64::MAX)
}

/// The nearest directory above that is no mailbox's: nothing of ours may lie in one.
fn outside_of_mailboxes(directory: &Path) -> PathBuf {
    let is_mailbox =
        |path: &&Path| ["cyrus.header", "cyrus.index"].iter().any(|name| path.join(name).exists());
    let above = directory.ancestors().skip(1).find(|path| !is_mailbox(path));
    above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// `text` as one path component.
fn file_name_for(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut name = String::new();
    for c in text.chars() {
        if plain(c) {
            name.push(c);
        } else {
            name.extend(c.to_string().bytes().map(|byte| format!("%{byte:02x}")));
        }
    }
    if name.len() > 200 {
        let digest = mailstore_format::Guid::of(name.as_bytes());
        name.truncate(150);
        name = format!("{name}-{digest}");
    }
    name
}

/// An ACL as `cyrus.header` has it.
pub(crate) fn acl_text(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let text = |(who, rights): &(Vec<u8>, Vec<u8>)| {
        [who.as_slice(), b"\t", rights.as_slice(), b"\t"].concat()
    };
    pairs.iter().flat_map(text).collect()
}

/// The seen states of the users whom the ACL names: only they can have selected the mailbox.
fn seen_files(store: &Store, entry: &MailboxEntry) -> Vec<PathBuf> {
    let named = entry.record.acl.iter().flatten().map(|(who, _)| who.as_slice());
    let users = named.filter(|who| {
        let none = matches!(*who, [b'-', ..] | b"anyone" | b"anonymous");
        !none && !who.starts_with(b"group:")
    });
    users.take(SEEN_BY).filter_map(|user| store.seen_file(user).ok()).collect()
}

fn listed_witnesses(entry: &MailboxEntry) -> Witnesses {
    let record = &entry.record;
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.name = Some(entry.name.as_bytes().to_vec());
    header.mbtype = Some(record.mbtype.letters().to_vec());
    header.uniqueid = Some(entry.uniqueid.clone());
    header.jmapid.clone_from(&record.jmapid);
    header.acl = record.acl.as_deref().map(acl_text);
    Witnesses {
        uidvalidity: record.uidvalidity,
        foldermodseq: record.foldermodseq,
        createdmodseq: record.createdmodseq,
        header: (!entry.uniqueid.is_empty()).then_some(header),
        listed: true,
        dav: record.mbtype.is_dav(),
        ..Witnesses::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_harmless_path_component() {
        assert_eq!(file_name_for("user.alice"), "user%2ealice");
        assert_eq!(file_name_for("../é"), "%2e%2e%2f%c3%a9");
        assert!(file_name_for(&"x".repeat(5000)).len() < 255);
    }

    #[test]
    fn a_bare_directory_keeps_what_is_set_aside_outside_of_every_mailbox() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("user/alice/Sent");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(root.path().join("user/alice/cyrus.header"), b"").unwrap();
        let target = Target::in_directory(&inner);
        assert_eq!(target.recovery, root.path().join("user"));
    }
}
