//! What the sources know of a mailbox that the live store does not have.

use incident::{Gap, GoneMailbox};

use super::GroupRun;
use crate::class::Class;
use crate::compare::Pair;
use crate::pairing::PlannedPair;

/// What is known of a mailbox, where `told` says that the live store does not have it.
pub(super) fn of(
    group: &GroupRun<'_>,
    plan: &PlannedPair,
    pair: &Pair,
    told: &[Gap],
) -> Option<GoneMailbox> {
    let is_gone = |gap: &Gap| gap.guid.is_null() && gap.class == Class::MailboxGone.as_str();
    if !told.iter().any(is_gone) {
        return None;
    }
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let special_use = plan.parts.iter().find_map(|&(number, at)| {
        let source = group.run.sources.get(number)?;
        source.special_use_of(source.mailboxes.get(at)?)
    });
    Some(GoneMailbox { acl: pair.source.acl.as_ref().map(text), special_use })
}
