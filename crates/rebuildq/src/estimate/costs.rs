//! What a mailbox costs, in seconds of one worker.

use super::work::{FEATURES, Features, Work};

/// How much of the weight of what was measured the usual proportions have: just so much that what
/// the measurements cannot tell apart is shared out in the usual way.
const USUAL: f64 = 0.02;
/// Steps of the descent; with four unknowns it has settled long before.
const STEPS: usize = 60;

/// What each mailbox, message, message to read and byte to read costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Costs(Features);

impl Costs {
    /// As was measured on one machine (`testdata/rates.tsv`). Only the proportions matter.
    pub(super) const USUAL: Self = Self([5e-3, 10e-6, 60e-6, 4e-9]);

    /// How long this takes one worker, in seconds.
    pub(super) fn of(&self, work: &Work) -> f64 {
        self.of_features(&work.features())
    }

    fn of_features(&self, features: &Features) -> f64 {
        self.0.iter().zip(features).map(|(cost, number)| cost * number).sum()
    }
}

/// The sums from which [`Costs`] are fitted, by least squares. What was measured counts less the
/// larger it is: the variance of a duration grows with it, and so the durations fitted add up to
/// those measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    products: [Features; FEATURES],
    durations: Features,
    numbers: Features,
    seconds: f64,
}

impl Sums {
    pub(super) fn measure(&mut self, work: &Work, seconds: f64) {
        let (numbers, usual) = (work.features(), Costs::USUAL.of(work));
        if usual <= 0.0 {
            return;
        }
        let one = Self {
            products: numbers.map(|number| numbers.map(|other| number * other / usual)),
            durations: numbers.map(|number| number * seconds / usual),
            numbers,
            seconds,
        };
        self.add(&one, 1.0);
    }

    /// Adds others, of which each counts so much.
    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        for (products, others) in self.products.iter_mut().zip(&other.products) {
            add(products, others, weight);
        }
        add(&mut self.durations, &other.durations, weight);
        add(&mut self.numbers, &other.numbers, weight);
        self.seconds += weight * other.seconds;
    }

    /// What all that was measured should have taken.
    pub(super) fn cost(&self, costs: &Costs) -> f64 {
        costs.of_features(&self.numbers)
    }

    /// The costs that fit best, of those that are not negative; none before anything was measured.
    pub(super) fn fit(&self) -> Option<Costs> {
        let usually = self.cost(&Costs::USUAL);
        if usually <= 0.0 || self.seconds <= 0.0 {
            return None;
        }
        let usual = Costs::USUAL.0.map(|cost| cost * self.seconds / usually);
        let mut costs = usual;
        for _ in 0..STEPS {
            for feature in 0..FEATURES {
                if let Some(best) = self.best(feature, &costs, &usual) {
                    costs[feature] = best;
                }
            }
        }
        Some(Costs(costs))
    }

    /// The best cost of one feature, where the others cost so much.
    fn best(&self, feature: usize, costs: &Features, usual: &Features) -> Option<f64> {
        let products = self.products.get(feature)?;
        let own = products.get(feature)?;
        let all: f64 = products.iter().zip(costs).map(|(product, cost)| product * cost).sum();
        let others = all - own * costs.get(feature)?;
        let pull = USUAL * own;
        let best =
            (self.durations.get(feature)? + pull * usual.get(feature)? - others) / (own + pull);
        best.is_finite().then_some(best.max(0.0))
    }
}

fn add(numbers: &mut Features, others: &Features, weight: f64) {
    for (number, other) in numbers.iter_mut().zip(others) {
        *number += weight * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works() -> impl Iterator<Item = Work> {
        (1..200_u64).map(|number| Work {
            mailboxes: 1,
            messages: number * number % 977,
            to_read: number * 37 % 101,
            bytes: number * 7919 % 1_000_003,
        })
    }

    #[test]
    fn costs_are_found_again_however_unusual() {
        let costs = Costs([0.5, 2e-3, 1e-5, 3e-6]);
        let mut sums = Sums::default();
        works().for_each(|work| sums.measure(&work, costs.of(&work)));
        let fitted = sums.fit().unwrap();
        for work in works() {
            let (fitted, true_cost) = (fitted.of(&work), costs.of(&work));
            assert!((fitted / true_cost - 1.0).abs() < 0.2, "{work:?}: {fitted} for {true_cost}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_shared_out_as_usual_and_nothing_costs_less_than_nothing() {
        let work = Work { mailboxes: 1, messages: 100, to_read: 100, bytes: 1_000_000 };
        let mut sums = Sums::default();
        (0..50).for_each(|_| sums.measure(&work, 7.0 * Costs::USUAL.of(&work)));
        let fitted = sums.fit().unwrap();
        for (cost, usual) in fitted.0.into_iter().zip(Costs::USUAL.0) {
            assert!((cost / usual - 7.0).abs() < 1e-6, "{fitted:?}");
        }
        // The larger, the quicker: that cannot be.
        let mut sums = Sums::default();
        works().for_each(|work| sums.measure(&work, 1.0 / Costs::USUAL.of(&work)));
        assert!(sums.fit().unwrap().0.into_iter().all(|cost| cost >= 0.0));
    }

    #[test]
    fn nothing_is_fitted_to_nothing() {
        let mut sums = Sums::default();
        assert_eq!(sums.fit(), None);
        sums.measure(&Work::default(), 1.0);
        assert_eq!(sums.fit(), None);
    }
}
