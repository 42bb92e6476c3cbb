//! What is remembered of a mailbox.

use std::collections::HashMap;

use incident::Gap;
use mailstore_format::{Guid, SystemFlags, ThreadId, Timestamp, Uid};

use super::{GroupRun, Said};
use crate::class::Class;
use crate::compare::{Because, Count, Pair};
use crate::contents::Voucher;
use crate::pairing::PlannedPair;
use crate::run::Ambiguous;
use crate::run::belongings::Belongings;

/// The gaps of a mailbox.
pub(super) struct Gaps {
    /// What is told: one for each message, but one for all of a mailbox that is missing whole.
    pub(super) told: Vec<Gap>,
    /// The messages of a mailbox that is missing whole.
    pub(super) within: Vec<Gap>,
}

/// The gaps of a mailbox.
/// What could not be read of what belongs to them goes to `unreadable`.
pub(super) fn of(
    group: &GroupRun<'_>,
    plan: &PlannedPair,
    pair: &Pair,
    said: &[Said],
    unreadable: &mut Vec<String>,
) -> Gaps {
    let uids = said.iter().filter(|said| said.class.is_to_be_restored());
    let uids = uids.map(|said| said.message.uid).filter(|&uid| uid != Uid(0)).collect();
    let belongings = Belongings::of(group, plan, &pair.source, &uids);
    unreadable.extend(belongings.skipped.iter().map(ToString::to_string));
    let (mut gaps, mut within) = (Vec::new(), Vec::new());
    let mut whole = HashMap::<Class, Count>::new();
    let mut copies = HashMap::<Guid, u32>::new();
    for said in said.iter().filter(|said| is_remembered(said)) {
        if pair.live.is_none() && matches!(said.class, Class::MailboxGone | Class::Dav) {
            let count = whole.entry(said.class).or_default();
            count.messages = count.messages.saturating_add(1);
            count.bytes = count.bytes.saturating_add(said.message.size);
        }
        let copy = if said.message.uid == Uid(0) {
            let next = copies.entry(said.message.guid).or_default();
            *next = next.saturating_add(1);
            next.saturating_sub(1)
        } else {
            0
        };
        let mut gap = gap(group, plan, pair, said, copy);
        if uids.contains(&gap.uid) {
            gap.annotations = belongings.annotations_of(gap.uid);
            gap.seen_by = belongings.seen_by(gap.uid);
        }
        match said.class {
            Class::MailboxGone => within.push(gap),
            Class::Dav if pair.live.is_none() => {}
            _ => gaps.push(gap),
        }
    }
    let evidence = || "the live store has no such mailbox".to_owned();
    gaps.extend(whole.into_iter().map(|(class, count)| Gap {
        origin: pair.source.places.first().map(crate::Place::path),
        messages: count.messages,
        bytes: count.bytes,
        ..of_mailbox(class, evidence())
    }));
    gaps.extend(state_behind(plan));
    Gaps { told: gaps, within }
}

/// What is only present, or deleted with its whole mailbox, is counted and not remembered.
fn is_remembered(said: &Said) -> bool {
    match said.class {
        Class::Present => false,
        Class::Deleted => {
            !matches!(said.because, Because::MailboxDeletedInSource | Because::MailboxDeletedLive)
        }
        _ => true,
    }
}

fn gap(group: &GroupRun<'_>, plan: &PlannedPair, pair: &Pair, said: &Said, copy: u32) -> Gap {
    let message = &said.message;
    let intact = said.fetched.as_ref().and_then(|fetched| fetched.as_ref().ok());
    let skipped = group.run.options.ambiguous == Ambiguous::Skip && said.class == Class::Ambiguous;
    let wanted = group.run.memory.and_then(|memory| {
        let wanted = memory.wanted(group.group.store, &plan.id.uniqueid);
        let same = wanted.iter().filter(|still| still.guid == message.guid);
        let exact = same.clone().find(|still| still.uid == message.uid);
        exact.or_else(|| same.clone().next()).map(|still| still.id)
    });
    // A live record has its keywords in the live mailbox.
    let in_live = said.because == Because::RecordWithoutFile && plan.parts.is_empty();
    let contents = pair.live.as_ref().filter(|_| in_live).unwrap_or(&pair.source);
    Gap {
        guid: message.guid,
        uid: message.uid,
        copy,
        class: said.class.to_string(),
        restore: said.class.is_to_be_restored() && intact.is_some() && !skipped,
        evidence: evidence(said),
        messages: 1,
        bytes: message.size,
        system_flags: message.system_flags,
        keywords: contents.keywords_of(message),
        internaldate: message.internaldate,
        savedate: message.savedate,
        thread_id: message.cid,
        origin: intact.map(|fetched| fetched.origin.clone()),
        staged: intact.and_then(|fetched| fetched.staged.clone()),
        wanted: wanted.filter(|_| said.class == Class::Wanted),
        annotations: Vec::new(),
        seen_by: Vec::new(),
    }
}

fn evidence(said: &Said) -> String {
    let mut text = said.because.to_string();
    if let Some(note) = said.note {
        text = format!("{note}; {text}");
    }
    if let Some(Err(damage)) = &said.fetched {
        text = format!("{damage}; {text}");
    } else if said.message.voucher == Voucher::File && said.class.is_to_be_restored() {
        text.push_str("; no record vouches that its file is whole");
    }
    text
}

/// What happened to the mailbox itself in the source, and not in the live store.
fn state_behind(plan: &PlannedPair) -> Option<Gap> {
    let standing = &plan.standing;
    let evidence = if standing.deleted_in_source && plan.live.is_some() && !standing.deleted_live {
        "the mailbox was deleted in the source".to_owned()
    } else {
        format!("the mailbox was renamed in the source to {}", plan.renamed_to.as_ref()?)
    };
    Some(Gap { messages: 0, ..of_mailbox(Class::StateBehind, evidence) })
}

fn of_mailbox(class: Class, evidence: String) -> Gap {
    Gap {
        guid: Guid::NULL,
        uid: Uid(0),
        copy: 0,
        class: class.to_string(),
        restore: class.is_to_be_restored(),
        evidence,
        messages: 0,
        bytes: 0,
        system_flags: SystemFlags::default(),
        keywords: Vec::new(),
        internaldate: Timestamp::default(),
        savedate: Timestamp::default(),
        thread_id: ThreadId::default(),
        origin: None,
        staged: None,
        wanted: None,
        annotations: Vec::new(),
        seen_by: Vec::new(),
    }
}
