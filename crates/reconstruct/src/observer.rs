//! How a run tells what it is doing, to whoever wants to show it.

use mailstore::lock::{Holder, LockWait};

use crate::report::MailboxReport;
use crate::target::Target;

/// Is told of a run's progress; called from several threads.
pub trait Observer: Sync {
    /// The run will look at `mailboxes` mailboxes with about `messages` messages.
    fn started(&self, mailboxes: usize, messages: u64) {
        let _ = (mailboxes, messages);
    }

    /// Messages were checked; `bytes` of them had to be read. The caller may hold the mailbox's locks:
    /// this must not wait for anything, not even for a pipe.
    fn progressed(&self, messages: u64, bytes: u64) {
        let _ = (messages, bytes);
    }

    /// A lock of `mailbox` is held by somebody else.
    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        let _ = (mailbox, wait);
    }

    /// So many messages with so many bytes are to come into a mailbox next. No lock is held: who wants
    /// the run to be slower waits here. `false`: neither they nor those after them come.
    fn lets_come(&self, target: &Target, messages: usize, bytes: u64) -> bool {
        let _ = (target, messages, bytes);
        true
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

/// Tells `observer` of a wait, unless it is only for another mailbox of this very run.
pub(crate) fn tell_wait(observer: &dyn Observer, mailbox: &str, wait: &LockWait) {
    let own = std::process::id();
    let by_others = |holder: &Holder| holder.pid != own;
    if wait.holders.is_empty() || wait.holders.iter().any(by_others) {
        observer.waiting(mailbox, wait);
    }
}
