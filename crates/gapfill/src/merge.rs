//! Several sources of one mailbox are evidence of one and the same.

use std::collections::{BTreeMap, HashMap};

use mailstore_format::header_file::FlagNames;
use mailstore_format::{Guid, Uid, UserFlags};

use crate::contents::{Contents, IndexState, Message};

/// What two sources know of a mailbox, together. Of a message that both have, what changed last
/// counts, and it is deleted if either says so.
#[must_use]
pub(crate) fn merged(mut one: Contents, mut other: Contents) -> Contents {
    move_keywords(&mut other.messages, &other.keywords, &mut one.keywords);
    let same_uids = one.uidvalidity.is_none()
        || other.uidvalidity.is_none()
        || one.uidvalidity == other.uidvalidity;
    let offset = u32::try_from(one.places.len()).unwrap_or(u32::MAX);
    let files = other.files.iter().copied();
    one.files.extend(files.map(|mut file| {
        file.place = file.place.saturating_add(offset);
        file
    }));
    one.files.sort_unstable();
    if same_uids && one.uid_places == one.places.len() {
        one.uid_places = one.uid_places.saturating_add(other.uid_places);
    }
    one.places.extend(other.places);
    one.skipped.extend(other.skipped);
    let size = |messages: &[Message]| messages.iter().map(|message| message.size).sum::<u64>();
    let (count, bytes) = (one.messages.len() + other.messages.len(), size(&one.messages));
    let bytes = bytes.saturating_add(size(&other.messages));
    one.messages = if same_uids {
        by_uid_and_guid(one.messages, other.messages)
    } else {
        by_count(one.messages, other.messages)
    };
    let more = u64::try_from(count.saturating_sub(one.messages.len())).unwrap_or(u64::MAX);
    one.duplicates.messages = one.duplicates.messages.saturating_add(more);
    let more = bytes.saturating_sub(size(&one.messages));
    one.duplicates.bytes = one.duplicates.bytes.saturating_add(more);
    one.uidvalidity = one.uidvalidity.or(other.uidvalidity);
    one.acl = one.acl.or(other.acl);
    one.highestmodseq = one.highestmodseq.max(other.highestmodseq);
    if same_uids {
        one.last_uid = one.last_uid.max(other.last_uid);
        one.deletedmodseq = one.deletedmodseq.max(other.deletedmodseq);
    }
    one.last_append = one.last_append.max(other.last_append);
    one.index = match (one.index, other.index) {
        (IndexState::Whole, _) | (_, IndexState::Whole) => IndexState::Whole,
        (IndexState::Missing, IndexState::Missing) => IndexState::Missing,
        _ => IndexState::Damaged,
    };
    one
}

/// Gives messages the slots that their keywords have in `to`, where new ones are named behind the
/// others. What nobody names, and what no slot is left for, is no keyword.
fn move_keywords(messages: &mut [Message], from: &FlagNames, to: &mut FlagNames) {
    let mut moved = BTreeMap::new();
    for (slot, name) in from.iter() {
        let free = || (0..UserFlags::SLOTS).find(|&slot| to.get(slot).is_none());
        let Some(at) = to.slot_of(name).or_else(free) else { continue };
        to.set(at, Some(name.to_vec()));
        moved.insert(slot, at);
    }
    if moved.iter().all(|(slot, at)| slot == at) {
        return;
    }
    for message in messages {
        let slots = message.user_flags.slots().filter_map(|slot| moved.get(&slot).copied());
        message.user_flags = UserFlags::of_slots(slots);
    }
}

fn by_uid_and_guid(mut one: Vec<Message>, other: Vec<Message>) -> Vec<Message> {
    one.extend(other);
    // The one that changed last first: it stays.
    one.sort_by(|a, b| {
        (a.uid, a.guid).cmp(&(b.uid, b.guid)).then(b.last_change().cmp(&a.last_change()))
    });
    one.dedup_by(|later, first| {
        let same = (later.uid, later.guid) == (first.uid, first.guid) && later.uid != Uid(0);
        if same {
            first.expunged |= later.expunged;
        }
        same
    });
    one
}

/// Of each GUID as many copies as the source that has the most of them.
fn by_count(mut one: Vec<Message>, other: Vec<Message>) -> Vec<Message> {
    let mut known = HashMap::<Guid, usize>::new();
    for message in one.iter().filter(|message| !message.expunged) {
        *known.entry(message.guid).or_default() += 1;
    }
    for mut message in other.into_iter().filter(|message| !message.expunged) {
        if let Some(left) = known.get_mut(&message.guid).filter(|left| **left > 0) {
            *left = left.saturating_sub(1);
        } else {
            message.uid = Uid(0);
            one.push(message);
        }
    }
    one.sort_by_key(|message| message.uid);
    one
}

#[cfg(test)]
mod tests {
    use mailstore_format::index::IndexRecord;
    use mailstore_format::{InternalFlags, Timestamp, UidValidity};

    use super::*;

    fn contents(generation: u32, messages: &[(u32, &str, InternalFlags, i64)]) -> Contents {
        let message = |&(uid, text, internal_flags, updated): &(u32, &str, InternalFlags, i64)| {
            Message::of_record(&IndexRecord {
                uid: Uid(uid),
                guid: Guid::of(text.as_bytes()),
                internal_flags,
                last_updated: Timestamp(updated),
                ..IndexRecord::default()
            })
        };
        Contents {
            uidvalidity: Some(UidValidity(generation)),
            messages: messages.iter().map(message).collect(),
            ..Contents::default()
        }
    }

    fn told(contents: &Contents) -> Vec<(u32, bool, i64)> {
        contents.messages.iter().map(|m| (m.uid.0, m.expunged, m.last_updated.0)).collect()
    }

    const LIVE: InternalFlags = InternalFlags(0);

    #[test]
    fn what_one_source_says_was_deleted_is_deleted() {
        let backup = contents(1, &[(1, "a", LIVE, 5), (2, "b", LIVE, 5)]);
        let rescued = contents(1, &[(1, "a", InternalFlags::EXPUNGED, 9), (3, "c", LIVE, 9)]);
        let both = merged(backup, rescued);
        assert_eq!(told(&both), [(1, true, 9), (2, false, 5), (3, false, 9)]);
    }

    #[test]
    fn one_uid_with_two_messages_stays_two() {
        let both = merged(contents(1, &[(1, "a", LIVE, 5)]), contents(1, &[(1, "b", LIVE, 5)]));
        assert_eq!(both.messages.len(), 2);
    }

    #[test]
    fn of_another_generation_only_what_is_more_is_added_without_a_uid() {
        let first = contents(1, &[(1, "a", LIVE, 5)]);
        let second = contents(2, &[(1, "a", LIVE, 5), (2, "a", LIVE, 6), (3, "b", LIVE, 7)]);
        let both = merged(first, second);
        assert_eq!(told(&both), [(0, false, 6), (0, false, 7), (1, false, 5)]);
    }

    #[test]
    fn keywords_of_several_sources_keep_their_names() {
        let named = |names: &[&str]| {
            FlagNames::new(names.iter().map(|name| Some(name.as_bytes().to_vec()))).unwrap()
        };
        let mut rescued = contents(1, &[(1, "a", LIVE, 5)]);
        rescued.keywords = named(&["$Work", "$Later"]);
        let mut backup = contents(1, &[(2, "b", LIVE, 5)]);
        backup.keywords = named(&["$Junk", "$Work"]);
        backup.messages[0].user_flags = UserFlags::of_slots([0, 1]);
        rescued.messages[0].user_flags = UserFlags::of_slots([1]);
        let both = merged(rescued, backup);
        let keywords = |at: usize| both.keywords_of(&both.messages[at]);
        assert_eq!(keywords(0), ["$Later"]);
        assert_eq!(keywords(1), ["$Work", "$Junk"]);
    }
}
