//! Messages that the live store has by another way: the same id and content, other trace headers.

use std::collections::{HashMap, HashSet};

use super::{Said, copies};
use crate::class::Class;
use crate::compare::{Comparison, Pair};
use crate::fetch::look;
use crate::mail::Likeness;

/// Trace headers make copies differ by so many bytes at most.
const TRACE_HEADERS: u64 = 16 << 10;
/// Encodings make a content so many times as large at most: quoted-printable with its line ends.
const LARGEST_ENCODING: u64 = 4;

/// Makes near-duplicates of messages that are to be restored and of which the live mailbox has
/// another copy. Live messages that a source has too are none: only the others are read, and only
/// those of about the right size.
pub(super) fn find_near_duplicates(pairs: &[Pair], compared: &[Comparison], said: &mut [Said]) {
    let mut by_pair = HashMap::<usize, Vec<usize>>::new();
    for (at, said) in said.iter().enumerate().filter(|(_, said)| of_interest(said).is_some()) {
        by_pair.entry(said.pair).or_default().push(at);
    }
    for (number, of_pair) in by_pair {
        let (Some(pair), Some(comparison)) = (pairs.get(number), compared.get(number)) else {
            continue;
        };
        let mut sizes: Vec<u64> =
            of_pair.iter().filter_map(|&at| said.get(at)).map(|said| said.message.size).collect();
        sizes.sort_unstable();
        let live = live_likenesses(pair, comparison, &sizes);
        for at in of_pair {
            if let Some(said) = said.get_mut(at)
                && of_interest(said).is_some_and(|likeness| live.contains(likeness))
            {
                said.class = Class::NearDuplicate;
                said.note = Some("the live store has a copy with other trace headers");
            }
        }
    }
}

fn of_interest(said: &Said) -> Option<&Likeness> {
    let class = matches!(said.class, Class::Missing | Class::UidTaken | Class::Ambiguous);
    match &said.fetched {
        Some(Ok(fetched)) if class => fetched.likeness.as_ref(),
        _ => None,
    }
}

fn live_likenesses(pair: &Pair, comparison: &Comparison, sizes: &[u64]) -> HashSet<Likeness> {
    let Some(live) = &pair.live else { return HashSet::new() };
    let about = |size: u64| {
        let least = size.saturating_sub(TRACE_HEADERS) / LARGEST_ENCODING;
        let most = size.saturating_add(TRACE_HEADERS).saturating_mul(LARGEST_ENCODING);
        let first = sizes.partition_point(|&one| one < least);
        sizes.get(first).is_some_and(|&one| one <= most)
    };
    let messages = comparison.live_only.iter().filter_map(|&at| live.messages.get(at));
    let files = messages
        .filter(|message| about(message.size))
        .filter_map(|message| copies::files_of(live, message.file_uid).next());
    files.filter_map(|file| look(&file, Likeness::of).flatten()).collect()
}
