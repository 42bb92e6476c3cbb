//! Mails that ask for a rebuild, as an alias pipes them in.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, ToolRun};

use super::scene::Scene;

const OPERATOR: &str = "postmistress@example.com";

/// Pipes a mail in.
fn take(scene: &Scene, mail: &[u8], further: &[&str]) -> Result<ToolRun> {
    let intake = ["intake", "--operator", OPERATOR, "--domain", "example.com"];
    let mut command = scene.command(&intake)?;
    command.args(further).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // Whoever pipes is not cut off, whatever comes.
    child.stdin.take().context("its standard input")?.write_all(mail)?;
    Ok(ToolRun::of(&child.wait_with_output()?))
}

fn mail(from: &str, subject: &str, text: &str) -> Vec<u8> {
    format!("From: {from}\r\nSubject: {subject}\r\n\r\n{text}\r\n").into_bytes()
}

/// The first in the queue.
fn next(scene: &Scene) -> Result<String> {
    let listed = scene.ok(&["list", "--json"])?;
    Ok(listed.json[0]["user"].as_str().context("a user")?.to_owned())
}

#[test]
fn who_asks_by_mail_comes_earlier_and_is_told_the_place() -> Result<()> {
    let name = "who_asks_by_mail_comes_earlier_and_is_told_the_place";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 4)?;
    scene.ok(&["add", "--all", "--status-url", "https://status.example.com/"])?;
    let listed = scene.ok(&["list", "--json"])?;
    let user = |place: usize| listed.json[place]["user"].as_str().unwrap_or_default();
    let (third, last) = (user(2), user(3));

    let asked = mail(&format!("Me <{last}@example.com>"), "Priority rebuild", "Please!");
    let answer = take(&scene, &asked, &[])?;
    ensure!(answer.status == Some(0), "{answer:?}");
    ensure!(answer.stdout.contains(&format!("{last}: it is next to be rebuilt")), "{answer:?}");
    ensure!(answer.stdout.contains("https://status.example.com/"), "{answer:?}");
    ensure!(next(&scene)? == last);
    // An operator asks for whom they like; the earlier request stays before it.
    let asked = mail(OPERATOR, "Priority rebuild", &format!("account: {third}"));
    let answer = take(&scene, &asked, &["--reply-from", "rebuild@example.com"])?;
    ensure!(answer.stdout.starts_with("From: rebuild@example.com\nTo: postmistress@example.com\n"));
    ensure!(answer.stdout.contains("Auto-Submitted: auto-replied"), "{answer:?}");
    ensure!(answer.stdout.contains(&format!("{third}: it is number 2")), "{answer:?}");
    ensure!(next(&scene)? == last);
    scene.ok(&["run", "--until-empty"])?;
    ensure!(scene.whom("claimed")?[..2] == [last, third], "{:?}", scene.whom("claimed")?);
    let asked = mail(&format!("{last}@example.com"), "Priority rebuild", "and now?");
    let answer = take(&scene, &asked, &[])?;
    ensure!(answer.stdout.contains("is rebuilt already"), "{answer:?}");
    ensure!(scene.ok(&["requests", "--json"])?.json.len() == 3);
    Ok(())
}

#[test]
fn what_is_not_clear_is_kept_and_no_answer_tells_who_has_an_account() -> Result<()> {
    let name = "what_is_not_clear_is_kept_and_no_answer_tells_who_has_an_account";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 2)?;
    scene.ok(&["add", "--all"])?;
    let [alice, bob] = [0, 1].map(|number| scene.users[number].as_str());
    let own = format!("{alice}@example.com");
    let stranger = "somebody@elsewhere.example";
    let answers = [
        take(&scene, &mail(stranger, "Priority rebuild", &format!("account: {bob}")), &[])?,
        take(&scene, &mail(stranger, "Priority rebuild", "account: nobody"), &[])?,
        take(&scene, &mail(&own, "Priority rebuild", &format!("account: {bob}")), &[])?,
        take(&scene, &mail(&own, "Priority rebuild", "account: nobody"), &[])?,
    ];
    ensure!(answers.iter().all(|answer| answer.stdout == answers[0].stdout), "{answers:?}");
    ensure!(!answers[0].stdout.is_empty() && !answers[0].stdout.contains(bob));
    ensure!(scene.whom("raised")?.is_empty());
    let kept = scene.ok(&["requests", "--unclear"])?.stdout;
    ensure!(kept.contains(stranger) && kept.contains(&format!("account: {bob}")), "{kept}");
    // Asked too often, even what is clear counts no more.
    let often = ["--per-hour", "2"];
    let answer = take(&scene, &mail(&own, "Priority rebuild", "please"), &often)?;
    ensure!(answer.stdout.contains("asked several times"), "{answer:?}");
    ensure!(scene.whom("raised")?.is_empty());
    // Whoever does not say who they are is answered nothing, and every one of them is kept.
    let nameless = b"Subject: Priority rebuild\r\n\r\nme, please\r\n";
    for _ in 0..3 {
        let answer = take(&scene, nameless, &often)?;
        ensure!(answer.status == Some(0) && answer.stdout.is_empty(), "{answer:?}");
    }
    let kept = scene.ok(&["requests", "--unclear"])?.stdout;
    ensure!(kept.matches("me, please").count() == 3, "{kept}");
    // A program is not answered.
    let automatic = format!(
        "From: {own}\r\nAuto-Submitted: auto-replied\r\nSubject: Priority rebuild\r\n\r\nx\r\n"
    );
    let answer = take(&scene, automatic.as_bytes(), &[])?;
    ensure!(answer.status == Some(0) && answer.stdout.is_empty(), "{answer:?}");
    Ok(())
}

#[test]
fn a_mail_of_100_mb_or_with_hostile_headers_is_read_to_its_end_and_harms_nobody() -> Result<()> {
    let name = "a_mail_of_100_mb_or_with_hostile_headers_is_read_to_its_end_and_harms_nobody";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 1)?;
    scene.ok(&["add", "--all"])?;
    let own = format!("{}@example.com", scene.users[0]);
    let mut large = mail(&own, "Priority rebuild", "please");
    large.resize(100 << 20, b'x');
    let answer = take(&scene, &large, &[])?;
    ensure!(answer.stdout.contains("it is next to be rebuilt"), "{answer:?}");
    for hostile in [
        vec![0_u8; 200_000],
        vec![b'\n'; 200_000],
        b"From: a@b\r\nFrom: c@d\r\n\r\n".to_vec(),
        [b"From: ".as_slice(), &vec![b'<'; 1 << 20]].concat(),
        mail(&own, &"=?utf-8?B?".repeat(20_000), "x"),
        b"From: x@example.com\nTo: y\nBcc: victim@elsewhere.example\n\n".to_vec(),
        Vec::new(),
    ] {
        let answer = take(&scene, &hostile, &["--reply-from", "rebuild@example.com"])?;
        ensure!(answer.status == Some(0), "{answer:?}");
        ensure!(!answer.stderr.contains("panicked"), "{answer:?}");
        ensure!(!answer.stdout.contains("victim"), "{answer:?}");
    }
    Ok(())
}

#[test]
fn a_request_that_cannot_be_taken_is_left_to_the_mail_server_to_try_again() -> Result<()> {
    let name = "a_request_that_cannot_be_taken_is_left_to_the_mail_server_to_try_again";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 1)?;
    let away = scene.server.path().join("away");
    std::fs::rename(scene.server.path().join("outage"), &away)?;
    let own = format!("{}@example.com", scene.users[0]);
    let refused = take(&scene, &mail(&own, "Priority rebuild", "please"), &[])?;
    ensure!(refused.status == Some(75) && refused.stdout.is_empty(), "{refused:?}");
    Ok(())
}
