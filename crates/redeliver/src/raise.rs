//! Raising the numbers of mailboxes above all that clients have seen.

use incident::{Incident, MailboxWithGaps};
use reconstruct::{Arrivals, Run, Summary, Target, Unknown, Workshop};

use crate::spool::Matched;

/// Mailboxes whose last UID and highest modseq are to be above all that their sources have shown: what
/// a server then puts into them, in whatever way, is new to every client.
pub struct RaiseNumbers<'a> {
    incident: &'a Incident,
    matched: Matched<'a>,
}

impl<'a> RaiseNumbers<'a> {
    /// Of those of `mailboxes` that are among `targets`.
    #[must_use]
    pub fn new(
        incident: &'a Incident,
        targets: &[Target],
        mailboxes: &'a [MailboxWithGaps],
    ) -> Self {
        Self { incident, matched: Matched::of(targets, mailboxes) }
    }

    /// Says what would be raised. Changes nothing.
    #[must_use]
    pub fn survey(&self, run: &Run<'_>) -> Summary {
        run.survey_delivery(&self.matched.targets, &|target| self.numbers(target))
    }

    /// Raises them.
    pub fn carry_out(&self, run: &Run<'_>, workshop: &Workshop) -> Summary {
        run.deliver(&self.matched.targets, &|target| self.numbers(target), workshop)
    }

    fn numbers(&self, target: &Target) -> Result<Arrivals, Unknown> {
        let with_gaps = self.matched.by_name.get(&target.name);
        let seen = with_gaps.map(|with_gaps| self.incident.seen_numbers(with_gaps)).transpose()?;
        let seen = seen.unwrap_or_default();
        let (above_uid, above_modseq) = (seen.uid, seen.modseq);
        Ok(Arrivals { above_uid, above_modseq, raise_numbers: true, ..Arrivals::default() })
    }
}
