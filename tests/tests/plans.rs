//! Plans that are saved, reviewed and applied later.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use mailstore_tests::damage::{Damaged, Specimen};
use mailstore_tests::{Cyrus, Reconstruct, ToolRun, Tree};
use serde_json::Value;

const INBOX: &str = "user.alice";
const ARCHIVE: &str = "user.alice.Archive";

/// A store of which two mailboxes are damaged.
fn damaged(cyrus: &Cyrus, kind: &str) -> Result<Damaged> {
    Specimen::made(cyrus, true, 1)?.damaged(kind, 1)
}

fn run(damaged: &Damaged, arguments: &[&str], file: &Path) -> Result<ToolRun> {
    Reconstruct::new(&damaged.store).args(arguments).arg(file).arg("--json").run()
}

fn save(damaged: &Damaged, file: &Path) -> Result<Vec<Value>> {
    let arguments = ["-n", "--all", "--check", "full", "--plan"];
    let planned = run(damaged, &arguments, file)?;
    ensure!(planned.status == Some(1) && planned.summary()["planned"] == 2, "{planned:?}");
    let text = fs::read_to_string(file)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[test]
fn a_saved_plan_does_what_it_says_and_only_once() -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip("a_saved_plan_does_what_it_says_and_only_once")
    else {
        return Ok(());
    };
    let files = tempfile::tempdir()?;
    for (number, kind) in ["index-removed", "random"].into_iter().enumerate() {
        let damaged = damaged(&cyrus, kind)?;
        let file = files.path().join(format!("plans-{number}"));
        let before = Tree::read(&damaged.store.spool())?;
        let lines = save(&damaged, &file)?;
        let differences = before.differences(&Tree::read(&damaged.store.spool())?);
        ensure!(differences.is_empty(), "a plan changed {differences:?}");
        ensure!(lines[0]["type"] == "plan" && lines.len() == 3, "{lines:?}");
        let actions: Vec<&str> = lines[1]["actions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let tells_of_index = actions.iter().any(|action| action.starts_with("replace cyrus.index"));
        ensure!(tells_of_index, "{actions:?}");

        let applied = run(&damaged, &["--apply"], &file)?;
        ensure!(applied.summary()["repaired"] == 2, "{kind}: {applied:?}");
        let again = run(&damaged, &["--apply"], &file)?;
        ensure!(again.status == Some(1) && again.summary()["refused"] == 2, "{kind}: {again:?}");
        let error = again.mailbox(INBOX)["error"].as_str().unwrap_or_default();
        ensure!(error.contains("make a new plan"), "{error}");
        let sound = Reconstruct::new(&damaged.store)
            .args(["-n", "--all", "--check", "full", "--json"])
            .run()?;
        ensure!(sound.summary()["planned"] == 0, "{kind}: {sound:?}");
    }
    Ok(())
}

#[test]
fn a_mailbox_that_changed_since_and_one_taken_out_of_the_file_are_left_alone() -> Result<()> {
    let test = "a_mailbox_that_changed_since_and_one_taken_out_of_the_file_are_left_alone";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let files = tempfile::tempdir()?;
    let damaged = damaged(&cyrus, "index-removed")?;
    let file = files.path().join("plans");
    save(&damaged, &file)?;
    let plans = fs::read_to_string(&file)?;
    let is_about = |line: &str, mailbox: &str| line.contains(&format!(r#""mailbox":"{mailbox}""#));

    let inbox = damaged.store.mailbox_dir(INBOX)?;
    fs::write(inbox.join("9999."), b"Subject: new\r\n\r\n")?;
    let without: Vec<_> = plans.lines().filter(|line| !is_about(line, ARCHIVE)).collect();
    fs::write(&file, without.join("\n"))?;
    let before = Tree::read(&damaged.store.spool())?;
    let refused = run(&damaged, &["--apply"], &file)?;
    ensure!(refused.status == Some(1) && refused.summary()["refused"] == 1, "{refused:?}");
    ensure!(refused.summary()["mailboxes"] == 1, "{refused:?}");
    let mut differences = before.differences(&Tree::read(&damaged.store.spool())?);
    differences
        .retain(|line| !line.contains(".mailstore-recovery") && !line.starts_with(": mtime"));
    ensure!(differences.is_empty(), "{differences:?}");

    fs::write(&file, &plans)?;
    let half = run(&damaged, &["--apply"], &file)?;
    ensure!(half.mailbox(INBOX)["state"] == "refused", "{half:?}");
    ensure!(half.mailbox(ARCHIVE)["state"] == "repaired", "{half:?}");
    Ok(())
}

#[test]
fn a_file_of_plans_is_not_overwritten_and_another_stores_is_not_applied() -> Result<()> {
    let test = "a_file_of_plans_is_not_overwritten_and_another_stores_is_not_applied";
    let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(()) };
    let files = tempfile::tempdir()?;
    let (file, one) = (files.path().join("plans"), damaged(&cyrus, "index-removed")?);
    save(&one, &file)?;
    let again = Reconstruct::new(&one.store).args(["-n", "--all", "--plan"]).arg(&file).run()?;
    ensure!(again.status == Some(2) && again.stderr.contains("name another file"), "{again:?}");
    let other = one.store.copy()?;
    let elsewhere = Reconstruct::new(&other).arg("--apply").arg(&file).run()?;
    ensure!(elsewhere.status == Some(2) && elsewhere.stderr.contains("-C"), "{elsewhere:?}");
    fs::write(&file, "nonsense")?;
    let nonsense = Reconstruct::new(&one.store).arg("--apply").arg(&file).run()?;
    ensure!(nonsense.status == Some(2) && nonsense.stderr.contains("line 1"), "{nonsense:?}");
    Ok(())
}
