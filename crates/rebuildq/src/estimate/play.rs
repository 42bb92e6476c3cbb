//! The rest of a run, played through with some luck or other.

use super::dice::Dice;
use super::history::Lesson;
use super::left::{Left, Running, Workers};
use super::work::Work;

/// How far the pace may be from any that was seen, as the scale of a logistic distribution of its
/// logarithm. Tried on simulated runs: less, and too many ends lie outside; more, and ranges are
/// wider than they have to be.
const SPREAD: f64 = 0.068;
/// With twice as many workers each is slower by 2 to the power of this at most.
const CROWDING: f64 = 0.25;
/// What a mailbox takes after its last message was checked, as a share of the whole.
const WRITING: (f64, f64) = (0.02, 0.14);
/// A mailbox goes on at the pace it has had, give or take this.
const OWN_PACE: (f64, f64) = (0.9, 1.1);
/// From this share on that is done a mailbox's own pace counts, and at so many times that share
/// nothing else does.
const PACE_SHOWS: f64 = 0.05;
const PACE_IS_KNOWN: f64 = 0.33;
/// So often it is asked how long a mailbox may take that is not done yet.
const TRIES: u8 = 8;

/// One way how the rest may go.
pub(super) struct Play<'a> {
    lesson: &'a Lesson,
    /// So many seconds a second of cost.
    pace: f64,
    crowding: f64,
    dice: Dice,
}

impl<'a> Play<'a> {
    /// One of so many plays, whose paces are spread evenly.
    pub(super) fn new(lesson: &'a Lesson, number: u16, plays: u16) -> Self {
        let mut dice = Dice::new(number.into());
        let share = (f64::from(number) + 0.5) / f64::from(plays);
        let beyond = (share / (1.0 - share)).powf(SPREAD);
        Self {
            pace: lesson.pace_ahead(&mut dice) * beyond,
            crowding: CROWDING * dice.share().powi(2),
            lesson,
            dice,
        }
    }

    /// After how many seconds all is done.
    pub(super) fn end_of_all(&mut self, left: &Left) -> f64 {
        let mut free = self.free(&left.workers);
        let mut latest: f64 = 0.0;
        for large in &left.large {
            let start = fill(&mut free.clone(), self.cost(&large.before));
            latest = latest.max(start + self.lasts(&large.work));
        }
        let last: Work = left.last.iter().copied().sum();
        fill(&mut free, self.cost(&(left.waiting - last)));
        for job in &left.last {
            let lasts = self.lasts(job);
            if let Some(next) = free.iter_mut().min_by(|one, other| one.total_cmp(other)) {
                *next += lasts;
            }
        }
        if let Some(end) = free.iter_mut().max_by(|one, other| one.total_cmp(other)) {
            *end = end.max(latest);
        }
        self.uncrowded(free)
    }

    /// After how many seconds a job is done that has so much before it.
    pub(super) fn end_of_one(&mut self, workers: &Workers, before: &Work, own: &Work) -> f64 {
        let mut free = self.free(workers);
        fill(&mut free, self.cost(before)) + self.lasts(own)
    }

    /// After how many seconds each worker is free.
    fn free(&mut self, workers: &Workers) -> Vec<f64> {
        let busy = workers.running.len();
        let mut free: Vec<_> =
            workers.running.iter().map(|running| self.rest(running, busy)).collect();
        let number = usize::try_from(workers.number).unwrap_or(usize::MAX);
        // More jobs than workers: some worker ends when its job does.
        free.resize(number.max(busy), 0.0);
        free
    }

    fn cost(&self, work: &Work) -> f64 {
        self.lesson.costs.of(work) * self.pace
    }

    /// How long a job takes, once it is begun.
    fn lasts(&mut self, work: &Work) -> f64 {
        self.cost(work) * self.lesson.luck.of_job(work.mailboxes, &mut self.dice)
    }

    /// How long a job that is worked on still takes.
    fn rest(&mut self, running: &Running, busy: usize) -> f64 {
        self.rest_in_hand(running, busy) + self.lasts(&running.later)
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn rest_in_hand(&mut self, running: &Running, busy: usize) -> f64 {
        let since = running.since.as_secs_f64();
        let checked = running.checked as f64 / running.in_hand.messages.max(1) as f64;
        let writing = self.dice.between(WRITING.0, WRITING.1);
        if checked >= 1.0 {
            // Nobody knows how long ago it began to write.
            return since * writing * self.dice.share();
        }
        let done = checked * (1.0 - writing);
        let cost = self.cost(&running.in_hand);
        if done > PACE_SHOWS {
            let known = (done / PACE_IS_KNOWN).min(1.0);
            let by_luck = cost * self.lesson.luck.of_one(&mut self.dice);
            let whole = known * since / done + (1.0 - known) * by_luck;
            let doubt = self.dice.between(OWN_PACE.0, OWN_PACE.1);
            // It has this pace among so many as are busy now.
            return whole * (1.0 - done) * doubt / self.crowded(busy);
        }
        let rest = (0..TRIES)
            .map(|_| cost * self.lesson.luck.of_one(&mut self.dice) - since)
            .find(|rest| *rest > 0.0);
        // It has taken longer than any other: as likely to be near its end as not.
        rest.unwrap_or_else(|| since * self.dice.share())
    }

    /// When the last worker ends, where the rest are faster when one has nothing left to do.
    fn uncrowded(&self, mut ends: Vec<f64>) -> f64 {
        ends.sort_by(f64::total_cmp);
        let workers = ends.len();
        let (mut now, mut before) = (0.0, 0.0);
        for (gone, end) in ends.into_iter().enumerate() {
            now += (end - before) * self.crowded(workers - gone);
            before = end;
        }
        now
    }

    /// How many times as long as of late anything takes with so many workers.
    #[expect(clippy::cast_precision_loss, reason = "a number of workers")]
    fn crowded(&self, workers: usize) -> f64 {
        (workers as f64 / self.lesson.at_once).powf(self.crowding)
    }
}

/// Shares work out so that all workers are free at the same time, but for those that are busy for
/// longer; returns when that is.
fn fill(free: &mut [f64], work: f64) -> f64 {
    free.sort_by(f64::total_cmp);
    let (mut sum, mut count, mut level) = (0.0, 0.0, 0.0);
    for &busy in &*free {
        if count > 0.0 && busy * count - sum >= work {
            break;
        }
        sum += busy;
        count += 1.0;
        level = (sum + work) / count;
    }
    for busy in free {
        *busy = busy.max(level);
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_to_those_who_are_free_first() {
        let assert_filled = |mut free: [f64; 3], work, level: f64, then: [f64; 3]| {
            assert!((fill(&mut free, work) - level).abs() < 1e-9);
            assert!(free.iter().zip(then).all(|(end, then)| (end - then).abs() < 1e-9), "{free:?}");
        };
        assert_filled([10.0, 0.0, 2.0], 4.0, 3.0, [3.0, 3.0, 10.0]);
        assert_filled([3.0, 3.0, 10.0], 0.0, 3.0, [3.0, 3.0, 10.0]);
        assert_filled([3.0, 3.0, 10.0], 32.0, 16.0, [16.0; 3]);
    }
}
