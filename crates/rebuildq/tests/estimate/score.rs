//! How often estimates hold.

use std::fmt;
use std::time::Duration;

use rebuildq::estimate::{Range, until_all_is_done, until_one_is_done};

use super::scenario::Scenario;
use super::simulation::{Ends, Known, play};

/// An estimate every 2 % of the second half.
const ESTIMATES: usize = 25;
/// In a run in which it holds steadily, it does for 90 % of the second half.
const FEW: usize = 2;

/// How often estimates of the second halves of runs held.
#[derive(Debug, Default)]
pub(crate) struct Score {
    runs: usize,
    /// Runs in which each held …
    always: usize,
    /// … and in which all but a few did.
    steadily: usize,
    made: usize,
    held: usize,
    /// In how many runs the estimate of each of these times held.
    held_at: [usize; ESTIMATES],
    /// Half the widths of the ranges, and the times left, as shares of the whole run.
    width: f64,
    left: f64,
    /// Half the widths, as shares of the times left.
    relative: f64,
    /// Edges that were published anew.
    moved: usize,
    users_made: usize,
    users_held: usize,
}

/// What was told at a time: when all will be done, and when one of the users who wait.
struct Told {
    at: f64,
    all: Option<Range>,
    one: Option<(usize, Range)>,
}

impl Score {
    /// Plays a run twice: to learn how long it is, and to make the estimates.
    pub(crate) fn add(&mut self, seed: u64, scenario: &Scenario) {
        let end = play(scenario, &[], &mut |_| {}).all;
        let time = |number: usize| end * (0.5 + 0.5 * number as f64 / ESTIMATES as f64);
        let times: Vec<f64> = (0..ESTIMATES).map(time).collect();
        let mut told: Vec<Told> = Vec::new();
        let ends = play(scenario, &times, &mut |known| {
            let next = estimate(scenario, known, told.last());
            told.push(next);
        });
        let held: Vec<bool> = told.iter().map(|told| self.add_estimate(told, &ends)).collect();
        for (held_at, held) in self.held_at.iter_mut().zip(&held) {
            *held_at += usize::from(*held);
        }
        let held = held.into_iter().filter(|held| *held).count();
        for pair in told.windows(2) {
            if let [Told { at, all: Some(one), .. }, Told { at: then, all: Some(next), .. }] = pair
            {
                let ago = Duration::from_secs_f64(then - at);
                self.moved += usize::from(one.earliest.saturating_sub(ago) != next.earliest);
                self.moved += usize::from(one.latest.saturating_sub(ago) != next.latest);
            }
        }
        self.runs += 1;
        self.made += ESTIMATES;
        self.held += held;
        self.always += usize::from(held == ESTIMATES);
        self.steadily += usize::from(held + FEW >= ESTIMATES);
        if std::env::var_os("ESTIMATE_SEED").is_some() || held + FEW < ESTIMATES {
            println!("seed {seed}: {held} of {ESTIMATES} held; {}", scenario.told);
        }
    }

    fn add_estimate(&mut self, told: &Told, ends: &Ends) -> bool {
        if let Some((job, range)) = told.one {
            self.users_made += 1;
            self.users_held += usize::from(holds(range, ends.jobs[job] - told.at));
        }
        let left = ends.all - told.at;
        let Some(range) = told.all else { return false };
        let half = (range.latest.as_secs_f64() - range.earliest.as_secs_f64()) / 2.0;
        self.width += half / ends.all;
        self.left += left / ends.all;
        self.relative += half / left;
        if std::env::var_os("ESTIMATE_SEED").is_some() {
            println!("{left:.1} s left, told {:.1?} to {:.1?}", range.earliest, range.latest);
        }
        holds(range, left)
    }

    /// The share of all estimates that held.
    pub(crate) fn estimates(&self) -> f64 {
        self.held as f64 / self.made as f64
    }

    /// In which share of runs it did at the time at which fewest did.
    pub(crate) fn at_worst(&self) -> f64 {
        let fewest = self.held_at.iter().min().copied().unwrap_or_default();
        fewest as f64 / self.runs as f64
    }

    /// The share of runs in which they did for 90 % of the second half.
    pub(crate) fn steadily(&self) -> f64 {
        self.steadily as f64 / self.runs as f64
    }

    /// Half the mean width of the ranges, as a share of the mean time left; or the mean of each one's
    /// share, where that is larger.
    pub(crate) fn width(&self) -> f64 {
        (self.width / self.left).max(self.relative / self.made as f64)
    }

    /// The share of estimates for one user that held.
    pub(crate) fn users(&self) -> f64 {
        self.users_held as f64 / self.users_made as f64
    }
}

fn holds(range: Range, left: f64) -> bool {
    (range.earliest.as_secs_f64()..=range.latest.as_secs_f64()).contains(&left)
}

fn estimate(scenario: &Scenario, known: &Known<'_>, before: Option<&Told>) -> Told {
    let fresh = until_all_is_done(known.history, &known.left);
    let all = fresh.map(|fresh| match before {
        Some(Told { at, all: Some(published), .. }) => {
            fresh.steadied(*published, Duration::from_secs_f64(known.at - at))
        }
        _ => fresh,
    });
    // Somebody in the middle of those who wait.
    let place = known.order.len() / 2;
    let one = known.order.get(place).and_then(|job| {
        let told = |job: &usize| scenario.jobs[*job].told;
        let before = known.order.iter().take(place).map(told).sum();
        let workers = &known.left.workers;
        let range = until_one_is_done(known.history, workers, before, told(job))?;
        Some((*job, range))
    });
    Told { at: known.at, all, one }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize, all: usize| 100.0 * part as f64 / all as f64;
        write!(
            f,
            "{} runs: each estimate held in {:.1} % of them, 9 of 10 did in {:.1} %; of all, {:.1} \
             % held, at the worst time {:.1} %, ± {:.1} % of the time left wide (mean of each one's share: {:.1} %), {:.1} % \
             of edges moved; of those for one user, {:.1} % held",
            self.runs,
            share(self.always, self.runs),
            share(self.steadily, self.runs),
            share(self.held, self.made),
            100.0 * self.at_worst(),
            100.0 * self.width / self.left,
            100.0 * self.relative / self.made as f64,
            share(self.moved, 2 * (self.made - self.runs)),
            share(self.users_held, self.users_made),
        )
    }
}
