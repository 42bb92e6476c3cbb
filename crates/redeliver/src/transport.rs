//! The ways into a live store.

use std::time::Duration;

use incident::MailboxWithGaps;
use mailstore::lock::LockWait;
use reconstruct::FollowUp;

use crate::desk::Desk;
use crate::report::MailboxReport;

/// What is said of messages that the run did not come to.
pub(crate) const STOPPED: &str = "the run was told to stop: the same command goes on with it";

/// A way into a live store. Whatever it is told twice it does once.
pub trait Transport {
    /// Its name, in the incident too.
    fn name(&self) -> &'static str;

    /// Says of each mailbox what delivering would do. Changes nothing.
    fn survey(&self, desk: &Desk<'_>, mailboxes: &[MailboxWithGaps], listener: &dyn Listener);

    /// Delivers into each mailbox what `desk` orders; one bad mailbox never stops the others.
    /// Returns the name of the run, where there is anything that could be undone.
    fn deliver(
        self,
        desk: &Desk<'_>,
        mailboxes: &[MailboxWithGaps],
        listener: &dyn Listener,
    ) -> Option<String>;
}

/// Is told how it goes; from several threads.
pub trait Listener: Sync {
    /// So many mailboxes will be looked at.
    fn started(&self, mailboxes: usize) {
        let _ = mailboxes;
    }

    /// Messages were looked at. The caller may hold a mailbox's locks: this must not wait.
    fn progressed(&self, messages: u64, bytes: u64) {
        let _ = (messages, bytes);
    }

    /// A lock of `mailbox` is held by somebody else.
    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        let _ = (mailbox, wait);
    }

    /// The server, or its disk, took so long for next to nothing: `mailbox` waits.
    fn slow(&self, mailbox: &str, took: Duration) {
        let _ = (mailbox, took);
    }

    /// The run was told to stop, and so many mailboxes are not done.
    fn stopped(&self, mailboxes: usize) {
        let _ = mailboxes;
    }

    /// A mailbox is done.
    fn finished(&self, report: &MailboxReport);

    /// Something could not be brought in step with what was delivered.
    fn failed(&self, why: &str, follow_up: Option<&FollowUp>);
}
