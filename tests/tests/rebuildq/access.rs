//! Who may log in, whoever else denies users and lets them in.

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::Cyrus;

use super::scene::Scene;

fn scene(name: &str, users: usize) -> Result<Option<Scene>> {
    Cyrus::available_or_skip(name).map(|cyrus| Scene::of(&cyrus, users)).transpose()
}

#[test]
fn what_an_operator_decides_meanwhile_counts() -> Result<()> {
    let Some(scene) = scene("what_an_operator_decides_meanwhile_counts", 4)? else { return Ok(()) };
    scene.ok(&["add", "--all", "--deny"])?;
    let [paid, opened, cancelled, held] = [0, 1, 2, 3].map(|n| scene.users[n].as_str());
    scene.server.tool_output("cyr_deny", &["-m", "has not paid", paid])?;
    scene.server.tool_output("cyr_deny", &["-a", opened])?;
    scene.ok(&["cancel", cancelled])?;
    scene.ok(&["hold", held])?;
    ensure!(scene.can_log_in(cancelled) && scene.can_log_in(opened) && !scene.can_log_in(held));
    let doctor = scene.run(&["doctor"])?;
    ensure!(doctor.status == Some(1), "{doctor:?}");
    for told in [
        format!("{paid} was denied anew by somebody else"),
        format!("{opened} was let in by somebody else"),
        "jobs wait, and no runner works on them".to_owned(),
    ] {
        ensure!(doctor.stdout.contains(&told), "{doctor:?}");
    }
    ensure!(!doctor.stdout.contains(held), "{doctor:?}");

    scene.ok(&["run", "--until-empty"])?;
    ensure!(!scene.can_log_in(paid) && scene.can_log_in(opened) && !scene.can_log_in(held));
    ensure!(scene.denied()?[paid].contains("has not paid"));
    scene.ok(&["release", held])?;
    scene.ok(&["run", "--until-empty"])?;
    ensure!(scene.can_log_in(held) && scene.states()?[held] == "done");
    ensure!(scene.denied()?.len() == 1 && scene.states()?[cancelled] == "cancelled");
    ensure!(scene.ok(&["doctor"])?.stdout.contains("all is in order"));
    Ok(())
}

#[test]
fn whoever_was_left_denied_is_let_in_by_the_doctor_and_by_the_next_runner() -> Result<()> {
    let name = "whoever_was_left_denied_is_let_in_by_the_doctor_and_by_the_next_runner";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    scene.ok(&["add", "--all", "--deny"])?;
    let [alice, bob] = [0, 1].map(|n| scene.users[n].as_str());
    let entry = scene.denied()?[alice].clone();
    let message = entry.split_once(char::is_whitespace).context("services and message")?.1.trim();
    ensure!(message.contains("[rebuildq "), "{message}");
    scene.ok(&["run", "--until-empty"])?;
    // As a process would leave it that was killed at the worst moment.
    let leave = |user| scene.server.tool_output("cyr_deny", &["-s", "*", "-m", message, user]);
    leave(alice)?;
    leave(bob)?;
    let doctor = scene.run(&["doctor"])?;
    ensure!(doctor.status == Some(1), "{doctor:?}");
    ensure!(doctor.stdout.contains("next: rebuildq doctor --mend"), "{doctor:?}");
    ensure!(!scene.can_log_in(alice) && !scene.can_log_in(bob), "a doctor that only looks");
    scene.ok(&["doctor", "--mend"])?;
    ensure!(scene.can_log_in(alice) && scene.can_log_in(bob) && scene.denied()?.is_empty());
    leave(bob)?;
    scene.ok(&["run", "--until-empty"])?;
    ensure!(scene.can_log_in(bob));
    // What another queue did is its own affair.
    let of_another = message.replace("[rebuildq ", "[rebuildq x");
    scene.server.tool_output("cyr_deny", &["-m", &of_another, alice])?;
    scene.ok(&["run", "--until-empty"])?;
    scene.ok(&["doctor"])?;
    ensure!(!scene.can_log_in(alice));
    Ok(())
}

#[test]
fn whoever_is_yet_to_be_denied_is_denied_before_anything_else() -> Result<()> {
    let name = "whoever_is_yet_to_be_denied_is_denied_before_anything_else";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    // Without the tool nobody is queued; with one that fails, they wait for it.
    let mut without = scene.command(&["add", "--all", "--deny"])?;
    let refused = without.args(["--cyrus-bin", "/nowhere"]).output()?;
    ensure!(!refused.status.success(), "{refused:?}");
    let broken = scene.server.path().join("broken");
    std::fs::create_dir(&broken)?;
    let script = broken.join("cyr_deny");
    std::fs::write(&script, "#!/bin/sh\necho 'no room' >&2\nexit 1\n")?;
    std::process::Command::new("chmod").arg("-R").arg("a+rx").arg(&broken).status()?;
    let mut failing = scene.plain_command(&["add", "--all", "--deny"])?;
    let failed = failing.arg("--cyrus-bin").arg(&broken).output()?;
    let said = String::from_utf8_lossy(&failed.stderr);
    ensure!(failed.status.code() == Some(1) && said.contains("no room"), "{failed:?}");
    ensure!(scene.can_log_in(&scene.users[0]));
    let doctor = scene.run(&["doctor"])?;
    ensure!(doctor.stdout.contains("is to be denied and is not yet"), "{doctor:?}");
    scene.ok(&["run", "--until-empty"])?;
    for user in &scene.users {
        let of_user = scene.events()?.into_iter().filter(|event| event.user == *user);
        let kinds: Vec<_> = of_user.map(|event| event.kind).collect();
        ensure!(kinds == ["queued", "denied", "claimed", "opened", "done"], "{kinds:?}");
    }
    ensure!(scene.denied()?.is_empty());
    Ok(())
}

#[test]
fn sessions_of_who_is_denied_end_and_mail_is_delivered() -> Result<()> {
    let name = "sessions_of_who_is_denied_end_and_mail_is_delivered";
    let Some(scene) = scene(name, 1)? else { return Ok(()) };
    let user = scene.users[0].as_str();
    let mut session = scene.server.login(user)?;
    session.select("INBOX")?;
    scene.ok(&["add", "--user", user, "--deny"])?;
    ensure!(session.noop().is_err(), "the session goes on");
    ensure!(!scene.can_log_in(user) && scene.server.pop3(user).is_err());
    let message = b"Subject: meanwhile\r\n\r\nx\r\n";
    let (code, said) = scene.server.lmtp()?.deliver(user, message)?;
    ensure!(code == 250, "{code} {said}");
    scene.ok(&["run", "--until-empty"])?;
    let mut session = scene.server.login(user)?;
    session.select("INBOX")?;
    ensure!(session.search("SUBJECT meanwhile")?.len() == 1);
    Ok(())
}
