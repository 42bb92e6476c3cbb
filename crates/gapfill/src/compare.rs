//! What each message of the sources is, seen from the live store. A pure function of both sides.
//!
//! Equal pairs of UID and GUID meet first, then what is left over meets by GUID, each copy once.
//! What is then left of a source is classed by the first rule that fits, over all mailboxes of an
//! owner at once, so that what was moved is seen.

mod because;
mod meeting;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use mailstore_format::{Guid, Uid};

use crate::class::Class;
use crate::contents::Contents;
use meeting::{Hint, Meeting, Surplus};

pub use because::Because;

/// A mailbox on both sides.
#[derive(Debug, Default)]
pub struct Pair {
    /// What the sources know of it.
    pub source: Contents,
    /// The live mailbox, where there is one.
    pub live: Option<Contents>,
    /// What else is known of it.
    pub standing: Standing,
    /// What earlier runs missed here, and nobody has brought back.
    pub wanted: Vec<(Uid, Guid)>,
}

/// What is known of a mailbox beside its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Standing {
    /// Its owner deleted it in the source.
    pub deleted_in_source: bool,
    /// Its owner deleted it in the live store.
    pub deleted_live: bool,
    /// It is a calendar, an address book or the like.
    pub dav: bool,
    /// A source shows all of it: what is not there was not there.
    pub covered: bool,
}

/// What became of one mailbox's messages.
#[derive(Debug, Default)]
pub struct Comparison {
    /// How many messages of each class, and bytes.
    pub counts: Counts,
    /// Every message of a source that is more than present, or deleted on both sides.
    pub verdicts: Vec<Verdict>,
    /// Positions of live records whose message has no file, and that no source knows.
    pub unfiled: Vec<usize>,
    /// Positions of live messages that no source has in this mailbox.
    pub live_only: Vec<usize>,
}

/// Messages and bytes by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Class, Count>);

/// How many, and how large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a message is, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Its position among the source's messages.
    pub message: usize,
    /// Its class.
    pub class: Class,
    /// What decided.
    pub because: Because,
}

impl Counts {
    /// Counts one message.
    pub fn add(&mut self, class: Class, bytes: u64) {
        self.add_all(class, Count { messages: 1, bytes });
    }

    /// Counts several.
    pub fn add_all(&mut self, class: Class, more: Count) {
        let count = self.0.entry(class).or_default();
        count.messages = count.messages.saturating_add(more.messages);
        count.bytes = count.bytes.saturating_add(more.bytes);
    }

    /// Takes one message back.
    pub fn take(&mut self, class: Class, bytes: u64) {
        if let Some(count) = self.0.get_mut(&class) {
            count.messages = count.messages.saturating_sub(1);
            count.bytes = count.bytes.saturating_sub(bytes);
        }
    }

    /// How many there are of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Count {
        self.0.get(&class).copied().unwrap_or_default()
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&class, &count)| self.add_all(class, count));
    }
}

/// Compares all mailboxes of an owner; the results are in the order of `pairs`.
#[must_use]
pub fn compare(pairs: &[Pair]) -> Vec<Comparison> {
    let mut meetings: Vec<_> = pairs.iter().map(Meeting::of).collect();
    take_moves(pairs, &mut meetings);
    take_deleted_before_move(pairs, &mut meetings);
    let conclude = |(pair, meeting): (&Pair, Meeting)| meeting.concluded(pair);
    pairs.iter().zip(meetings).map(conclude).collect()
}

/// What one side has left over in one folder and the other in another was moved, copy by copy.
/// Those whose tombstone proves it come first.
fn take_moves(pairs: &[Pair], meetings: &mut [Meeting]) {
    let mut left_over = left_over_live(pairs, meetings);
    for proven in [true, false] {
        let mut taken = Vec::new();
        for (number, (pair, meeting)) in pairs.iter().zip(&mut *meetings).enumerate() {
            meeting.settle(&pair.source, |surplus, guid| {
                if (surplus.hint == Hint::Tombstone) != proven {
                    return None;
                }
                let place = take_one(left_over.get_mut(guid)?, number, surplus)?;
                taken.push(place);
                Some((Class::Moved, Because::Moved { live_copy_in: place.pair }))
            });
        }
        for place in taken {
            if let Some(meeting) = meetings.get_mut(place.pair) {
                meeting.behind.retain(|&(_, live)| live != place.live);
                meeting.live_left.retain(|&live| live != place.live);
            }
        }
    }
}

/// A message that was moved in the source, and deleted in the live store where it had been before,
/// was deleted by who lives on: each side has a tombstone of its own there.
fn take_deleted_before_move(pairs: &[Pair], meetings: &mut [Meeting]) {
    let mut deleted = HashMap::<Guid, usize>::new();
    for (pair, meeting) in pairs.iter().zip(&*meetings) {
        let messages = meeting.deleted_on_both_sides.iter();
        for message in messages.filter_map(|&at| pair.source.messages.get(at)) {
            *deleted.entry(message.guid).or_default() += 1;
        }
    }
    if deleted.is_empty() {
        return;
    }
    for (pair, meeting) in pairs.iter().zip(meetings) {
        meeting.settle(&pair.source, |surplus, guid| {
            let left = deleted.get_mut(guid).filter(|left| **left > 0)?;
            if !matches!(surplus.hint, Hint::Nothing | Hint::UidTaken) {
                return None;
            }
            *left = left.saturating_sub(1);
            Some((Class::Deleted, Because::DeletedBeforeMove))
        });
    }
}

/// A live message that no source has in its mailbox.
#[derive(Debug, Clone, Copy)]
struct LeftOver {
    pair: usize,
    live: usize,
    /// Whether a source shows that it left this mailbox, or never was there.
    covered: bool,
}

fn left_over_live(pairs: &[Pair], meetings: &[Meeting]) -> HashMap<Guid, Vec<LeftOver>> {
    let mut left_over = HashMap::<Guid, Vec<LeftOver>>::new();
    if meetings.iter().all(|meeting| meeting.surplus.is_empty()) {
        return left_over;
    }
    for (number, (pair, meeting)) in pairs.iter().zip(meetings).enumerate() {
        let Some(live) = &pair.live else { continue };
        // What the source has expunged, it shows to have left the mailbox.
        let deleted = meeting.behind.iter().map(|&(_, at)| (at, true));
        let others = meeting.live_left.iter().map(|&at| (at, pair.standing.covered));
        for (at, covered) in deleted.chain(others) {
            let Some(message) = live.messages.get(at) else { continue };
            let place = LeftOver { pair: number, live: at, covered };
            left_over.entry(message.guid).or_default().push(place);
        }
    }
    left_over
}

/// Takes the copy that a message of mailbox `number` became or was. Without a tombstone of the
/// message, only a mailbox that a source shows whole proves that the copy there is not another one.
fn take_one(places: &mut Vec<LeftOver>, number: usize, surplus: &Surplus) -> Option<LeftOver> {
    // A record that waits for its message is where it belongs.
    if surplus.hint == Hint::RecordWithoutFile {
        return None;
    }
    let proven = surplus.hint == Hint::Tombstone;
    let fits = |place: &LeftOver| place.pair != number && (place.covered || proven);
    let at = places.iter().position(fits)?;
    Some(places.remove(at))
}
