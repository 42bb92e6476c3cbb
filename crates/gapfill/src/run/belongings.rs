//! What belongs to a message of a source beside its index record: annotations, and who has seen it.
//!
//! Read only where something is to be restored. Releases from 2.4 on keep the owner's own `\Seen` in
//! the index, and that of everybody else in each user's seen database.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::sync::OnceLock;

use incident::WantedAnnotation;
use mailstore::namespace::Namespace;
use mailstore::volume::ReadError;
use mailstore_format::annotations::{Annotation, AnnotationUser};
use mailstore_format::seen::SeenEntry;
use mailstore_format::{Uid, db};

use super::group::GroupRun;
use crate::contents::Contents;
use crate::pairing::PlannedPair;
use crate::place::Skipped;
use crate::source::{Source, UserFileAt, UserFileOf};

/// A larger database is not read.
const LARGEST_DATABASE: u64 = 256 << 20;
/// What users have seen is kept of no more ranges of UIDs than these: 64 MiB.
const MOST_RANGES: usize = 8 << 20;
/// The annotations of a mailbox's messages, beside the messages.
const ANNOTATIONS: &str = "cyrus.annotations";

/// What belongs to messages of one mailbox.
#[derive(Debug, Default)]
pub(super) struct Belongings<'a> {
    annotations: MessageAnnotations,
    /// What users have seen, and the unique id of the mailbox in the sources.
    seen: Option<(&'a SeenStates, &'a [u8])>,
    /// What could not be read.
    pub(super) skipped: Vec<Skipped>,
}

impl<'a> Belongings<'a> {
    /// Of the messages with these UIDs; nothing is read where there are none.
    pub(super) fn of(
        group: &GroupRun<'a>,
        plan: &PlannedPair,
        source: &Contents,
        uids: &HashSet<Uid>,
    ) -> Self {
        let mut found = Self::default();
        if uids.is_empty() {
            return found;
        }
        let owner = group.group.owner.as_deref().map(String::from_utf8_lossy);
        found.annotations =
            MessageAnnotations::read(source, uids, owner.as_deref(), &mut found.skipped);
        let part = plan.parts.first().copied();
        let mailbox =
            part.and_then(|(number, at)| group.run.sources.get(number)?.mailboxes.get(at));
        if let Some(mailbox) = mailbox.filter(|mailbox| !mailbox.uniqueid.is_empty()) {
            found.seen = Some((group.seen.states(&mut found.skipped), &mailbox.uniqueid));
        }
        found
    }

    pub(super) fn annotations_of(&self, uid: Uid) -> Vec<WantedAnnotation> {
        self.annotations.0.get(&uid).cloned().unwrap_or_default()
    }

    /// The users, other than the owner, who have seen the message, sorted.
    pub(super) fn seen_by(&self, uid: Uid) -> Vec<String> {
        self.seen.map_or_else(Vec::new, |(states, mailbox)| states.of(mailbox, uid))
    }
}

/// The seen states of all sources, read when they are first asked for.
#[derive(Debug)]
pub(super) struct LazySeen<'a> {
    sources: &'a [Source],
    namespace: Option<&'a Namespace>,
    states: OnceLock<SeenStates>,
}

impl<'a> LazySeen<'a> {
    pub(super) fn of(sources: &'a [Source], namespace: Option<&'a Namespace>) -> Self {
        Self { sources, namespace, states: OnceLock::new() }
    }

    /// What could not be read is told whoever asks first.
    fn states(&self, skipped: &mut Vec<Skipped>) -> &SeenStates {
        // Read by one thread: one of the pool that waited in here for others could be given the
        // work of one that waits for it.
        self.states.get_or_init(|| SeenStates::read(self.sources, self.namespace, skipped))
    }
}

/// Annotations of messages, by UID.
#[derive(Debug, Default)]
struct MessageAnnotations(HashMap<Uid, Vec<WantedAnnotation>>);

impl MessageAnnotations {
    /// Those of `uids` in the directories of a mailbox; what could not be read goes to `skipped`.
    /// Private ones of the owner get the owner's name, and are left out where nobody knows it.
    fn read(
        source: &Contents,
        uids: &HashSet<Uid>,
        owner: Option<&str>,
        skipped: &mut Vec<Skipped>,
    ) -> Self {
        let mut found = Self::default();
        let mut bytes = Vec::new();
        for place in source.places.iter().take(source.uid_places) {
            let read = place.open().and_then(|directory| {
                directory.read_into(OsStr::new(ANNOTATIONS), LARGEST_DATABASE, &mut bytes)
            });
            match read {
                Ok(_) => found.add(&bytes, uids, owner),
                Err(ReadError::NotFound) => {}
                Err(error) => skipped.push(Skipped::of(place.entry(ANNOTATIONS), error)),
            }
        }
        found
    }

    fn add(&mut self, bytes: &[u8], uids: &HashSet<Uid>, owner: Option<&str>) {
        let Ok(contents) = db::read(bytes) else { return };
        for entry in &contents.entries {
            let Ok(annotation) = Annotation::decode_of_message(&entry.key, &entry.value) else {
                continue;
            };
            if annotation.is_deleted() || !uids.contains(&annotation.uid) {
                continue;
            }
            let userid = match (&annotation.user, owner) {
                (AnnotationUser::Shared, _) => String::new(),
                (AnnotationUser::Owner, Some(owner)) => owner.to_owned(),
                (AnnotationUser::Owner, None) => continue,
                (AnnotationUser::Private(user), _) => String::from_utf8_lossy(user).into_owned(),
            };
            let entry = String::from_utf8_lossy(&annotation.entry).into_owned();
            let of_message = self.0.entry(annotation.uid).or_default();
            // Of several directories of a mailbox the first counts.
            if !of_message.iter().any(|known| known.entry == entry && known.userid == userid) {
                of_message.push(WantedAnnotation { entry, userid, value: annotation.value });
            }
        }
    }
}

/// What users have seen of mailboxes that are not their own, in all sources.
#[derive(Debug, Default)]
struct SeenStates {
    by_mailbox: HashMap<Vec<u8>, Vec<Seen>>,
    ranges: usize,
}

/// What one user has seen of a mailbox.
#[derive(Debug)]
struct Seen {
    user: String,
    /// First and last UIDs, in order.
    ranges: Vec<(u32, u32)>,
}

impl SeenStates {
    /// Reads all seen databases of the sources. What could not be read, or finds no room, goes to
    /// `skipped`.
    fn read(sources: &[Source], namespace: Option<&Namespace>, skipped: &mut Vec<Skipped>) -> Self {
        let mut states = Self::default();
        let Some(namespace) = namespace else { return states };
        for source in sources {
            let owners = owners(source, namespace);
            for file in &source.seen {
                let Some(user) = user_of(file, &owners) else { continue };
                if let Err(error) = states.add(file, &user, &owners) {
                    skipped.push(Skipped::of(file.place.entry(&file.name), error));
                }
            }
        }
        states
    }

    fn add(
        &mut self,
        file: &UserFileAt,
        user: &[u8],
        owners: &HashMap<&[u8], Option<Vec<u8>>>,
    ) -> Result<(), ReadError> {
        let mut bytes = Vec::new();
        file.place.open()?.read_into(&file.name, LARGEST_DATABASE, &mut bytes)?;
        let Ok(contents) = db::read(&bytes) else { return Ok(()) };
        for entry in &contents.entries {
            let of_others = owners.get(&*entry.key).is_some_and(|o| o.as_deref() != Some(user));
            let Some(seen) = SeenEntry::decode(&entry.value).ok().filter(|_| of_others) else {
                continue;
            };
            let ranges = ranges(&seen.seenuids);
            self.ranges = self.ranges.saturating_add(ranges.len());
            if self.ranges > MOST_RANGES {
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return Err(ReadError::TooLarge { size, max: 0 });
            }
            let user = String::from_utf8_lossy(user).into_owned();
            let of_mailbox = self.by_mailbox.entry(entry.key.to_vec()).or_default();
            of_mailbox.push(Seen { user, ranges });
        }
        Ok(())
    }

    /// The users who have seen a message, sorted.
    fn of(&self, mailbox: &[u8], uid: Uid) -> Vec<String> {
        let all = self.by_mailbox.get(mailbox).into_iter().flatten();
        let mut users: Vec<_> =
            all.filter(|seen| seen.has(uid)).map(|seen| seen.user.clone()).collect();
        users.sort_unstable();
        users.dedup();
        users
    }
}

impl Seen {
    fn has(&self, Uid(uid): Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < uid);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= uid)
    }
}

/// The owners of a source's mailboxes, by unique id; none of shared ones.
fn owners<'a>(source: &'a Source, namespace: &Namespace) -> HashMap<&'a [u8], Option<Vec<u8>>> {
    let mailboxes = source.mailboxes.iter();
    let owner = |mailbox: &'a crate::SourceMailbox| {
        let name = mailbox.name.as_ref()?;
        (!mailbox.uniqueid.is_empty()).then(|| (mailbox.uniqueid.as_slice(), namespace.owner(name)))
    };
    mailboxes.filter_map(owner).collect()
}

fn user_of(file: &UserFileAt, owners: &HashMap<&[u8], Option<Vec<u8>>>) -> Option<Vec<u8>> {
    match &file.of {
        UserFileOf::Inbox(id) => owners.get(id.as_slice())?.clone(),
        UserFileOf::User(user) => {
            Some(user.iter().map(|&byte| if byte == b'^' { b'.' } else { byte }).collect())
        }
    }
}

/// The ranges of an IMAP sequence set such as `1:12,14`, in order, none of which overlap. What is
/// none is passed over.
fn ranges(set: &[u8]) -> Vec<(u32, u32)> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
    let range = |range: &[u8]| {
        let mut ends = range.splitn(2, |&byte| byte == b':');
        let first = number(ends.next()?)?;
        let last = ends.next().map_or(Some(first), number)?;
        Some((first.min(last), first.max(last)))
    };
    let mut ranges: Vec<_> = set.split(|&byte| byte == b',').filter_map(range).collect();
    ranges.sort_unstable();
    ranges.dedup_by(|later, before| {
        let overlap = later.0 <= before.1;
        if overlap {
            before.1 = before.1.max(later.1);
        }
        overlap
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_set_tells_which_messages_are_seen() {
        let seen = Seen { user: String::new(), ranges: ranges(b"20,1:12,14,9:8,x,30:31") };
        let uids: Vec<_> = (0..40).filter(|&uid| seen.has(Uid(uid))).collect();
        let expected: Vec<_> = (1..=12).chain([14, 20, 30, 31]).collect();
        assert_eq!(uids, expected);
        assert!(!Seen { user: String::new(), ranges: ranges(b"") }.has(Uid(1)));
    }
}
