//! How a run tells what it is doing, to whoever wants to show it.

use mailstore::lock::LockWait;

use crate::report::MailboxReport;

/// Is told of a run's progress; called from several threads.
pub trait Observer: Sync {
    /// The run will look at `mailboxes` mailboxes with about `messages` messages.
    fn started(&self, mailboxes: usize, messages: u64) {
        let _ = (mailboxes, messages);
    }

    /// Messages were checked; `bytes` of them had to be read.
    fn progressed(&self, messages: u64, bytes: u64) {
        let _ = (messages, bytes);
    }

    /// A lock of `mailbox` is held by somebody else.
    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        let _ = (mailbox, wait);
    }

    /// A mailbox is done.
    fn finished(&self, report: &MailboxReport) {
        let _ = report;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
