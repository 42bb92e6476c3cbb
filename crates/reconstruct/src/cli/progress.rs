//! How far a run is: a bar on a terminal, plain lines at intervals elsewhere.
//!
//! Whoever works on a mailbox may hold its locks, and with them up the server's users, while it
//! tells of progress. So telling only counts, and a thread of its own draws: a reader of ours that
//! does not read, as `less` does until the operator scrolls, stops that thread and nobody else.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Shows progress on stderr.
pub(crate) struct ProgressDisplay {
    bar: ProgressBar,
    terminal: bool,
    counts: Arc<Counts>,
    drawing: Mutex<Option<JoinHandle<()>>>,
}

/// What has been done.
#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
}

impl ProgressDisplay {
    pub(crate) fn new(terminal: bool) -> Self {
        Self {
            bar: if terminal { ProgressBar::no_length() } else { ProgressBar::hidden() },
            terminal,
            counts: Arc::default(),
            drawing: Mutex::new(None),
        }
    }

    pub(crate) fn start(&self, mailboxes: usize, messages: u64) {
        self.bar.set_length(messages);
        self.bar.set_message(format!("{mailboxes} mailboxes"));
        let template =
            "{msg} [{wide_bar}] {human_pos}/{human_len} messages, {per_sec}, {prefix}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        let drawing = Drawing {
            bar: self.bar.clone(),
            terminal: self.terminal,
            counts: Arc::clone(&self.counts),
            expected: messages,
            started: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("progress".to_owned());
        if let (Ok(handle), Ok(mut slot)) =
            (thread.spawn(move || drawing.run()), self.drawing.lock())
        {
            *slot = Some(handle);
        }
    }

    /// Counts; never waits for anything.
    pub(crate) fn advance(&self, messages: u64, bytes: u64) {
        self.counts.messages.fetch_add(messages, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Prints something without the bar in the way.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(crate) fn end(&self) {
        self.counts.ended.store(true, Ordering::Relaxed);
        let handle = self.drawing.lock().ok().and_then(|mut slot| slot.take());
        if let Some(handle) = handle {
            handle.thread().unpark();
            // It only draws: how it ended is nobody's loss.
            let _ = handle.join();
        }
        self.bar.finish_and_clear();
    }
}

/// The thread that draws.
struct Drawing {
    bar: ProgressBar,
    terminal: bool,
    counts: Arc<Counts>,
    expected: u64,
    started: Instant,
}

impl Drawing {
    fn run(self) {
        let mut last_line = self.started;
        while !self.counts.ended.load(Ordering::Relaxed) {
            if self.terminal {
                self.draw_bar();
            } else if last_line.elapsed() >= INTERVAL {
                last_line = Instant::now();
                self.write_line();
            }
            std::thread::park_timeout(REDRAW);
        }
    }

    fn draw_bar(&self) {
        let done = self.counts.messages.load(Ordering::Relaxed);
        let bytes = self.counts.bytes.load(Ordering::Relaxed);
        // A mailbox whose index is gone has more messages than was foreseen.
        self.bar.set_length(self.expected.max(done));
        self.bar.set_prefix(format!("{}/s", HumanBytes(self.per_second(bytes))));
        self.bar.set_position(done);
    }

    fn write_line(&self) {
        let done = self.counts.messages.load(Ordering::Relaxed);
        let bytes = self.counts.bytes.load(Ordering::Relaxed);
        let all = self.expected.max(done);
        let rate = self.per_second(done);
        let left = (all - done).checked_div(rate);
        let left = left.map_or("unknown time".to_owned(), |seconds| {
            HumanDuration(Duration::from_secs(seconds)).to_string()
        });
        let bytes = HumanBytes(self.per_second(bytes));
        eprintln!("reconstruct: {done} of {all} messages, {rate}/s, {bytes}/s, {left} left");
    }

    fn per_second(&self, amount: u64) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        amount.saturating_mul(1000) / elapsed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Found as a deadlock: one worker's output was stuck in a full pipe, another, which held a
    /// user's locks, waited for it to tell of its progress.
    #[test]
    fn who_tells_of_progress_does_not_wait_for_who_prints() {
        let display = ProgressDisplay::new(false);
        display.start(1, 10);
        let (printing, begun) = mpsc::channel();
        let (read, unread) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                display.above(move || {
                    let _ = printing.send(());
                    let _ = unread.recv();
                });
            });
            begun.recv().unwrap();
            let (told, answer) = mpsc::channel();
            let display = &display;
            scope.spawn(move || {
                display.advance(1, 1);
                let _ = told.send(());
            });
            let answered = answer.recv_timeout(Duration::from_secs(20));
            drop(read);
            assert!(answered.is_ok(), "it waited");
        });
        display.end();
    }
}
