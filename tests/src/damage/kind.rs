//! The kinds of damage by name, and how one or several of them hit a mailbox.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::place::Place;
use super::{cache, entries, header_file, index_blocks, index_files, index_header, index_records};
use crate::damage::messages;
use crate::generate::Random;

/// The name that stands for one to four kinds at once, drawn by the seed.
pub const RANDOM: &str = "random";

/// One sort of damage.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name, as `index-header-bit`.
    pub name: &'static str,
    /// What it does, for people.
    pub what: &'static str,
    /// Does it; `None` where the mailbox has nothing that it could hit.
    pub(super) inflict: fn(&mut Scene<'_>) -> Result<Option<Done>>,
}

/// What was done to a mailbox, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The kind's name.
    pub kind: &'static str,
    /// The mailbox's name.
    pub mailbox: String,
    /// What exactly, for people: positions, lengths, names.
    pub detail: String,
    /// The UIDs whose records or files were hit, as far as that can be said one by one.
    pub uids: BTreeSet<u32>,
}

/// The mailbox that is being damaged, and what may be laid over it.
pub(super) struct Scene<'a> {
    pub(super) place: &'a Place,
    /// Other mailboxes of the store.
    pub(super) others: &'a [Place],
    /// The same mailbox in an older copy of the store.
    pub(super) older: Option<&'a Place>,
    pub(super) random: &'a mut Random,
}

/// What an inflictor says it did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) detail: String,
    pub(super) uids: BTreeSet<u32>,
}

impl Done {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), uids: BTreeSet::new() }
    }

    pub(super) fn hitting(mut self, uids: impl IntoIterator<Item = u32>) -> Self {
        self.uids.extend(uids);
        self
    }
}

impl Kind {
    /// Every kind, in the order of tables.
    #[must_use]
    pub fn all() -> Vec<Self> {
        [
            index_header::KINDS,
            index_files::KINDS,
            index_records::KINDS,
            index_blocks::KINDS,
            header_file::KINDS,
            cache::KINDS,
            messages::KINDS,
            entries::KINDS,
        ]
        .concat()
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::all().into_iter().find(|kind| kind.name == name);
        found.with_context(|| format!("there is no kind of damage called {name}"))
    }
}

/// A store about to be damaged: its mailboxes, and an older copy of it, if there is one. No server
/// may run on it.
#[derive(Debug, Clone)]
pub struct Wreck {
    places: Vec<Place>,
    older: Vec<Place>,
    seed: u64,
}

impl Wreck {
    /// The store with this configuration.
    pub fn of(imapd_conf: &Path, seed: u64) -> Result<Self> {
        Ok(Self { places: Place::all(imapd_conf)?, older: Vec::new(), seed })
    }

    /// With an older copy of the same store, from which older files may be laid over newer ones.
    pub fn with_older(mut self, imapd_conf: &Path) -> Result<Self> {
        self.older = Place::all(imapd_conf)?;
        Ok(self)
    }

    /// The mailboxes that can be damaged.
    #[must_use]
    pub fn mailboxes(&self) -> Vec<&str> {
        self.places.iter().map(|place| place.mailbox.as_str()).collect()
    }

    /// Does `kind`, or [`RANDOM`] kinds, to a mailbox. Nothing is returned where that mailbox has
    /// nothing that the kind could hit.
    pub fn inflict(&self, kind: &str, mailbox: &str) -> Result<Vec<Damage>> {
        let place = self.places.iter().find(|place| place.mailbox == mailbox);
        let Some(place) = place else { bail!("the store has no mailbox {mailbox}") };
        let name = u64::from(crc32fast::hash(format!("{kind} {mailbox}").as_bytes()));
        let mut random = Random::new(self.seed.wrapping_mul(0x1_0000_0001) ^ name << 16);
        let kinds =
            if kind == RANDOM { Self::drawn(&mut random) } else { vec![Kind::named(kind)?] };
        let others: Vec<Place> =
            self.places.iter().filter(|other| *other != place).cloned().collect();
        let mut done = Vec::new();
        for kind in kinds {
            let older = self.older.iter().find(|older| older.mailbox == mailbox);
            let mut scene = Scene { place, others: &others, older, random: &mut random };
            let hit = (kind.inflict)(&mut scene);
            if let Some(hit) = hit.with_context(|| format!("{} on {mailbox}", kind.name))? {
                done.push(Damage {
                    kind: kind.name,
                    mailbox: mailbox.to_string(),
                    detail: hit.detail,
                    uids: hit.uids,
                });
            }
        }
        Ok(done)
    }

    /// One to four kinds, all of them different.
    fn drawn(random: &mut Random) -> Vec<Kind> {
        let mut left = Kind::all();
        let count = (1 + random.below(4)).min(left.len());
        (0..count).map(|_| left.swap_remove(random.below(left.len()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Kind::all().iter().map(|kind| kind.name).collect();
        assert!(names.len() > 50 && !names.contains(&RANDOM));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
