//! The same for an undo, and for one that merges.

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, long_form};

use super::scene::{Case, Damage, Interrupted, Scene, Served};

/// Of the steps that change no name, every so many are tried where time is short.
const SAMPLE: usize = 5;

fn chosen(steps: &[String]) -> Vec<usize> {
    let gives_names = |step: &String| {
        let verbs = ["link", "rename", "move", "exchange"];
        verbs.iter().any(|verb| step.starts_with(verb))
    };
    let is_chosen = |(at, step): &(usize, &String)| {
        let behind = at.checked_sub(1).and_then(|before| steps.get(before));
        long_form() || at % SAMPLE == 0 || gives_names(step) || behind.is_some_and(gives_names)
    };
    steps.iter().enumerate().filter(is_chosen).map(|(at, _)| at).collect()
}

/// The ends to try: a kill before each step, and each kind of failure in turn.
fn ends(steps: &[String]) -> Vec<String> {
    let errors = ["EIO", "ENOSPC", "EDQUOT"];
    let of_step = |at: usize| {
        let error = errors.iter().cycle().nth(at).copied().unwrap_or("EIO");
        [format!("kill:{at}"), format!("fail:{at}:{error}")]
    };
    chosen(steps).into_iter().flat_map(of_step).collect()
}

fn repaired(scene: &mut Scene, damage: Damage) -> Result<(Case, Served)> {
    let case = scene.damaged(damage)?;
    let repair = case.repair_to(scene, "count")?;
    ensure!(repair.status == Some(0), "the repair: {repair:?}");
    let served = case.state(scene)?.served;
    Ok((case, served))
}

fn must_have_ended(run: &Interrupted, end: &str) -> Result<()> {
    let expected = if end.contains("kill") { None } else { Some(2) };
    ensure!(run.status == expected, "{end}: {run:?}");
    Ok(())
}

#[test]
fn an_undo_survives_a_kill_and_a_failing_disk_at_any_step() -> Result<()> {
    let test = "an_undo_survives_a_kill_and_a_failing_disk_at_any_step";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let mut scene = Scene::new(&cyrus, Layout::ById)?;
    for (damage, system) in [(Damage::Misplaced, ""), (Damage::RecordLost, "unsupported:")] {
        let case = scene.damaged(damage)?;
        let (before, damaged) = (case.state(&scene)?.served, case.tree()?);
        case.repair_to(&scene, "count")?;
        let undone = case.undo_to(&scene, false, &format!("{system}count"))?;
        let differences = damaged.differences(&case.tree()?);
        ensure!(differences.is_empty(), "{damage:?}: {differences:?} {undone:?}");
        ensure!(case.state(&scene)?.served == before, "{damage:?} is served otherwise");
        case.reconstruct(&scene, &[])?;
        scene.clear_runs()?;
        for (number, end) in ends(&undone.steps()).iter().enumerate() {
            let case = scene.damaged(damage)?;
            let (before, damaged) = (case.state(&scene)?.served, case.tree()?);
            case.repair_to(&scene, "count")?;
            let after = case.state(&scene)?.served;
            let run = case.undo_to(&scene, false, &format!("{system}{end}"))?;
            must_have_ended(&run, end)?;
            let outside = case.state(&scene)?.served.outside_of(&before, &after);
            ensure!(outside.is_empty(), "{damage:?}, {end}: {outside:?} {run:?}");
            // Either the undo goes on, or a repair begins anew.
            if number % 3 < 2 {
                let rest = case.undo_to(&scene, false, &format!("{system}count"))?;
                ensure!(rest.status == Some(0), "{damage:?}, {end}, the rest: {rest:?}");
                let differences = damaged.differences(&case.tree()?);
                ensure!(differences.is_empty(), "{damage:?}, {end}: {differences:?}");
            }
            let again = case.reconstruct(&scene, &["--json"])?;
            ensure!(again.status == Some(0), "{damage:?}, {end}, repaired again: {again:?}");
            let differences = after.differences(&case.state(&scene)?.served);
            ensure!(differences.is_empty(), "{damage:?}, {end}, again: {differences:?}");
            scene.clear_runs()?;
        }
    }
    scene.end()
}

#[test]
fn a_merging_undo_survives_a_kill_and_a_failing_disk_at_any_step() -> Result<()> {
    let test = "a_merging_undo_survives_a_kill_and_a_failing_disk_at_any_step";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let mut scene = Scene::new(&cyrus, Layout::ById)?;
    let (case, _) = repaired(&mut scene, Damage::RecordLost)?;
    case.go_on_living(&scene)?;
    let lived = case.state(&scene)?.served;
    let merged = case.undo_to(&scene, true, "count")?;
    ensure!(merged.status == Some(0), "{merged:?}");
    let after = case.state(&scene)?.served;
    let differences = lived.differences(&after);
    ensure!(differences.len() == 1, "only the new UID goes: {differences:?}");
    scene.clear_runs()?;
    for end in ends(&merged.steps()) {
        let (case, _) = repaired(&mut scene, Damage::RecordLost)?;
        case.go_on_living(&scene)?;
        let before = case.state(&scene)?.served;
        let run = case.undo_to(&scene, true, &end)?;
        ensure!(run.status.is_none() || !end.contains("kill"), "{end}: {run:?}");
        let outside = case.state(&scene)?.served.outside_of(&before, &after);
        ensure!(outside.is_empty(), "{end}: {outside:?} {run:?}");
        let rest = case.undo_to(&scene, true, "count");
        let rest = rest.with_context(|| format!("after {end}"))?;
        ensure!(rest.status == Some(0), "{end}, the rest: {rest:?}");
        let differences = after.differences(&case.state(&scene)?.served);
        ensure!(differences.is_empty(), "{end}: {differences:?} {run:?} {rest:?}");
        scene.clear_runs()?;
    }
    Ok(())
}
