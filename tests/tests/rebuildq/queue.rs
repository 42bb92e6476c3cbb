//! What is in the way: mailboxes that vanish, disks that are gone, clocks that differ.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};

use super::order::LockedMailbox;
use super::scene::{Scene, until};

fn scene(name: &str, users: usize) -> Result<Option<Scene>> {
    Cyrus::available_or_skip(name).map(|cyrus| Scene::of(&cyrus, users)).transpose()
}

#[test]
fn a_mailbox_that_vanished_is_told_and_one_that_was_renamed_is_found() -> Result<()> {
    let name = "a_mailbox_that_vanished_is_told_and_one_that_was_renamed_is_found";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    scene.ok(&["add", "--all"])?;
    let (first, second) = (&scene.users[0], &scene.users[1]);
    let mut session = scene.server.login(first)?;
    session.delete("INBOX.Sent")?;
    // The server keeps it for a while under another name.
    let mut admin = scene.server.admin()?;
    let kept = admin.list("DELETED.*")?;
    kept.iter().try_for_each(|mailbox| admin.delete(mailbox))?;
    scene.server.login(second)?.rename("INBOX.Sent", "INBOX.Gesendet")?;
    scene.damage(&format!("user.{second}.Gesendet"), 0)?;
    scene.ok(&["run", "--until-empty"])?;
    ensure!(scene.states()?.values().all(|state| state == "done"));
    let events = scene.events()?;
    let gone: Vec<_> = events.iter().filter(|event| event.kind == "mailbox-gone").collect();
    ensure!(gone.len() == 1 && gone[0].detail == format!("user.{first}.Sent"), "{gone:?}");
    let shown = scene.ok(&["show", second, "--json"])?;
    let now = format!("user.{second}.Gesendet");
    let sent = shown.json.iter().find(|line| line["mailbox"] == now);
    ensure!(sent.context("its mailbox")?["state"] == "repaired", "{shown:?}");
    Ok(())
}

#[test]
fn a_job_whose_disk_is_gone_is_set_aside_and_goes_on_when_it_is_there_again() -> Result<()> {
    let name = "a_job_whose_disk_is_gone_is_set_aside_and_goes_on_when_it_is_there_again";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    let unlucky = &scene.users[0];
    scene.ok(&["add", "--all", "--deny"])?;
    let inbox = scene.server.mailbox_dir(&format!("user.{unlucky}"))?;
    let away = inbox.with_extension("away");
    fs::rename(&inbox, &away)?;
    let run = scene.run(&["run", "--until-empty", "--attempts", "2"])?;
    ensure!(run.status == Some(1), "{run:?}");
    ensure!(scene.states()?[unlucky] == "set-aside", "{:?}", scene.states()?);
    ensure!(!scene.can_log_in(unlucky), "a user whose mail is not there was let in");
    ensure!(scene.can_log_in(&scene.users[1]));
    let kinds: Vec<_> =
        scene.events()?.into_iter().filter(|event| event.user == *unlucky).collect();
    let failed: Vec<_> = kinds.iter().filter(|event| event.kind == "failed").collect();
    ensure!(failed.len() == 1 && failed[0].detail.contains(unlucky.as_str()), "{kinds:?}");
    let doctor = scene.run(&["doctor"])?;
    ensure!(doctor.stdout.contains("1 job was set aside"), "{doctor:?}");

    fs::rename(&away, &inbox)?;
    scene.ok(&["retry", "--all"])?;
    scene.ok(&["run", "--until-empty"])?;
    scene.must_be_whole(unlucky)?;
    ensure!(scene.denied()?.is_empty());
    Ok(())
}

#[test]
fn a_queue_that_stands_still_begins_nothing_and_who_is_not_known_is_told() -> Result<()> {
    let name = "a_queue_that_stands_still_begins_nothing_and_who_is_not_known_is_told";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    let list = scene.server.path().join("list");
    fs::write(&list, format!("# the urgent ones\n{}\n\nnobody # gone long ago\n", scene.users[1]))?;
    let list = list.to_str().context("text")?;
    let added = scene.run(&["add", "--from-list", list, "--priority", "5"])?;
    ensure!(added.status == Some(1), "{added:?}");
    ensure!(added.stderr.contains("there is no mailbox of user 'nobody'"), "{added:?}");
    ensure!(added.stdout.contains("1 user is in the queue now"), "{added:?}");
    scene.ok(&["pause"])?;
    let mut runner = scene.start(&["run", "--until-empty"])?;
    std::thread::sleep(std::time::Duration::from_millis(700));
    ensure!(scene.whom("claimed")?.is_empty());
    scene.ok(&["resume"])?;
    ensure!(runner.wait()?.success());
    ensure!(scene.whom("done")? == [scene.users[1].as_str()]);
    let again = scene.run(&["bump", &scene.users[1]])?;
    ensure!(again.status == Some(1) && again.stderr.contains("is done"), "{again:?}");
    let unknown = scene.run(&["bump", "nobody"])?;
    ensure!(unknown.status == Some(2) && unknown.stderr.contains("rebuildq add"), "{unknown:?}");
    Ok(())
}

#[test]
fn a_runner_whose_clock_is_hours_off_neither_loses_its_jobs_nor_takes_others() -> Result<()> {
    let name = "a_runner_whose_clock_is_hours_off_neither_loses_its_jobs_nor_takes_others";
    let Some(scene) = scene(name, 6)? else { return Ok(()) };
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    let run = ["run", "--until-empty", "--lease", "1s", "--jobs", "2"];
    let clock = scene.server.cyrus().shifted_clock().context("a C compiler is needed")?;
    let shifted = |seconds: &str| -> Result<std::process::Child> {
        let mut command = scene.command(&run)?;
        command.env("LD_PRELOAD", &clock).env("MAILSTORE_TEST_CLOCK", seconds);
        Ok(command.stdout(std::process::Stdio::null()).spawn()?)
    };
    let mut runners = [shifted("36000")?, shifted("-36000")?, scene.start(&run)?];
    for runner in &mut runners {
        ensure!(runner.wait()?.success());
    }
    ensure!(scene.whom("taken-over")?.is_empty(), "{:?}", scene.events()?);
    ensure!(scene.whom("claimed")?.len() == 6 && scene.denied()?.is_empty());
    until("everybody is in", || Ok(scene.users.iter().all(|user| scene.can_log_in(user))))
}

#[test]
fn a_queue_of_another_store_or_none_at_all_is_refused_in_clear_words() -> Result<()> {
    let name = "a_queue_of_another_store_or_none_at_all_is_refused_in_clear_words";
    let Some(scene) = scene(name, 1)? else { return Ok(()) };
    let other = Server::start(scene.server.cyrus(), ServerOptions::new(Layout::ById).in_memory())?;
    let mut command = scene.command(&["list"])?;
    let refused = command.arg("-C").arg(other.imapd_conf()).output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(said.contains("cannot be used multiple times") || said.contains("was not made for"));
    let mut command = mailstore_tests::rebuildq_command()?;
    let none = command.args(["list", "-C"]).arg(scene.server.imapd_conf()).output()?;
    let said = String::from_utf8_lossy(&none.stderr);
    ensure!(none.status.code() == Some(2) && said.contains("--incident"), "{none:?}");
    Ok(())
}

#[test]
fn an_incident_that_is_closed_says_who_may_be_left_denied_and_begins_nothing() -> Result<()> {
    let name = "an_incident_that_is_closed_says_who_may_be_left_denied_and_begins_nothing";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    scene.ok(&["add", "--all", "--deny"])?;
    let shown = scene.incident_says("show")?;
    ensure!(shown.contains("jobs of rebuildq: 2 waiting"), "{shown}");
    let closed = scene.incident_says("close")?;
    ensure!(
        closed.contains("2 jobs are not over") && closed.contains("rebuildq doctor"),
        "{closed}"
    );
    let refused = scene.run(&["run", "--until-empty"])?;
    ensure!(refused.status == Some(2) && refused.stderr.contains("is closed"), "{refused:?}");
    let refused = scene.run(&["add", "--all"])?;
    ensure!(refused.status == Some(2), "{refused:?}");
    scene.users.iter().try_for_each(|user| scene.ok(&["cancel", user]).map(drop))?;
    ensure!(scene.denied()?.is_empty());
    Ok(())
}

#[test]
fn a_runner_that_is_told_to_stop_ends_the_mailbox_it_is_at_and_lays_its_job_back() -> Result<()> {
    let name = "a_runner_that_is_told_to_stop_ends_the_mailbox_it_is_at_and_lays_its_job_back";
    let Some(scene) = scene(name, 1)? else { return Ok(()) };
    let user = scene.users[0].as_str();
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    let lock = LockedMailbox::of(&scene, user)?;
    let mut runner = scene.start(&["run", "--until-empty"])?;
    until("it is at the first mailbox", || Ok(!scene.whom("claimed")?.is_empty()))?;
    let pid = Pid::from_raw(i32::try_from(runner.id())?).context("a process id")?;
    kill_process(pid, Signal::TERM)?;
    drop(lock);
    ensure!(runner.wait()?.code() == Some(2));
    ensure!(scene.whom("laid-back")? == [user] && scene.states()?[user] == "waiting");
    let shown = scene.ok(&["show", user, "--json"])?;
    let done = shown.json.iter().filter(|line| line["state"] == "repaired").count();
    ensure!(done == 1, "{shown:?}");
    ensure!(!scene.can_log_in(user));
    scene.ok(&["run", "--until-empty"])?;
    scene.must_be_whole(user)
}

#[test]
fn what_a_runner_that_was_stopped_owed_the_server_is_done_by_the_next() -> Result<()> {
    let name = "what_a_runner_that_was_stopped_owed_the_server_is_done_by_the_next";
    let Some(scene) = scene(name, 1)? else { return Ok(()) };
    let user = scene.users[0].as_str();
    // Only what comes first is damaged: nothing else gives the next runner a reason.
    scene.damage(&format!("user.{user}"), 0)?;
    scene.ok(&["add", "--all"])?;
    let (bin, log) = scene.tools_that_tell()?;
    let run = ["run", "--until-empty", "--lease", "500ms", "--cyrus-bin", &bin];
    let lock = LockedMailbox::of_mailbox(&scene, &format!("user.{user}.Sent"))?;
    let mut runner = scene.plain_command(&run)?.spawn()?;
    until("it is at the second mailbox", || {
        let shown = scene.ok(&["show", user, "--json"])?;
        Ok(shown.json.iter().any(|line| line["state"] == "repaired"))
    })?;
    runner.kill()?;
    runner.wait()?;
    drop(lock);
    let reached = fs::read_to_string(&log).unwrap_or_default();
    ensure!(reached.is_empty(), "{reached}");
    ensure!(scene.plain_command(&run)?.status()?.success());
    let told = fs::read_to_string(&log)?;
    ensure!(told.contains(&format!("-f -q -u {user}")), "{told}");
    ensure!(scene.whom("taken-over")? == [user], "{:?}", scene.events()?);
    // Of a job that nobody had before and that needs nothing, nothing is owed.
    fs::remove_file(&log)?;
    scene.ok(&["add", "--all"])?;
    ensure!(scene.plain_command(&run)?.status()?.success());
    ensure!(!log.exists(), "{:?}", fs::read_to_string(&log));
    Ok(())
}

#[test]
fn a_job_that_is_held_or_cancelled_while_it_is_worked_on_is_not_written_any_more() -> Result<()> {
    let name = "a_job_that_is_held_or_cancelled_while_it_is_worked_on_is_not_written_any_more";
    let Some(scene) = scene(name, 2)? else { return Ok(()) };
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    let [held, cancelled] = [0, 1].map(|number| scene.users[number].as_str());
    let locks = [held, cancelled].map(|user| LockedMailbox::of(&scene, user));
    let mut runner = scene.start(&["run", "--jobs", "2", "--until-empty"])?;
    until("both are worked on", || Ok(scene.whom("claimed")?.len() == 2))?;
    let before = [scene.index_of(held)?, scene.index_of(cancelled)?];
    scene.ok(&["hold", held])?;
    scene.ok(&["cancel", cancelled])?;
    ensure!(scene.denied()?.keys().eq([held]), "{:?}", scene.denied()?);
    drop(locks);
    ensure!(runner.wait()?.success());
    ensure!([scene.index_of(held)?, scene.index_of(cancelled)?] == before, "an index was written");
    ensure!(scene.states()?[held] == "held" && scene.whom("done")?.is_empty());
    scene.ok(&["release", held])?;
    scene.ok(&["run", "--until-empty"])?;
    ensure!(scene.denied()?.is_empty());
    scene.must_be_whole(held)
}

#[test]
fn tools_that_open_all_of_a_users_mailboxes_wait_while_one_has_a_stale_expunge_list() -> Result<()>
{
    let name = "tools_that_open_all_of_a_users_mailboxes_wait_while_one_has_a_stale_expunge_list";
    let Some(scene) = scene(name, 1)? else { return Ok(()) };
    let inbox = format!("user.{}", scene.users[0]);
    scene.damage(&inbox, 0)?;
    // In a mailbox that is not part of the job: the server deletes what it lists.
    let list = scene.server.mailbox_dir(&format!("{inbox}.Sent"))?.join("cyrus.expunge");
    fs::write(&list, b"what an old release had listed")?;
    scene.ok(&["add", "--mailbox", &inbox])?;
    let (bin, log) = scene.tools_that_tell()?;
    let run = ["run", "--until-empty", "--cyrus-bin", &bin];
    ensure!(scene.plain_command(&run)?.status()?.success());
    ensure!(!log.exists(), "{:?}", fs::read_to_string(&log));
    let events = scene.events()?;
    let told = events.iter().find(|event| event.kind == "out-of-step").context("a word of it")?;
    ensure!(told.detail.contains("cyrus.expunge"), "{told:?}");
    ensure!(list.exists() && scene.whom("done")?.len() == 1);
    Ok(())
}
