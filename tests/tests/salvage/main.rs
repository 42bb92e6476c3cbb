//! Random combined damages of a store that a real server made, repaired and held against what
//! evidence the damage left: the four promises, whatever happened.
//!
//! A seed stands for its damages; `MAILSTORE_SEED=n` repeats one case, `MAILSTORE_LONG=1` asks for a
//! thousand of them, and `MAILSTORE_EVERY_KIND=1` also for the kinds in [`NOT_YET`].

mod case;

use anyhow::{Context as _, Result};
use mailstore_tests::damage::{Kind, Specimen};
use mailstore_tests::{Cyrus, long_form};

use case::Case;

/// Kinds of damage from which not all that there is evidence for comes back yet. To become empty.
const NOT_YET: &[&str] = &[];

/// Every so many cases are served by a real server too, which takes far longer than the rest.
const SERVED: u64 = 8;

fn left_out() -> &'static [&'static str] {
    if std::env::var_os("MAILSTORE_EVERY_KIND").is_some() { &[] } else { NOT_YET }
}

/// The seeds to try: every other one, from `first` on.
fn seeds(first: u64) -> Result<Vec<u64>> {
    if let Some(only) = std::env::var_os("MAILSTORE_SEED") {
        let only: u64 = only.to_string_lossy().parse().context("MAILSTORE_SEED is a number")?;
        return Ok(if only % 2 == first % 2 { vec![only] } else { Vec::new() });
    }
    let cases = if long_form() { 1000 } else { 40 };
    Ok((first..=cases).step_by(2).collect())
}

fn damage_and_repair(cyrus: &Cyrus, conversations: bool) -> Result<()> {
    let seeds = seeds(if conversations { 2 } else { 1 })?;
    if seeds.is_empty() {
        return Ok(());
    }
    let specimen = Specimen::made(cyrus, conversations, 1)?;
    let mut failures = Vec::new();
    for &seed in &seeds {
        let served = seeds.len() == 1 || (seed / 2).is_multiple_of(SERVED);
        let case = Case::of(&specimen, seed, left_out())?;
        let broken = case.broken_promises(served).with_context(|| format!("seed {seed}"))?;
        if !broken.is_empty() {
            let damages = case.told();
            failures.push(format!("MAILSTORE_SEED={seed}\n{damages}  {}", broken.join("\n  ")));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases break a promise:\n{}",
        failures.len(),
        seeds.len(),
        failures.join("\n")
    );
    Ok(())
}

#[test]
fn whatever_is_damaged_comes_back_as_far_as_evidence_is_left() -> Result<()> {
    let name = "whatever_is_damaged_comes_back_as_far_as_evidence_is_left";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, false)
}

#[test]
fn with_conversations_flags_and_tombstones_come_back_without_their_records() -> Result<()> {
    let name = "with_conversations_flags_and_tombstones_come_back_without_their_records";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    damage_and_repair(&cyrus, true)
}

#[test]
fn kinds_left_out_are_kinds_that_exist() {
    for name in NOT_YET {
        assert!(Kind::named(name).is_ok(), "{name}");
    }
}
