//! Two hundred users come back one by one.

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, long_form};

use super::scene::{Event, Scene, until};

/// Users of the store.
fn users() -> usize {
    if long_form() { 200 } else { 40 }
}

/// When this happened to a user.
fn when(events: &[Event], user: &str, kind: &str) -> Result<i64> {
    let mut of_user = events.iter().filter(|event| event.user == user && event.kind == kind);
    let event = of_user.next().with_context(|| format!("{user} was never {kind}"))?;
    ensure!(of_user.next().is_none(), "{user} was {kind} twice");
    Ok(event.at)
}

#[test]
fn users_come_back_one_by_one_in_priority_order_and_nobody_stays_denied() -> Result<()> {
    let name = "users_come_back_one_by_one_in_priority_order_and_nobody_stays_denied";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, users())?;
    let by_operator = scene.users[1].clone();
    scene.server.tool_output("cyr_deny", &["-m", "has not paid", &by_operator])?;
    let denied_before = scene.denied()?;
    scene.damage_all()?;

    let added = scene.ok(&["add", "--all", "--deny", "--status-url", "https://status.example"])?;
    ensure!(added.stdout.contains("1 user was denied before"), "{added:?}");
    for user in &scene.users {
        ensure!(!scene.can_log_in(user), "{user} can log in");
    }
    let ours = scene.denied()?[&scene.users[0]].clone();
    ensure!(ours.contains("https://status.example [rebuildq "), "{ours}");
    // Their mail is taken meanwhile.
    let message = b"Subject: meanwhile\r\n\r\nx\r\n";
    let (code, said) = scene.server.lmtp()?.deliver(&scene.users[2], message)?;
    ensure!(matches!(code, 250 | 451), "{code} {said}");

    let urgent: Vec<&str> = [7, 11, 3].map(|number| scene.users[number].as_str()).into();
    urgent.iter().try_for_each(|user| scene.ok(&["bump", user]).map(drop))?;
    let expected = expected_order(&scene)?;
    ensure!(expected[..3] == [urgent[2], urgent[1], urgent[0]], "{expected:?}");

    let mut runners = (0..4)
        .map(|_| scene.start(&["run", "--until-empty", "--readers", "1"]))
        .collect::<Result<Vec<_>>>()?;
    // One who is bumped while they work is next.
    let last = expected.last().context("users")?.clone();
    until("a third is done", || Ok(scene.whom("done")?.len() > users() / 3))?;
    scene.ok(&["bump", &last])?;
    for runner in &mut runners {
        ensure!(runner.wait()?.success());
    }

    let events = scene.events()?;
    let claimed = scene.whom("claimed")?;
    let bumped = when(&events, &last, "bumped")?;
    let before = events.iter().filter(|event| event.kind == "claimed" && event.at < bumped);
    let before = before.count();
    ensure!(claimed[before] == last, "{last} was bumped behind {before} of {claimed:?}");
    let mut without: Vec<_> = claimed.clone();
    without.remove(before);
    ensure!(without == expected[..expected.len() - 1], "{without:?} for {expected:?}");
    for user in scene.users.iter().filter(|user| **user != by_operator) {
        let times = ["queued", "denied", "claimed", "opened", "done"];
        let times = times.map(|kind| when(&events, user, kind));
        let times = times.into_iter().collect::<Result<Vec<_>>>()?;
        ensure!(times.is_sorted(), "{user}: {times:?}");
        ensure!(scene.can_log_in(user), "{user} cannot log in");
        scene.must_be_whole(user)?;
    }
    ensure!(scene.denied()? == denied_before, "{:?}", scene.denied()?);
    ensure!(!scene.can_log_in(&by_operator));
    ensure!(when(&events, &by_operator, "opened").is_err());
    ensure!(scene.ok(&["doctor"])?.stdout.contains("all is in order"));
    scene.must_be_sound()
}

/// Whose jobs come in which order, as the queue lists them.
fn expected_order(scene: &Scene) -> Result<Vec<String>> {
    let listed = scene.ok(&["list", "--json"])?;
    let users =
        listed.json.iter().map(|line| Ok(line["user"].as_str().context("text")?.to_owned()));
    users.collect()
}

#[test]
fn each_user_is_let_in_as_soon_as_their_own_mailboxes_are_done() -> Result<()> {
    let name = "each_user_is_let_in_as_soon_as_their_own_mailboxes_are_done";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 4)?;
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    let order = expected_order(&scene)?;
    // The last one's mailbox is locked by somebody else: the others do not wait for that.
    let last = &order[3];
    let lock = LockedMailbox::of(&scene, last)?;
    let mut runner = scene.start(&["run", "--until-empty"])?;
    until("three are in", || Ok(order[..3].iter().all(|user| scene.can_log_in(user))))?;
    ensure!(!scene.can_log_in(last));
    ensure!(scene.states()?[last] == "running");
    drop(lock);
    ensure!(runner.wait()?.success());
    ensure!(scene.can_log_in(last));
    scene.must_be_whole(last)
}

#[test]
fn when_all_will_be_done_is_told_while_a_runner_works_and_kept_for_later() -> Result<()> {
    let name = "when_all_will_be_done_is_told_while_a_runner_works_and_kept_for_later";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 80)?;
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    let last = expected_order(&scene)?.pop().context("users")?;
    ensure!(!scene.ok(&["show", &last])?.stdout.contains("expected to be done"));
    // The first one's mailbox is locked by somebody else: the end does not come too soon.
    let lock = LockedMailbox::of(&scene, &expected_order(&scene)?[0])?;
    let run = ["run", "--until-empty", "--jobs", "2", "--lease", "600ms"];
    let mut runner = scene.start(&run)?;
    until("an estimate is told", || {
        let told = scene.ok(&["status"])?.stdout;
        Ok(told.contains("all will be done between"))
    })?;
    drop(lock);
    ensure!(runner.wait()?.success());
    let told = scene.ok(&["status"])?.stdout;
    ensure!(told.starts_with("done since") && !told.contains("all will be done"), "{told}");
    Ok(())
}

/// The lock of a mailbox, held by this process as the server holds it.
pub(crate) struct LockedMailbox {
    _file: std::fs::File,
}

impl LockedMailbox {
    /// That of a user's INBOX.
    pub(crate) fn of(scene: &Scene, user: &str) -> Result<Self> {
        Self::of_mailbox(scene, &format!("user.{user}"))
    }

    pub(crate) fn of_mailbox(scene: &Scene, mailbox: &str) -> Result<Self> {
        let path = scene.server.mailbox_dir(mailbox)?.join("cyrus.index");
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let lock = nix::libc::flock {
            l_type: i16::try_from(nix::libc::F_WRLCK)?,
            l_whence: 0,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock))?;
        Ok(Self { _file: file })
    }
}
