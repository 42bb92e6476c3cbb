//! What the keywords may have been called.

use std::cmp::Reverse;

use mailstore_format::header_file::FlagNames;
use mailstore_format::header_file::remains::is_atom;

use crate::evidence::HeaderTraces;

/// Keywords that mail programs set of themselves: the likeliest where nothing tells others.
const COMMON: [&str; 12] = [
    "$Forwarded",
    "$MDNSent",
    "$Junk",
    "$NotJunk",
    "Junk",
    "NonJunk",
    "$label1",
    "$label2",
    "$label3",
    "$label4",
    "$label5",
    "$HasAttachment",
];
/// So many names are combined.
const NAMES: usize = 32;
/// So many neighbouring names may have been hit without the others having moved.
const OPEN: usize = 2;

/// Guesses at a mailbox's keywords.
pub(super) struct Candidates {
    /// Those of the mailbox's own file, where it decodes and its CRC shows that it is damaged.
    own: FlagNames,
    /// Those read from what is left of the mailbox's own file.
    pub(super) remains: FlagNames,
    /// Whole sets, by slot: other mailboxes of a user often have the same.
    pub(super) lists: Vec<FlagNames>,
    /// Single names, the likelier first.
    pub(super) names: Vec<Vec<u8>>,
}

impl Candidates {
    pub(super) fn of(traces: &HeaderTraces, own: Option<&FlagNames>) -> Self {
        let remains = traces.remains.clone();
        let own = own.map(atoms).unwrap_or_default();
        let mut lists = vec![own.clone(), remains.clone()];
        lists.extend(traces.copies.iter().map(|copy| copy.value.flag_names.clone()));
        lists.extend(traces.siblings.iter().cloned());
        let told = lists.iter().flat_map(FlagNames::iter).map(|(_, name)| name.to_vec());
        let mut names: Vec<(usize, Vec<u8>)> = Vec::new();
        for name in told {
            match names.iter_mut().find(|(_, known)| *known == name) {
                Some((times, _)) => *times = times.saturating_add(1),
                None => names.push((1, name)),
            }
        }
        let is_own = |name: &[u8]| remains.slot_of(name).is_some() || own.slot_of(name).is_some();
        names.sort_by_key(|(times, name)| (!is_own(name), Reverse(*times)));
        let mut names: Vec<Vec<u8>> = names.into_iter().map(|(_, name)| name).collect();
        let common = COMMON.iter().map(|name| name.as_bytes().to_vec());
        for name in common {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.truncate(NAMES);
        Self { own, remains, lists, names }
    }

    /// What may be certain, the most at first: the names of the file but for one or two that follow
    /// one another; those in front of its damage; nothing.
    pub(super) fn certain(&self) -> Vec<FlagNames> {
        let mut certain = Vec::new();
        if span(&self.own) > 0 {
            certain.push(self.own.clone());
        }
        for open in 1..=OPEN {
            for first in 0..span(&self.own) {
                let mut names = self.own.clone();
                (first..first.saturating_add(open)).for_each(|slot| {
                    names.set(slot, None);
                });
                certain.push(names);
            }
        }
        certain.push(self.remains.clone());
        certain.push(FlagNames::default());
        certain.dedup();
        certain
    }
}

/// The names that are keywords at all.
fn atoms(names: &FlagNames) -> FlagNames {
    let mut atoms = FlagNames::default();
    for (slot, name) in names.iter().filter(|(_, name)| is_atom(name)) {
        atoms.set(slot, Some(name.to_vec()));
    }
    atoms
}

/// Names to combine in `slots` slots: the likeliest alone, then with one more each time.
pub(super) fn pools(names: &[Vec<u8>], slots: usize) -> impl Iterator<Item = &[Vec<u8>]> {
    (slots.min(names.len())..=names.len()).filter_map(|size| names.get(..size))
}

/// How many slots `names` spans.
pub(super) fn span(names: &FlagNames) -> usize {
    names.iter().last().map_or(0, |(slot, _)| slot.saturating_add(1))
}
