//! A whole run of the queue, in no time.

use std::collections::VecDeque;
use std::time::Duration;

use rebuildq::estimate::{Finished, History, Left, Running, Work, Workers};

use super::scenario::{SPEEDS, Scenario};

/// What is known at a time.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// Seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) history: &'a History,
    pub(crate) left: Left,
    /// The jobs that wait.
    pub(crate) order: &'a VecDeque<usize>,
}

/// When everything ended.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) all: f64,
    pub(crate) jobs: Vec<f64>,
}

/// A job in a worker's hands.
#[derive(Debug, Clone, Copy)]
struct Hand {
    job: usize,
    mailbox: usize,
    /// How many seconds of undisturbed work are left of the mailbox; none where it is not begun,
    /// because the queue is paused.
    rest: Option<f64>,
    since: f64,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    order: VecDeque<usize>,
    hands: Vec<Hand>,
    now: f64,
    /// The share of the work that is done.
    done: f64,
    bumps: &'a [(f64, f64)],
    was_paused: bool,
    history: History,
    ends: Ends,
}

/// Plays a run. At each of the times given, what is then known is told. A pause takes no time but
/// that in which what was begun is ended.
pub(crate) fn play(scenario: &Scenario, times: &[f64], tell: &mut dyn FnMut(&Known<'_>)) -> Ends {
    let mut run = Simulation {
        scenario,
        order: (0..scenario.jobs.len()).collect(),
        hands: Vec::new(),
        now: 0.0,
        done: 0.0,
        bumps: &scenario.bumps,
        was_paused: false,
        history: History::default(),
        ends: Ends { all: 0.0, jobs: vec![0.0; scenario.jobs.len()] },
    };
    let (all, mut times) = (scenario.seconds(), times.iter().peekable());
    loop {
        run.bump();
        run.claim();
        if run.hands.is_empty() {
            run.ends.all = run.now;
            return run.ends;
        }
        let speed = scenario.speed(run.done, run.hands.len());
        let next = run.hands.iter().filter_map(|hand| hand.rest).fold(f64::MAX, f64::min);
        // No longer than the speed holds for.
        let next = next.min(all / SPEEDS as f64 / run.hands.len() as f64);
        let told = times.next_if(|time| **time <= run.now + next / speed);
        let worked = told.map_or(next, |time| (time - run.now) * speed);
        run.now = told.copied().unwrap_or(run.now + next / speed);
        run.work(worked, all);
        if told.is_some() {
            let left = run.left();
            tell(&Known { at: run.now, history: &run.history, left, order: &run.order });
        }
    }
}

impl Simulation<'_> {
    fn bump(&mut self) {
        while let Some(((_, which), later)) =
            self.bumps.split_first().filter(|((at, _), _)| *at <= self.done)
        {
            if let Some(job) = self.order.remove((which * self.order.len() as f64) as usize) {
                self.order.push_front(job);
            }
            self.bumps = later;
        }
    }

    fn workers(&self) -> usize {
        let change = self.scenario.change.filter(|(from, _)| self.done >= *from);
        change.map_or(self.scenario.workers, |(_, workers)| workers)
    }

    fn is_pausing(&self) -> bool {
        !self.was_paused && self.scenario.pause.is_some_and(|at| self.done >= at)
    }

    fn claim(&mut self) {
        if self.is_pausing() && self.hands.iter().all(|hand| hand.rest.is_none()) {
            self.was_paused = true;
        }
        if self.is_pausing() {
            return;
        }
        while self.hands.len() < self.workers() {
            let Some(job) = self.order.pop_front() else { break };
            self.hands.push(Hand { job, mailbox: 0, rest: None, since: self.now });
        }
        for hand in &mut self.hands {
            if hand.rest.is_none() {
                hand.rest = Some(self.scenario.jobs[hand.job].mailboxes[hand.mailbox].seconds);
                hand.since = self.now;
            }
        }
    }

    /// Everyone works so many seconds, and takes up what comes next.
    fn work(&mut self, seconds: f64, all: f64) {
        let at_once = u32::try_from(self.hands.len()).unwrap();
        for hand in &mut self.hands {
            let Some(rest) = &mut hand.rest else { continue };
            *rest -= seconds;
            self.done += seconds / all;
            if *rest > 1e-9 {
                continue;
            }
            let work = self.scenario.jobs[hand.job].mailboxes[hand.mailbox].told;
            let took = Duration::from_secs_f64(self.now - hand.since);
            self.history.add(&Finished { work, took, at_once });
            (hand.mailbox, hand.rest) = (hand.mailbox + 1, None);
        }
        let (jobs, ends) = (&self.scenario.jobs, &mut self.ends.jobs);
        let now = self.now;
        self.hands.retain(|hand| {
            ends[hand.job] = now;
            hand.mailbox < jobs[hand.job].mailboxes.len()
        });
    }

    fn left(&self) -> Left {
        let number = u32::try_from(self.workers()).unwrap();
        let running = self.hands.iter().map(|hand| self.running(hand)).collect();
        let mut left = Left { workers: Workers { number, running }, ..Left::default() };
        for job in &self.order {
            left.add_waiting(self.scenario.jobs[*job].told);
        }
        left
    }

    fn running(&self, hand: &Hand) -> Running {
        let mailboxes = &self.scenario.jobs[hand.job].mailboxes[hand.mailbox..];
        let (in_hand, later) = mailboxes.split_first().unwrap();
        let done = hand.rest.map_or(0.0, |rest| 1.0 - rest / in_hand.seconds);
        // All are checked a while before the new index is written.
        let checked = in_hand.told.messages as f64 * (done / 0.93).min(1.0);
        Running {
            in_hand: in_hand.told,
            since: Duration::from_secs_f64(self.now - hand.since),
            checked: checked as u64,
            later: later.iter().map(|mailbox| mailbox.told).sum::<Work>(),
        }
    }
}
