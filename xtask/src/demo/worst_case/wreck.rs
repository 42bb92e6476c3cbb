//! What the outage did.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::Store;
use mailstore_tests::damage::{Damage, Kind, Place, Survivors, Wreck};

use crate::table::Table;

/// Which mailbox is hit by which kinds.
const BLOWS: [(&str, &[&str]); 9] = [
    ("user.alice", &["index-header-bit"]),
    ("user.alice.Archive", &["index-header-garbage", "index-page-garbage"]),
    ("user.alice.Sent", &["header-file-removed"]),
    ("user.bob", &["messages-swapped"]),
    ("user.bob.Drafts", &["message-misnamed"]),
    ("user.bob.Lists", &["message-lf"]),
    ("user.bob.Lists.cyrus", &["message-truncated"]),
    ("user.carol", &["stale-expunge"]),
    ("user.carol.Work", &["entry-directory"]),
];

/// The mailbox that one flipped bit hits.
pub(super) const FLIPPED: &str = "user.alice";

/// Whether a mailbox is one of those that are hit.
pub(super) fn hits(mailbox: &str) -> bool {
    BLOWS.iter().any(|(hit, _)| *hit == mailbox)
}

/// Damages `store`, on which no server runs.
pub(super) fn inflict(store: &Store, seed: u64) -> Result<Vec<Damage>> {
    let wreck = Wreck::of(&store.imapd_conf(), seed)?;
    let mut done = Vec::new();
    for (mailbox, kinds) in BLOWS {
        for kind in kinds {
            let hit = wreck.inflict(kind, mailbox)?;
            ensure!(!hit.is_empty(), "{kind} had nothing to hit in {mailbox}");
            done.extend(hit);
        }
    }
    Ok(done)
}

/// What evidence is left of each of the `mailboxes`, found by comparing with the `sound` store.
pub(super) fn left<'a>(
    sound: &Store,
    damaged: &Store,
    mailboxes: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Survivors>> {
    let mut left = BTreeMap::new();
    for mailbox in mailboxes {
        let before = Place::of(&sound.imapd_conf(), mailbox)?;
        let after = Place::of(&damaged.imapd_conf(), mailbox)?;
        let survivors = Survivors::of(&before, &after, sound.options().conversations);
        let survivors = survivors.with_context(|| format!("what is left of {mailbox}"))?;
        left.insert(mailbox.clone(), survivors);
    }
    Ok(left)
}

pub(super) fn table(damages: &[Damage]) -> Result<Table> {
    let mut table = Table::new(&["Mailbox", "Damage", "Where"]);
    for damage in damages {
        let what = Kind::named(damage.kind)?.what;
        table.row(vec![damage.mailbox.clone(), what.to_owned(), damage.detail.clone()]);
    }
    Ok(table)
}
