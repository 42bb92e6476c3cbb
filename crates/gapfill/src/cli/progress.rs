//! How far a run is: a bar on a terminal, plain lines at intervals elsewhere.
//!
//! Telling only counts, and a thread of its own draws: who compares never waits for who reads what
//! is printed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often the bar is drawn and the rate is measured.
const REDRAW: Duration = Duration::from_millis(500);
/// Over how long the rate is measured.
const WINDOW: Duration = Duration::from_mins(3);

/// Shows progress on stderr.
pub(crate) struct ProgressDisplay {
    bar: ProgressBar,
    terminal: bool,
    quiet: bool,
    counts: Arc<Counts>,
    drawing: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Counts {
    mailboxes: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
}

impl ProgressDisplay {
    pub(crate) fn new(terminal: bool, quiet: bool) -> Self {
        let bar = if terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Self { bar, terminal, quiet, counts: Arc::default(), drawing: Mutex::new(None) }
    }

    pub(crate) fn start(&self, mailboxes: usize, messages: u64) {
        if self.quiet {
            return;
        }
        let template = "[{wide_bar}] {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        let drawing = Drawing {
            bar: self.bar.clone(),
            terminal: self.terminal,
            counts: Arc::clone(&self.counts),
            mailboxes: u64::try_from(mailboxes).unwrap_or(u64::MAX),
            expected: messages,
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

    pub(crate) fn mailbox_done(&self) {
        self.counts.mailboxes.fetch_add(1, Ordering::Relaxed);
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
    mailboxes: u64,
    expected: u64,
}

impl Drawing {
    fn run(self) {
        let (mut rate, mut last_line) = (Rate::default(), Instant::now());
        while !self.counts.ended.load(Ordering::Relaxed) {
            let done = self.counts.messages.load(Ordering::Relaxed);
            rate.measure(Instant::now(), done);
            if self.terminal {
                self.bar.set_length(self.expected.max(done));
                self.bar.set_position(done);
                self.bar.set_message(self.line(done, &rate));
            } else if last_line.elapsed() >= INTERVAL {
                last_line = Instant::now();
                let now = jiff::Timestamp::now().strftime("%H:%M:%SZ");
                eprintln!("{now} gapfill: {}", self.line(done, &rate));
            }
            std::thread::park_timeout(REDRAW);
        }
    }

    fn line(&self, done: u64, rate: &Rate) -> String {
        let mailboxes = self.counts.mailboxes.load(Ordering::Relaxed);
        let read = HumanBytes(self.counts.bytes.load(Ordering::Relaxed));
        let all = self.expected.max(done);
        let left = match rate.spread() {
            Some((slow, fast)) => {
                let time = |rate: u64| (all - done).checked_div(rate).map(Duration::from_secs);
                match (time(fast), time(slow)) {
                    (Some(least), Some(most)) if least != most => {
                        format!("{} to {} left", HumanDuration(least), HumanDuration(most))
                    }
                    (Some(time), _) => format!("{} left", HumanDuration(time)),
                    _ => "time left not known".to_owned(),
                }
            }
            None => "time left not known yet".to_owned(),
        };
        let of = self.mailboxes;
        format!("{mailboxes}/{of} mailboxes, {done}/{all} messages, {read} read, {left}")
    }
}

/// The rate over the last minutes, with its spread.
#[derive(Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn measure(&mut self, now: Instant, done: u64) {
        self.0.push_back((now, done));
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Messages a second in the slowest and the fastest third of the window.
    fn spread(&self) -> Option<(u64, u64)> {
        let third = self.0.len() / 3;
        if third == 0 {
            return None;
        }
        let rates = (0..3).filter_map(|part| {
            let (from, before) = self.0.get(part * third)?;
            let (to, after) = self.0.get(((part + 1) * third).min(self.0.len() - 1))?;
            let millis = u64::try_from(to.duration_since(*from).as_millis()).ok()?;
            (after - before).saturating_mul(1000).checked_div(millis)
        });
        let rates: Vec<u64> = rates.collect();
        Some((*rates.iter().min()?, *rates.iter().max()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minutes_with_its_spread() {
        let (mut rate, begin) = (Rate::default(), Instant::now());
        rate.measure(begin, 0);
        assert_eq!(rate.spread(), None);
        for second in 1..=300 {
            let done = if second <= 240 { second * 100 } else { 24_000 + (second - 240) * 10 };
            rate.measure(begin + Duration::from_secs(second), done);
        }
        assert_eq!(rate.spread(), Some((10, 100)));
    }
}
