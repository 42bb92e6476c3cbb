//! What `gapfill --deliver` hands over.

use anyhow::{Context as _, Result};
use mailstore_tests::outage::gapfill;
use mailstore_tests::{Cyrus, Layout, Server};

use crate::scene::{Scene, Way, assert_seen, kept, text, views};

const SEED: u64 = 11;
const STEPS: usize = 60;

fn deliver(scene: &Scene, live: &Server, arguments: &[&str]) -> Result<mailstore_tests::ToolRun> {
    let (incident, stage) = (text(&scene.incident)?, live.path().join("stage"));
    let common = ["--incident", incident, "--stage", text(&stage)?, "--deliver"];
    gapfill(live, &[scene.rescued.path().to_owned()], &[&common[..], arguments].concat())
}

#[test]
fn gapfill_has_what_is_missing_delivered_once() -> Result<()> {
    const NAME: &str = "gapfill_has_what_is_missing_delivered_once";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Scene::after(&cyrus, Layout::ById, SEED, STEPS)?;
    for time in ["--deliver", "--deliver once more"] {
        let run = deliver(&scene, &scene.live, &[])?;
        assert_seen(&kept(&views(&scene.live)?), &scene.expected(Way::Spool)?, time);
        let sums = run.json.iter().filter(|line| line["type"] == "summary");
        let [_, of_redeliver] = sums.collect::<Vec<_>>()[..] else { panic!("{:?}", run.json) };
        // The folder that is gone cannot be delivered into.
        assert_eq!((run.status, &of_redeliver["held"]), (Some(1), &2.into()), "{}", run.stderr);
    }
    Ok(())
}

#[test]
fn gapfill_hands_over_for_the_users_that_were_named() -> Result<()> {
    const NAME: &str = "gapfill_hands_over_for_the_users_that_were_named";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let scene = Scene::after(&cyrus, Layout::ById, SEED, STEPS)?;
    let user = *scene.before.keys().next().context("a user")?;
    let run = deliver(&scene, &scene.live, &["--user", user])?;
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let (now, before) = (kept(&views(&scene.live)?), kept(&scene.before));
    let expected = scene.expected(Way::Spool)?;
    for (folder, messages) in &now {
        let as_it_should = if folder.0 == user { &expected } else { &before };
        assert_eq!(Some(messages), as_it_should.get(folder), "{folder:?}");
    }
    assert_ne!(now, before, "something was delivered");
    Ok(())
}
