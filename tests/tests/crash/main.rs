//! One mailbox's repair, stopped at every step it makes on the disk: killed before it, killed with
//! the write before it half done, or told that the disk fails. Whatever the step, the real server
//! serves the mailbox as it was or as it will be, and the next run finishes the work.
#![allow(clippy::print_stderr, reason = "a test tells its seed and what it tried")]

mod scene;
mod undo;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, long_form};
use scene::{Case, Damage, Scene, Served, State};

/// The Cyrus to test with, or the end of the test.
macro_rules! cyrus_or_skip {
    ($test:literal) => {
        match Cyrus::available_or_skip($test) {
            Some(cyrus) => cyrus,
            None => return Ok(()),
        }
    };
}

/// How many of the steps of a repair are tried where time is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thoroughness {
    EveryStep,
    /// The steps that change what a server sees, and every so many others.
    Sample(usize),
}

#[test]
fn a_repair_of_index_and_cache_survives_a_kill_at_every_step() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_repair_of_index_and_cache_survives_a_kill_at_every_step");
    kill_at_each_step(&cyrus, Layout::ById, Damage::CacheGarbage, Thoroughness::EveryStep)
}

#[test]
fn a_rebuild_of_a_lost_index_survives_a_kill_at_any_step() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_rebuild_of_a_lost_index_survives_a_kill_at_any_step");
    kill_at_each_step(&cyrus, Layout::ByName, Damage::IndexLost, Thoroughness::Sample(6))
}

#[test]
fn a_repair_that_replaces_the_header_too_survives_a_kill_at_any_step() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_repair_that_replaces_the_header_too_survives_a_kill_at_any_step");
    kill_at_each_step(&cyrus, Layout::ById, Damage::KeywordUnnamed, Thoroughness::Sample(6))
}

#[test]
fn a_repair_that_renumbers_a_message_survives_a_kill_at_every_step() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_repair_that_renumbers_a_message_survives_a_kill_at_every_step");
    kill_at_each_step(&cyrus, Layout::ById, Damage::RecordLost, Thoroughness::EveryStep)
}

#[test]
fn a_prune_survives_a_kill_at_any_step_and_can_be_undone() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_prune_survives_a_kill_at_any_step_and_can_be_undone");
    kill_at_each_step(&cyrus, Layout::ById, Damage::MessagesMissing, Thoroughness::Sample(6))
}

#[test]
fn messages_that_are_put_in_their_places_survive_a_kill_at_every_step() -> Result<()> {
    let cyrus =
        cyrus_or_skip!("messages_that_are_put_in_their_places_survive_a_kill_at_every_step");
    kill_at_each_step(&cyrus, Layout::ById, Damage::Misplaced, Thoroughness::Sample(6))
}

#[test]
fn a_disk_that_fails_at_any_step_is_told_and_leaves_the_mailbox_before_or_after() -> Result<()> {
    let cyrus = cyrus_or_skip!(
        "a_disk_that_fails_at_any_step_is_told_and_leaves_the_mailbox_before_or_after"
    );
    for (damage, thoroughness) in [
        (Damage::KeywordUnnamed, Thoroughness::Sample(4)),
        (Damage::RecordLost, Thoroughness::Sample(4)),
        (Damage::MessagesMissing, Thoroughness::Sample(8)),
        (Damage::Misplaced, Thoroughness::Sample(12)),
    ] {
        fail_at_each_step(&cyrus, Layout::ById, damage, thoroughness)?;
    }
    Ok(())
}

/// What a repair does and leads to when nobody disturbs it.
struct Undisturbed {
    steps: Vec<String>,
    after: Served,
}

impl Undisturbed {
    fn of(scene: &mut Scene, damage: Damage) -> Result<Self> {
        let case = scene.damaged(damage)?;
        let before = case.state(scene)?;
        let run = case.repair_to(scene, "count")?;
        ensure!(run.status == Some(0), "the undisturbed repair: {run:?}");
        let after = case.state(scene)?;
        ensure!(after.index != before.index, "nothing was repaired: {run:?}");
        case.must_be_sound(scene)?;
        case.undo(scene)?;
        scene.clear_runs()?;
        Ok(Self { steps: run.steps(), after: after.served })
    }

    /// The first step behind the note that nothing is left to do: what comes then only saves the next
    /// run time, and people questions.
    fn repaired_by(&self) -> usize {
        let is_journal = |step: &String| step.ends_with("/journal.jsonl");
        let noted = self.steps.iter().rposition(is_journal);
        // The folder's entries are made durable too.
        noted.map_or(self.steps.len(), |step| step + 2)
    }

    fn chosen(&self, thoroughness: Thoroughness) -> Vec<usize> {
        let all = 0..self.steps.len();
        let every = match thoroughness {
            Thoroughness::Sample(every) if !long_form() => every,
            _ => return all.collect(),
        };
        // A step that gives, moves or takes a name, and the one behind it.
        let names = |step: &usize| {
            ["link", "rename", "move"].iter().any(|verb| self.steps[*step].starts_with(verb))
        };
        let steps = all.clone().filter(names).flat_map(|step| [step, step + 1]);
        let chosen: BTreeSet<usize> = steps.chain(all.clone().step_by(every)).collect();
        chosen.into_iter().filter(|step| all.contains(step)).collect()
    }
}

fn kill_at_each_step(
    cyrus: &Cyrus,
    layout: Layout,
    damage: Damage,
    thoroughness: Thoroughness,
) -> Result<()> {
    let mut scene = Scene::new(cyrus, layout)?;
    let undisturbed = Undisturbed::of(&mut scene, damage)?;
    let (mut kills, mut torn, mut as_before) = (0, 0, 0);
    for step in undisturbed.chosen(thoroughness) {
        let was_written = step > 0 && undisturbed.steps[step - 1].starts_with("write");
        let ends = [Some(format!("kill:{step}")), was_written.then(|| format!("tear:{step}"))];
        for end in ends.into_iter().flatten() {
            let what = format!("{damage:?}, {end}, before: {}", undisturbed.steps[step]);
            let stays = killed(&mut scene, damage, &end, &undisturbed).context(what)?;
            kills += 1;
            torn += u32::from(end.starts_with("tear"));
            as_before += u32::from(stays);
        }
    }
    ensure!(as_before > 0 && as_before < kills, "kills on one side of the commit only");
    eprintln!(
        "{damage:?}: {} steps, {kills} kills ({torn} in the middle of a write), {as_before} of \
         them before the commit",
        undisturbed.steps.len()
    );
    scene.end()
}

/// Whether the mailbox was left as it had been.
fn killed(scene: &mut Scene, damage: Damage, end: &str, undisturbed: &Undisturbed) -> Result<bool> {
    let case = scene.damaged(damage)?;
    let before = case.state(scene)?;
    let run = case.repair_to(scene, end)?;
    ensure!(run.status.is_none(), "it was not killed: {run:?}");
    let is_as_before = finish(scene, &case, &before, undisturbed)?;
    scene.clear_runs()?;
    Ok(is_as_before)
}

fn fail_at_each_step(
    cyrus: &Cyrus,
    layout: Layout,
    damage: Damage,
    thoroughness: Thoroughness,
) -> Result<()> {
    let mut scene = Scene::new(cyrus, layout)?;
    let undisturbed = Undisturbed::of(&mut scene, damage)?;
    let mut failures = 0;
    for step in undisturbed.chosen(thoroughness) {
        let errors = [
            ("EIO", "Input/output error"),
            ("ENOSPC", "No space left"),
            ("EDQUOT", "quota exceeded"),
        ];
        for (errno, words) in errors {
            let failing = &undisturbed.steps[step];
            let what = format!("{damage:?}, {errno} at step {step}: {failing}");
            let case = scene.damaged(damage)?;
            let before = case.state(&scene)?;
            let run = case.repair_to(&scene, &format!("fail:{step}:{errno}"))?;
            // The list of finished mailboxes only saves a resumed run time.
            if run.status != Some(0) || step < undisturbed.repaired_by() {
                ensure!(run.status == Some(2), "{what}: {run:?}");
                let report = run.report()?;
                let error = report["error"].as_str().unwrap_or_default();
                let steps = run.steps();
                let told = steps.get(step).is_some_and(|step| error.contains(step.as_str()));
                ensure!(told && error.contains(words), "{what}: the error is {error}");
            }
            finish(&mut scene, &case, &before, &undisturbed).context(what)?;
            scene.clear_runs()?;
            failures += 1;
        }
    }
    eprintln!("{damage:?}: {} steps, {failures} failures", undisturbed.steps.len());
    scene.end()
}

/// After an interruption the mailbox is served as before or as after the commit, and the next run
/// finishes the work. Tells whether there had been no commit.
fn finish(
    scene: &mut Scene,
    case: &Case,
    before: &State,
    undisturbed: &Undisturbed,
) -> Result<bool> {
    let interrupted = case.state(scene)?;
    let is_as_before = interrupted.index == before.index;
    // A new cyrus.header names keywords before the new index is there, and messages are put in their
    // places one after the other.
    if !(is_as_before && interrupted.served == before.served) {
        let outside = match case.damage {
            Damage::Misplaced => interrupted.served.outside_of(&before.served, &undisturbed.after),
            _ => undisturbed.after.differences(&interrupted.served),
        };
        ensure!(outside.is_empty(), "served neither as before nor as after: {outside:?}");
    }
    if !is_as_before {
        case.must_have_journal(scene)?;
    }
    let run = case.reconstruct(scene, &["--json"])?;
    ensure!(run.status == Some(0), "the second run: {run:?}");
    let after = case.state(scene)?.served;
    let differences = undisturbed.after.differences(&after);
    ensure!(differences.is_empty(), "the second run led elsewhere: {differences:?}\n{run:?}");
    after.must_not_fall_below(&case.intact)?;
    case.must_have_journal(scene)?;
    case.must_be_sound(scene)?;
    case.undo(scene)?;
    Ok(is_as_before)
}
