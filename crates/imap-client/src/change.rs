//! Taking messages away: flags, and EXPUNGE of some messages only (RFC 4315).

use crate::error::Error;
use crate::fetch::UIDS_AT_A_TIME;
use crate::session::Session;
use crate::text::uid_sets;

/// What becomes of `\\Deleted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is put on.
    Set,
    /// It is taken off.
    Cleared,
}

impl Session {
    /// UID STORE: puts `\\Deleted` on messages of the selected mailbox, or takes it off.
    pub fn mark_deleted(&mut self, uids: &[u32], deleted: Deleted) -> Result<(), Error> {
        let sign = match deleted {
            Deleted::Set => '+',
            Deleted::Cleared => '-',
        };
        for (_, set) in uid_sets(uids, UIDS_AT_A_TIME) {
            let line = format!("UID STORE {set} {sign}FLAGS.SILENT (\\Deleted)");
            self.must("STORE", &line, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    /// Whether [`Session::expunge`] can take single messages away (UIDPLUS).
    #[must_use]
    pub fn expunges_single_messages(&self) -> bool {
        self.offers("UIDPLUS") || self.offers("IMAP4REV2")
    }

    /// UID EXPUNGE: removes those of these messages that are marked as deleted, and no others.
    ///
    /// # Errors
    /// Also where the server cannot do that: its EXPUNGE would take other messages as well.
    pub fn expunge(&mut self, uids: &[u32]) -> Result<(), Error> {
        if !self.expunges_single_messages() {
            return Err(Error::Protocol("it cannot expunge single messages".to_owned()));
        }
        for (_, set) in uid_sets(uids, UIDS_AT_A_TIME) {
            self.must("EXPUNGE", &format!("UID EXPUNGE {set}"), &mut |_| Ok(()))?;
        }
        Ok(())
    }
}
