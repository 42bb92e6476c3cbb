//! How far the work is: a bar on a terminal, plain lines at intervals elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle,
};

/// How often a line is written where there is no terminal.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// Over how long the rate is measured.
const WINDOW: Duration = Duration::from_mins(3);
/// How often it is measured.
const SAMPLE: Duration = Duration::from_millis(500);

/// What has been done, of how much. Those who work only count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    working: AtomicBool,
    mailboxes: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    mailboxes_expected: AtomicU64,
    messages_expected: AtomicU64,
}

impl Counts {
    pub(crate) fn expect(&self, mailboxes: usize, messages: u64) {
        let mailboxes = u64::try_from(mailboxes).unwrap_or(u64::MAX);
        self.mailboxes_expected.store(mailboxes, Ordering::Relaxed);
        self.messages_expected.store(messages, Ordering::Relaxed);
        self.working.store(true, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn mailbox_done(&self) {
        self.mailboxes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.working.store(false, Ordering::Relaxed);
    }
}

/// Shows the counts on stderr.
pub(crate) struct ProgressDisplay {
    tool: &'static str,
    counts: Arc<Counts>,
    rate: Rate,
    manner: Manner,
}

enum Manner {
    /// A bar that is drawn while work goes on.
    Bar {
        bar: ProgressBar,
        drawn: bool,
    },
    Lines {
        interval: Duration,
        last: Option<Instant>,
    },
}

impl ProgressDisplay {
    /// A bar on a terminal.
    pub(crate) fn on(
        terminal: ProgressDrawTarget,
        tool: &'static str,
        counts: Arc<Counts>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(None, terminal);
        if let Ok(style) = ProgressStyle::with_template("[{wide_bar}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { tool, counts, rate: Rate::default(), manner: Manner::Bar { bar, drawn: false } }
    }

    /// Lines, so often.
    pub(crate) fn in_lines(interval: Duration, tool: &'static str, counts: Arc<Counts>) -> Self {
        Self { tool, counts, rate: Rate::default(), manner: Manner::Lines { interval, last: None } }
    }

    /// Shows what has been counted since, if there is work going on and it is time: on the
    /// terminal, or by a line that the caller is to write.
    pub(crate) fn refresh(&mut self) -> Option<String> {
        if !self.counts.working.load(Ordering::Relaxed) {
            self.clear();
            return None;
        }
        let (now, done) = (Instant::now(), self.counts.messages.load(Ordering::Relaxed));
        if !self.rate.measure(now, done) {
            return None;
        }
        let (line, all) = (self.line(done), self.expected().max(done));
        match &mut self.manner {
            Manner::Bar { bar, drawn } => {
                if !*drawn {
                    bar.reset();
                    *drawn = true;
                }
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message(line);
                None
            }
            Manner::Lines { interval, last } => {
                let due = now.duration_since(*last.get_or_insert(now)) >= *interval;
                due.then(|| {
                    *last = Some(now);
                    let time = jiff::Timestamp::now().strftime("%H:%M:%SZ");
                    format!("{time} {}: {line}\n", self.tool)
                })
            }
        }
    }

    /// Writes something without the bar in the way.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.manner {
            Manner::Bar { bar, drawn: true } => bar.suspend(write),
            _ => write(),
        }
    }

    /// Takes the bar away, until work goes on.
    pub(crate) fn clear(&mut self) {
        // One that was never drawn would be none for good: it counts as finished.
        if let Manner::Bar { bar, drawn: drawn @ true } = &mut self.manner {
            bar.finish_and_clear();
            *drawn = false;
        }
    }

    fn expected(&self) -> u64 {
        self.counts.messages_expected.load(Ordering::Relaxed)
    }

    fn line(&self, done: u64) -> String {
        let mailboxes = self.counts.mailboxes.load(Ordering::Relaxed);
        let of = self.counts.mailboxes_expected.load(Ordering::Relaxed);
        let read = HumanBytes(self.counts.bytes.load(Ordering::Relaxed));
        // A mailbox whose index is gone has more messages than was foreseen.
        let all = self.expected().max(done);
        let left = self.rate.spread().map_or_else(
            || "time left not known yet".to_owned(),
            |(slow, fast)| time_left(all - done, slow, fast),
        );
        let (done, all) = (HumanCount(done), HumanCount(all));
        format!("{mailboxes}/{of} mailboxes, {done}/{all} messages, {read} read, {left}")
    }
}

fn time_left(messages: u64, slow: u64, fast: u64) -> String {
    let time = |rate: u64| messages.checked_div(rate).map(Duration::from_secs);
    match (time(fast), time(slow)) {
        (Some(least), Some(most)) if least != most => {
            format!("{fast}/s, {} to {} left", HumanDuration(least), HumanDuration(most))
        }
        (Some(time), _) => format!("{fast}/s, {} left", HumanDuration(time)),
        _ => "time left not known".to_owned(),
    }
}

/// The rate over the last minutes, with its spread.
#[derive(Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Takes a sample, unless the last one was just now.
    fn measure(&mut self, now: Instant, done: u64) -> bool {
        if self.0.back().is_some_and(|(at, _)| now.duration_since(*at) < SAMPLE) {
            return false;
        }
        self.0.push_back((now, done));
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.0.pop_front();
        }
        true
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
    use std::io;
    use std::sync::Mutex;

    use indicatif::TermLike;

    use super::*;

    /// A terminal of one line, and what it shows.
    #[derive(Debug, Clone, Default)]
    struct OneLine(Arc<Mutex<String>>);

    impl OneLine {
        fn contents(&self) -> String {
            self.0.lock().unwrap().trim_end().to_owned()
        }
    }

    impl TermLike for OneLine {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Once a bar was cleared before there was work, and then counted as finished for good.
    #[test]
    fn a_terminal_shows_a_bar_while_work_goes_on_and_at_no_other_time() {
        let (terminal, counts) = (OneLine::default(), Arc::<Counts>::default());
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut display = ProgressDisplay::on(target, "tool", Arc::clone(&counts));
        assert_eq!(display.refresh(), None);
        display.above(|| {});
        assert_eq!(terminal.contents(), "");
        counts.expect(3, 100);
        assert_eq!(display.refresh(), None);
        let shown = terminal.contents();
        assert!(
            shown.starts_with('[') && shown.contains("0/3 mailboxes, 0/100 messages"),
            "{shown}"
        );
        display.above(|| assert_eq!(terminal.contents(), ""));
        counts.end();
        assert_eq!(display.refresh(), None);
        assert_eq!(terminal.contents(), "");
    }

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

    #[test]
    fn the_time_that_is_left_has_a_spread() {
        assert_eq!(time_left(600, 10, 10), "10/s, 60 seconds left");
        assert_eq!(time_left(7200, 1, 2), "2/s, 60 minutes to 2 hours left");
        assert_eq!(time_left(7200, 0, 0), "time left not known");
    }
}
