//! What is sent over IMAP: nothing leaves before the incident knows that it may arrive.

use std::collections::HashMap;

use incident::{Delivery, GapId, MailboxWithGaps, SentAbove, Unconfirmed};

use super::Desk;
use crate::error::Error;

impl Desk<'_> {
    /// Whether nothing is delivered.
    pub(crate) fn is_dry(&self) -> bool {
        self.run.is_none()
    }

    /// What may have come into the mailbox: nobody has said so.
    pub(crate) fn unconfirmed(
        &self,
        mailbox: &MailboxWithGaps,
    ) -> Result<HashMap<GapId, Unconfirmed>, Error> {
        Ok(self.incident.unconfirmed_appends(mailbox)?)
    }

    /// Notes, for good, that these are about to be sent.
    pub(crate) fn intend(&self, gaps: &[GapId], above: SentAbove) -> Result<(), Error> {
        let Some(run) = self.run else { return Ok(()) };
        Ok(self.incident.intend_appends(run, self.via, gaps, above)?)
    }

    /// Notes what became of messages that were in doubt.
    pub(crate) fn confirm(&self, deliveries: &[Delivery]) -> Result<(), Error> {
        let Some(run) = self.run.filter(|_| !deliveries.is_empty()) else { return Ok(()) };
        Ok(self.incident.confirm_appends(run, self.via, deliveries)?)
    }

    /// Notes that these did not come.
    pub(crate) fn did_not_come(&self, gaps: &[GapId]) -> Result<(), Error> {
        let is_dry = self.is_dry() || gaps.is_empty();
        if is_dry { Ok(()) } else { Ok(self.incident.appends_failed(gaps)?) }
    }
}
