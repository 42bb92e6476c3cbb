//! Damages of a store that a real server made, repaired and held against what evidence the damage
//! left: the four promises, whatever happened.
//!
//! A seed and a kind stand for their damage: `MAILSTORE_SEED=n` repeats one case of random kinds and
//! prints what the tool says, with `MAILSTORE_KIND=name` one
//! of that kind. `MAILSTORE_LONG=1` asks for a thousand random cases, each served and undone late too,
//! and twenty of each kind.

mod case;
mod conversations;
mod life;

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use mailstore_tests::damage::{Kind, RANDOM, Specimen};
use mailstore_tests::{Cyrus, long_form};

use case::Case;

/// Every so many cases are served by a real server too, which takes far longer than the rest.
const SERVED: usize = 8;

/// The same of the random ones, of which the long form serves each.
fn random_served() -> usize {
    if long_form() { 1 } else { SERVED }
}

/// A variable of the environment that narrows the cases down.
fn only(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The cases to try with (every even seed) or without conversations.
fn random_cases(conversations: bool) -> Result<Vec<(String, u64)>> {
    let kind = only("MAILSTORE_KIND").unwrap_or_else(|| RANDOM.to_string());
    let seeds = match only("MAILSTORE_SEED") {
        Some(seed) => {
            let seed = seed.parse().context("MAILSTORE_SEED is a number")?;
            seed..=seed
        }
        None => 1..=if long_form() { 1000 } else { 40 },
    };
    let wanted = seeds.filter(|seed: &u64| seed.is_multiple_of(2) == conversations);
    Ok(wanted.map(|seed| (kind.clone(), seed)).collect())
}

fn single_cases(conversations: bool) -> Vec<(String, u64)> {
    let seeds = 1..=if long_form() { 20 } else { 2 };
    let seeds: Vec<u64> =
        seeds.filter(|seed: &u64| seed.is_multiple_of(2) == conversations).collect();
    let kinds = Kind::all().into_iter();
    kinds.flat_map(|kind| seeds.iter().map(move |seed| (kind.name.to_string(), *seed))).collect()
}

/// Damages, repairs and checks copies of one store, two at a time.
fn damage_and_repair(
    cyrus: &Cyrus,
    conversations: bool,
    cases: &[(String, u64)],
    served: usize,
) -> Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let specimen = Specimen::made(cyrus, conversations, 1)?;
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<String>> {
        let mut failures = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((kind, seed)) = cases.get(number) else { return Ok(failures) };
            let case = Case::of(&specimen, kind, *seed)?;
            let served = cases.len() == 1 || number.is_multiple_of(served);
            let told = case.told();
            let mut broken = Vec::new();
            // One that cannot even be looked at does not keep the others from being tried.
            let mut tell = |told: Result<Vec<String>>| match told {
                Ok(told) => broken.extend(told),
                Err(error) => broken.push(format!("{error:#}")),
            };
            tell(case.broken_promises(served));
            if served {
                let again = Case::of(&specimen, kind, *seed)?;
                tell(again.broken_promises_of_a_late_undo(*seed));
            }
            if !broken.is_empty() {
                let broken = broken.join("\n  ");
                failures
                    .push(format!("MAILSTORE_KIND={kind} MAILSTORE_SEED={seed}\n{told}  {broken}"));
            }
        }
    };
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(worker));
        for worker in workers {
            failures.extend(worker.join().expect("a failed check is no panic")?);
        }
        anyhow::Ok(())
    })?;
    failures.sort();
    let (count, of) = (failures.len(), cases.len());
    assert!(failures.is_empty(), "{count} of {of} break a promise:\n{}", failures.join("\n"));
    Ok(())
}

#[test]
fn whatever_is_damaged_comes_back_as_far_as_evidence_is_left() -> Result<()> {
    let name = "whatever_is_damaged_comes_back_as_far_as_evidence_is_left";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, false, &random_cases(false)?, random_served())
}

#[test]
fn with_conversations_flags_and_tombstones_come_back_without_their_records() -> Result<()> {
    let name = "with_conversations_flags_and_tombstones_come_back_without_their_records";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, true, &random_cases(true)?, random_served())
}

#[test]
fn every_kind_of_damage_alone_costs_no_more_than_it_must() -> Result<()> {
    let name = "every_kind_of_damage_alone_costs_no_more_than_it_must";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, false, &single_cases(false), 4 * SERVED)
}

#[test]
fn every_kind_of_damage_alone_costs_even_less_with_conversations() -> Result<()> {
    let name = "every_kind_of_damage_alone_costs_even_less_with_conversations";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, true, &single_cases(true), 4 * SERVED)
}
