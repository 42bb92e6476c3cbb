//! Lines on their way to the thread that writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many bytes may be unwritten before those who can wait do.
const ROOM: usize = 1 << 20;
/// How often the writer comes back though there is nothing to write, to show progress.
const REFRESH: Duration = Duration::from_millis(250);

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What is written at once.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// What the writer does next.
pub(crate) enum Next {
    Line(Line),
    /// Nothing to write: time to show progress.
    Idle,
    /// Nothing will come any more.
    End,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<Line>,
    /// Bytes that are not written yet.
    unwritten: usize,
    /// Nothing is written any more that is added from now on.
    closed: bool,
    /// The first error of stdout that is not a reader's who went away.
    failure: Option<io::Error>,
}

impl Queue {
    /// Never waits for anybody's reading.
    pub(crate) fn add(&self, line: Line) {
        let mut lines = self.lock();
        if lines.closed {
            return;
        }
        lines.unwritten += line.text.len();
        lines.waiting.push_back(line);
        drop(lines);
        self.changed.notify_all();
    }

    /// Waits until little enough is unwritten, or nobody writes any more.
    pub(crate) fn wait_for_room(&self) {
        drop(self.wait_for_unwritten(ROOM));
    }

    /// Waits until all is written; the first error of stdout, or that nobody writes any more.
    pub(crate) fn wait_until_written(&self) -> io::Result<()> {
        let mut lines = self.wait_for_unwritten(0);
        match lines.failure.take() {
            Some(error) => Err(error),
            None if lines.unwritten > 0 => Err(io::Error::other("nobody writes any more")),
            None => Ok(()),
        }
    }

    fn wait_for_unwritten(&self, most: usize) -> MutexGuard<'_, Lines> {
        let too_much = |lines: &mut Lines| lines.unwritten > most && !lines.closed;
        let waited = self.changed.wait_while(self.lock(), too_much);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next line, but not for long.
    pub(crate) fn next(&self) -> Next {
        let nothing_to_do = |lines: &mut Lines| lines.waiting.is_empty() && !lines.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), REFRESH, nothing_to_do);
        let (mut lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match lines.waiting.pop_front() {
            Some(line) => Next::Line(line),
            None if lines.closed => Next::End,
            None => Next::Idle,
        }
    }

    /// The next line, if there is one already.
    pub(crate) fn waiting(&self) -> Option<Line> {
        self.lock().waiting.pop_front()
    }

    /// This line was written, or will never be.
    pub(crate) fn written(&self, line: &Line, outcome: io::Result<()>) {
        let mut lines = self.lock();
        lines.unwritten -= line.text.len();
        if let Err(error) = outcome {
            lines.failure.get_or_insert(error);
        }
        drop(lines);
        self.changed.notify_all();
    }

    /// Nothing will be added any more, or nobody is there to write it.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No code of ours panics with the lock held, and a queue of lines has no state to be broken.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
