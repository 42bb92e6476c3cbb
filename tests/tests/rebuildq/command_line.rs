//! The command as an operator types it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, rebuildq_command};
use serde_json::Value;

use super::scene::Scene;

const DOCUMENT: &str = include_str!("../../../docs/rebuildq.md");

fn help(arguments: &[&str]) -> Result<String> {
    let output = rebuildq_command()?.args(arguments).arg("--help").output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn every_command_has_a_help_and_is_documented() -> Result<()> {
    let whole = help(&[])?;
    ensure!(whole.contains("Examples:") && whole.contains("Exit status:"), "{whole}");
    let commands = whole.split("Commands:").nth(1).context("commands")?;
    let commands = commands.split("Options:").next().context("commands")?;
    let names: Vec<&str> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    ensure!(names.len() > 15, "{names:?}");
    for name in names {
        ensure!(help(&[name])?.contains("--incident"), "{name}");
        ensure!(DOCUMENT.contains(&format!("`{name}")), "{name} is not in docs/rebuildq.md");
    }
    Ok(())
}

#[test]
fn what_is_wrong_on_the_command_line_is_refused_with_status_2() -> Result<()> {
    for arguments in [
        &["add"][..],
        &["run", "--jobs", "0"],
        &["run", "--lease", "soon"],
        &["bump"],
        &["nothing"],
        &["serve", "--listen", "somewhere"],
    ] {
        let output = rebuildq_command()?.args(arguments).output()?;
        ensure!(output.status.code() == Some(2), "{arguments:?}: {output:?}");
        ensure!(!output.stderr.is_empty(), "{arguments:?}");
    }
    Ok(())
}

/// Every object key in `value`.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    if let Value::Object(members) = value {
        found.extend(members.keys().cloned());
    }
}

#[test]
fn every_field_and_kind_of_the_json_output_is_documented() -> Result<()> {
    let name = "every_field_and_kind_of_the_json_output_is_documented";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 1)?;
    let user = scene.users[0].as_str();
    scene.ok(&["add", "--all", "--deny"])?;
    scene.ok(&["run", "--until-empty"])?;
    let mut found = BTreeSet::new();
    for arguments in [&["list", "--json"][..], &["show", user, "--json"], &["events", "--json"]] {
        let run = scene.ok(arguments)?;
        ensure!(!run.json.is_empty(), "{arguments:?}");
        run.json.iter().for_each(|line| keys(line, &mut found));
    }
    let kinds = incident::queue::EventKind::ALL.iter().map(|kind| kind.as_str().to_owned());
    found.extend(kinds);
    for word in found {
        ensure!(DOCUMENT.contains(&format!("`{word}`")), "{word} is not documented");
    }
    Ok(())
}
