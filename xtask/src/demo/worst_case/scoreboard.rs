//! What the users see before and after, and how much of what was left came back.

use std::collections::BTreeMap;

use anyhow::Result;
use mailstore_tests::damage::{Score, Survivors, Tally, View};
use mailstore_tests::{Server, internal_name};

use super::population::MAILBOXES;
use super::wreck;
use crate::table::Table;

/// What all users see over IMAP, by the mailboxes' internal names.
pub(super) type Shown = BTreeMap<String, View>;

/// How well each mailbox came back.
pub(super) type Scores = BTreeMap<String, Score>;

/// What all users see. Fails where a mailbox cannot be opened.
pub(super) fn shown(server: &Server) -> Result<Shown> {
    let views = MAILBOXES.iter().map(|(user, mailbox, _)| {
        let view = View::over_imap(server, user, mailbox)?;
        Ok((internal_name(user, mailbox), view))
    });
    views.collect()
}

/// Holds what is seen now against what was seen before and could still be known.
pub(super) fn scores(
    before: &Shown,
    server: &Server,
    left: &BTreeMap<String, Survivors>,
) -> Scores {
    let mut scores = Scores::new();
    for (user, mailbox, _) in MAILBOXES {
        let name = internal_name(user, mailbox);
        let (Some(was), Some(left)) = (before.get(&name), left.get(&name)) else { continue };
        let is = View::over_imap(server, user, mailbox).ok();
        scores.insert(name.clone(), Score::of(&name, was, is.as_ref(), left));
    }
    scores
}

/// What speaks against everything being back.
pub(super) fn shortfalls(scores: &Scores) -> Vec<String> {
    let not_full = scores.values().filter(|score| !score.is_full());
    not_full.flat_map(|score| score.remarks.iter().cloned()).collect()
}

/// Messages whose bytes the damage destroyed.
pub(super) fn destroyed(scores: &Scores) -> usize {
    scores.values().map(|score| score.destroyed).sum()
}

/// Two rows for each mailbox that was hit: what our tool brought back, and what Cyrus's own did.
pub(super) fn table(ours: &Scores, theirs: &Scores) -> Table {
    let heading = [
        "Mailbox",
        "repaired by",
        "UIDVALIDITY",
        "messages",
        "UIDs",
        "flags",
        "keywords",
        "dates",
        "too many",
    ];
    let mut table = Table::new(&heading);
    for (mailbox, ours) in ours.iter().filter(|(mailbox, _)| wreck::hits(mailbox)) {
        table.row(row(mailbox, "this tool", ours));
        if let Some(theirs) = theirs.get(mailbox) {
            table.row(row("", "Cyrus's own", theirs));
        }
    }
    table
}

fn row(mailbox: &str, by: &str, score: &Score) -> Vec<String> {
    let kept = if score.uidvalidity.is_full() { "kept" } else { "CHANGED" };
    let share = |tally: Tally| format!("{} of {}", tally.right, tally.due());
    vec![
        mailbox.to_owned(),
        by.to_owned(),
        kept.to_owned(),
        share(score.messages),
        share(score.uids),
        share(score.flags),
        share(score.keywords),
        share(score.dates),
        score.too_many.to_string(),
    ]
}
