//! What a simulated run is made of. Each thing that may happen happens in a quarter of the runs.

use rebuildq::estimate::Work;

use super::dice::Dice;
use super::measured::Measured;

/// Over the course of a run, speed changes so often.
pub(crate) const SPEEDS: usize = 200;
const QUARTER: f64 = 0.25;

/// A mailbox: what triage tells, and how long it takes one worker when nothing else goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mailbox {
    pub(crate) told: Work,
    pub(crate) seconds: f64,
}

/// A user's mailboxes, and all that triage tells of them.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) told: Work,
}

/// A run. Times are shares of all the work.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// In the order in which they wait at first.
    pub(crate) jobs: Vec<Job>,
    pub(crate) workers: usize,
    /// From when on there are how many workers.
    pub(crate) change: Option<(f64, usize)>,
    /// When the queue is paused.
    pub(crate) pause: Option<f64>,
    /// When which of the jobs that wait is put first.
    pub(crate) bumps: Vec<(f64, f64)>,
    /// About how many workers the machine has room for.
    room: f64,
    speeds: Vec<f64>,
    /// In words.
    pub(crate) told: String,
}

impl Scenario {
    pub(crate) fn new(seed: u64, measured: &[Measured]) -> Self {
        let mut dice = Dice::new(seed);
        let (users, workers) = (dice.scale(200.0, 20_000.0) as usize, 1 + dice.below(16));
        let circumstances = dice.below(measured.len());
        // From a fast disk to one a hundred times as slow.
        let slower = dice.scale(1.0, 100.0);
        let mut jobs: Vec<_> =
            (0..users).map(|_| Job::new(&measured[circumstances], slower, &mut dice)).collect();
        let is_largest_last = dice.chance(QUARTER);
        if is_largest_last {
            let seconds = |job: &Job| job.mailboxes.iter().map(|m| m.seconds).sum::<f64>();
            let largest =
                (0..users).max_by(|a, b| seconds(&jobs[*a]).total_cmp(&seconds(&jobs[*b])));
            jobs.swap(largest.unwrap(), users - 1 - dice.below(workers));
        }
        let room = workers as f64 * dice.between(0.75, 3.0);
        let change = dice.chance(QUARTER).then(|| {
            let other = if dice.chance(0.5) { workers + 1 } else { (workers - 1).max(1) };
            (dice.between(0.1, 0.5), other)
        });
        let pause = dice.chance(QUARTER).then(|| dice.between(0.1, 0.9));
        let mut bumps: Vec<_> = (0..dice.below(10)).map(|_| (dice.share(), dice.share())).collect();
        bumps.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (speeds, drift) = speeds(&mut dice);
        let told = format!(
            "{users} users, {workers} workers (change {change:.2?}), room for {room:.1}, {drift}, \
             circumstances {circumstances}, largest last: {is_largest_last}, pause {pause:.2?}"
        );
        Self { jobs, workers, change, pause, bumps, room, speeds, told }
    }

    /// How long all takes one worker.
    pub(crate) fn seconds(&self) -> f64 {
        self.jobs.iter().flat_map(|job| &job.mailboxes).map(|mailbox| mailbox.seconds).sum()
    }

    /// How fast each of so many workers is, when so much of the work is done.
    pub(crate) fn speed(&self, done: f64, busy: usize) -> f64 {
        let step = (done * SPEEDS as f64) as usize;
        let slow = |busy: f64| (1.0 + (busy / self.room).powi(4)).powf(0.25);
        self.speeds[step.min(SPEEDS - 1)] * slow(1.0) / slow(busy as f64)
    }
}

impl Job {
    fn new(measured: &Measured, slower: f64, dice: &mut Dice) -> Self {
        let mailboxes = dice.lognormal(6.0, 0.9).clamp(1.0, 200.0) as usize;
        let messages = dice.lognormal(1500.0, 1.3).clamp(1.0, 500_000.0);
        let shares: Vec<f64> = (0..mailboxes).map(|_| dice.lognormal(1.0, 1.5)).collect();
        let all: f64 = shares.iter().sum();
        let (damage, error) = (dice.below(4), dice.lognormal(1.0, 0.2));
        let mut mailbox = |share: f64| {
            let messages = (messages * share / all).ceil();
            let damage = if dice.chance(0.8) { damage } else { dice.below(4) };
            let read = match damage {
                0 | 2 => messages,
                1 => (messages * dice.between(0.1, 1.0)).ceil(),
                _ => 0.0,
            };
            let like = measured.like(damage, messages, read, dice);
            // Triage errs, here for the user as a whole, there for each mailbox.
            let told = read * error * dice.lognormal(1.0, 0.25);
            let bytes = told * dice.lognormal(15_000.0, 0.5) * like.told;
            let told = Work {
                mailboxes: 1,
                messages: messages as u64,
                to_read: told.min(messages) as u64,
                bytes: bytes as u64,
            };
            Mailbox { told, seconds: like.seconds * slower }
        };
        let mailboxes: Vec<_> = shares.into_iter().map(&mut mailbox).collect();
        let told = mailboxes.iter().map(|mailbox| mailbox.told).sum();
        Self { mailboxes, told }
    }
}

/// Speed wanders slowly by some 8 %. It may besides be 30 % lower for a stretch (or higher, once in
/// four such runs), and fall all the while, as users come back and load the server.
fn speeds(dice: &mut Dice) -> (Vec<f64>, String) {
    let falls_to = if dice.chance(QUARTER) { dice.between(0.7, 1.0) } else { 1.0 };
    let stretch = dice.chance(QUARTER).then(|| {
        let from = dice.between(0.1, 0.7);
        (from, from + dice.between(0.1, 0.5), if dice.chance(0.75) { 0.7 } else { 1.3 })
    });
    let mut wander = 0.0;
    let mut speed = |step: usize| {
        let at = step as f64 / SPEEDS as f64;
        wander = 0.95 * wander + 0.025 * dice.normal();
        let here = stretch.filter(|(from, to, _)| (*from..*to).contains(&at));
        (1.0 + (falls_to - 1.0) * at) * here.map_or(1.0, |(_, _, speed)| speed) * wander.exp()
    };
    let speeds = (0..SPEEDS).map(&mut speed).collect();
    (speeds, format!("stretch {stretch:.2?}, speed falls to {falls_to:.2}"))
}
