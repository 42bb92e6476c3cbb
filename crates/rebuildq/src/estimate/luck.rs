//! How much longer or shorter than it should a mailbox took.

use super::dice::Dice;

/// How many times as long as they should have single mailboxes took. One is drawn as often as it is
/// large: so the mean is that of all the work, and what small ones suffer from does not count for
/// large ones.
#[derive(Debug)]
pub(super) struct Luck {
    /// The costs of all up to each, and how it went; 1 in the mean.
    upto: Vec<(f64, f64)>,
}

impl Luck {
    /// Of costs, and durations.
    pub(super) fn of(measured: impl Iterator<Item = (f64, f64)>) -> Self {
        let measured: Vec<_> = measured.filter(|(cost, _)| *cost > 0.0).collect();
        let cost: f64 = measured.iter().map(|(cost, _)| cost).sum();
        let took: f64 = measured.iter().map(|(_, took)| took).sum();
        let mut upto = 0.0;
        let one = |(own, own_took): (f64, f64)| {
            upto += own;
            (upto, own_took / own * (cost / took))
        };
        Self { upto: measured.into_iter().map(one).collect() }
    }

    /// That of one mailbox.
    pub(super) fn of_one(&self, dice: &mut Dice) -> f64 {
        let all = self.upto.last().map_or(0.0, |(upto, _)| *upto);
        let at = dice.share() * all;
        let place = self.upto.partition_point(|(upto, _)| *upto < at);
        self.upto.get(place).map_or(1.0, |(_, luck)| *luck)
    }

    /// That of a job with so many mailboxes: half of it is that of all, where the user's were sized
    /// wrongly or lie on a slow disk, half is each one's own.
    pub(super) fn of_job(&self, mailboxes: u64, dice: &mut Dice) -> f64 {
        let draws = u32::try_from(mailboxes).unwrap_or(u32::MAX).clamp(1, 5);
        let own: f64 = (0..draws).map(|_| self.of_one(dice)).sum();
        0.5 * self.of_one(dice) + 0.5 * own / f64::from(draws)
    }
}
