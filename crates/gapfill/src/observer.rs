//! How a run tells what it is doing, to whoever wants to show it.

use mailstore::lock::LockWait;

use crate::report::MailboxReport;

/// Is told of a run's progress; called from several threads.
pub trait Observer: Sync {
    /// So many mailboxes with about so many messages will be compared.
    fn started(&self, mailboxes: usize, messages: u64) {
        let _ = (mailboxes, messages);
    }

    /// Messages were compared; so many bytes of them had to be read.
    fn progressed(&self, messages: u64, bytes: u64) {
        let _ = (messages, bytes);
    }

    /// A lock of the live store is held by somebody else.
    fn waiting(&self, wait: &LockWait) {
        let _ = wait;
    }

    /// A mailbox is done, and recorded where there is an incident.
    fn finished(&self, report: &MailboxReport) {
        let _ = report;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
