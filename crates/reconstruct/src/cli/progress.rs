//! How far a run is: a bar on a terminal, plain lines at intervals elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub(crate) struct ProgressDisplay {
    bar: ProgressBar,
    terminal: bool,
    bytes: AtomicU64,
    started: Instant,
    last_line: Mutex<Instant>,
}

impl ProgressDisplay {
    pub(crate) fn new(terminal: bool) -> Self {
        let now = Instant::now();
        Self {
            bar: if terminal { ProgressBar::no_length() } else { ProgressBar::hidden() },
            terminal,
            bytes: AtomicU64::new(0),
            started: now,
            last_line: Mutex::new(now),
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
    }

    pub(crate) fn advance(&self, messages: u64, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.bar.inc(messages);
        // A mailbox whose index is gone has more messages than was foreseen.
        self.bar.set_length(self.bar.length().unwrap_or(0).max(self.bar.position()));
        self.bar.set_prefix(format!("{}/s", HumanBytes(self.per_second(bytes))));
        if !self.terminal {
            self.line_if_due(bytes);
        }
    }

    /// Prints something without the bar in the way.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn line_if_due(&self, bytes: u64) {
        let Ok(mut last) = self.last_line.try_lock() else { return };
        if last.elapsed() < INTERVAL {
            return;
        }
        *last = Instant::now();
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let rate = self.per_second(done);
        let left = all.saturating_sub(done).checked_div(rate);
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
