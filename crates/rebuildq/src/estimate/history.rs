//! What was measured so far, in bounded memory.

use std::time::Duration;

use super::costs::{Costs, Sums};
use super::dice::Dice;
use super::luck::Luck;
use super::work::Work;

/// At most so many spans are kept; then each two that follow each other become one.
const SPANS: usize = 64;
/// At most so many single measurements are kept; then every second is dropped.
const SINGLES: usize = 256;
/// How long the first spans are, in seconds of work.
const FIRST_SPAN: f64 = 0.25;
/// No estimate before so many mailboxes were measured …
const ENOUGH_MAILBOXES: u64 = 20;
/// … in so many spans.
const ENOUGH_SPANS: usize = 6;
/// What was measured counts half as much as what came after this share of all the work.
const HALF_LIFE: f64 = 0.045;
/// How things went is told of stretches of the run that are so long.
const STRETCHES: usize = 12;

/// A mailbox that was rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// What triage had told of it.
    pub work: Work,
    /// How long it took: from when its worker was free for it until it was free again.
    pub took: Duration,
    /// How many jobs were worked on when it ended, its own included.
    pub at_once: u32,
}

/// What was measured so far, in the order in which it ended. However much that is, it takes about
/// 30 KB of memory.
#[derive(Debug, Clone)]
pub struct History {
    spans: Vec<Span>,
    /// How long a span is, in seconds of work.
    span: f64,
    /// What was told and how many seconds it took, of every so many-th mailbox.
    singles: Vec<(Work, f64)>,
    every: u64,
    mailboxes: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { spans: Vec::new(), span: FIRST_SPAN, singles: Vec::new(), every: 1, mailboxes: 0 }
    }
}

impl History {
    /// Takes in what has ended.
    pub fn add(&mut self, finished: &Finished) {
        let seconds = finished.took.as_secs_f64().max(1e-6);
        if self.mailboxes.is_multiple_of(self.every) {
            self.singles.push((finished.work, seconds));
        }
        self.mailboxes = self.mailboxes.saturating_add(1);
        if self.singles.len() > SINGLES {
            keep_every_second(&mut self.singles);
            self.every = self.every.saturating_mul(2);
        }
        if self.spans.last().is_none_or(|last| last.seconds >= self.span) {
            self.spans.push(Span::default());
        }
        if let Some(last) = self.spans.last_mut() {
            last.add(finished, seconds);
        }
        if self.spans.len() > SPANS {
            self.spans = self.spans.chunks(2).map(Span::of_all).collect();
            self.span *= 2.0;
        }
    }

    /// What is to be learnt from it; nothing before enough was measured.
    pub(super) fn lesson(&self) -> Option<Lesson> {
        if self.mailboxes < ENOUGH_MAILBOXES || self.spans.len() < ENOUGH_SPANS {
            return None;
        }
        let lately = self.lately();
        let costs = lately.sums.fit()?;
        let luck = Luck::of(self.singles.iter().map(|(work, took)| (costs.of(work), *took)));
        let stretches = self.spans.windows(self.spans.len().div_ceil(STRETCHES));
        let lesson = Lesson {
            costs,
            pace: lately.pace(&costs),
            stretches: stretches.map(|spans| Span::of_all(spans).pace(&costs)).collect(),
            at_once: lately.at_once / lately.seconds,
            luck,
        };
        lesson.pace.is_finite().then_some(lesson)
    }

    /// All spans together, of which each counts less the longer ago it is.
    fn lately(&self) -> Span {
        let all: f64 = self.spans.iter().map(|span| span.seconds).sum();
        let (mut lately, mut after) = (Span::default(), 0.0);
        for span in self.spans.iter().rev() {
            lately.join(span, 0.5_f64.powf(after / (all * HALF_LIFE)));
            after += span.seconds;
        }
        lately
    }
}

fn keep_every_second<T>(values: &mut Vec<T>) {
    let mut is_kept = false;
    values.retain(|_| {
        is_kept = !is_kept;
        is_kept
    });
}

/// What ended one after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    sums: Sums,
    seconds: f64,
    /// Seconds, each times the jobs that were worked on.
    at_once: f64,
}

impl Span {
    fn of_all(spans: &[Self]) -> Self {
        let mut all = Self::default();
        for span in spans {
            all.join(span, 1.0);
        }
        all
    }

    fn add(&mut self, finished: &Finished, seconds: f64) {
        self.sums.measure(&finished.work, seconds);
        self.seconds += seconds;
        self.at_once += seconds * f64::from(finished.at_once.max(1));
    }

    fn join(&mut self, other: &Self, weight: f64) {
        self.sums.add(&other.sums, weight);
        self.seconds += weight * other.seconds;
        self.at_once += weight * other.at_once;
    }

    /// Seconds that went by for each second of cost.
    fn pace(&self, costs: &Costs) -> f64 {
        self.seconds / self.sums.cost(costs).max(1e-9)
    }
}

/// What is to be learnt from a history.
#[derive(Debug)]
pub(super) struct Lesson {
    /// What a mailbox costs.
    pub(super) costs: Costs,
    /// How many jobs were worked on at once of late, in the mean; 1 or more.
    pub(super) at_once: f64,
    /// How much longer or shorter single mailboxes took.
    pub(super) luck: Luck,
    /// Seconds that went by of late for each second of cost.
    pace: f64,
    /// The same of each stretch of the run.
    stretches: Vec<f64>,
}

impl Lesson {
    /// A pace that is between that of late and that of some stretch.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place in a short list"
    )]
    pub(super) fn pace_ahead(&self, dice: &mut Dice) -> f64 {
        let place = (dice.share() * self.stretches.len() as f64) as usize;
        let stretch = self.stretches.get(place).copied().unwrap_or(self.pace);
        dice.between(self.pace, stretch)
    }
}
