//! What is sent over IMAP: nothing leaves before the incident knows that it may arrive.

use std::collections::HashMap;

use incident::{
    DeliveredAt, Delivery, DeliveryState, GapId, GoneMailbox, MailboxWithGaps, Outgoing, SentAbove,
    Unconfirmed,
};

use super::Desk;
use crate::error::Error;

impl Desk<'_> {
    /// Whether nothing is delivered.
    pub(crate) fn is_dry(&self) -> bool {
        self.run.is_none()
    }

    /// What may have come: nobody has said so.
    pub(crate) fn unconfirmed(
        &self,
        mailbox: &MailboxWithGaps,
    ) -> Result<HashMap<GapId, Unconfirmed>, Error> {
        Ok(self.incident.unconfirmed_appends(mailbox)?)
    }

    /// What else came into a folder that `mailbox` is delivered into, or into the mailbox `named`.
    pub(crate) fn delivered_at(
        &self,
        mailbox: &MailboxWithGaps,
        folder: &str,
        named: Option<&str>,
    ) -> Result<Vec<DeliveredAt>, Error> {
        Ok(self.incident.delivered_at(mailbox, folder, named)?)
    }

    /// What sources know of a mailbox that the store does not have.
    pub(crate) fn gone_mailbox(&self, mailbox: &MailboxWithGaps) -> Result<GoneMailbox, Error> {
        Ok(self.incident.gone_mailbox(mailbox)?.unwrap_or_default())
    }

    /// Notes, for good, that a mailbox that was gone, of which this is the gap, is there again, under
    /// this id where the server tells one. `false`: the incident has another mailbox of that id.
    pub(crate) fn made_again(
        &self,
        mailbox: &MailboxWithGaps,
        uniqueid: Option<&str>,
        gap: GapId,
    ) -> Result<bool, Error> {
        let Some(run) = self.run else { return Ok(true) };
        if !self.incident.mailbox_made_again(mailbox, uniqueid)? {
            return Ok(false);
        }
        let (state, note) = (DeliveryState::Delivered, String::new());
        let made = Delivery { gap, state, uid: None, note };
        self.incident.record_deliveries(run, self.via, &[made])?;
        Ok(true)
    }

    /// Notes, for good, that these are about to be sent, into their mailbox or into `folder`.
    pub(crate) fn intend(
        &self,
        messages: &[Outgoing<'_>],
        above: SentAbove,
        folder: Option<&str>,
    ) -> Result<(), Error> {
        let Some(run) = self.run else { return Ok(()) };
        Ok(self.incident.intend_appends(run, self.via, messages, above, folder)?)
    }

    /// Notes what became of messages that were in doubt; `folder` is where they are, if that is not
    /// their mailbox.
    pub(crate) fn confirm(
        &self,
        deliveries: &[Delivery],
        folder: Option<&str>,
    ) -> Result<(), Error> {
        let Some(run) = self.run.filter(|_| !deliveries.is_empty()) else { return Ok(()) };
        Ok(self.incident.confirm_appends(run, self.via, deliveries, folder)?)
    }

    /// Notes that these did not come.
    pub(crate) fn did_not_come(&self, gaps: &[GapId]) -> Result<(), Error> {
        let is_dry = self.is_dry() || gaps.is_empty();
        if is_dry { Ok(()) } else { Ok(self.incident.appends_failed(gaps)?) }
    }
}
