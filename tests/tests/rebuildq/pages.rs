//! What users see of the queue, in a real browser.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Browser, Cyrus, View};

use super::scene::{Scene, until};

/// A page renews itself every 30 seconds.
const RENEWED_WITHIN: Duration = Duration::from_secs(45);

/// A process that is ended when the test is.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _: Result<(), _> = self.0.kill();
        let _: Result<_, _> = self.0.wait();
    }
}

/// `rebuildq serve`, and where it listens.
fn served(scene: &Scene) -> Result<(Ended, String)> {
    let listen = ["serve", "--listen", "127.0.0.1:0", "--silent-after", "2s", "--zone", "UTC"];
    let mut child = scene.command(&listen)?.stderr(Stdio::piped()).spawn()?;
    let said = child.stderr.take().context("its standard error")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    let address = line.trim().trim_start_matches("rebuildq: ").trim_end_matches('/');
    ensure!(address.starts_with("http://127.0.0.1:"), "{line}");
    Ok((Ended(child), address.to_owned()))
}

#[test]
fn users_see_the_queue_move_and_are_warned_when_its_runner_was_killed() -> Result<()> {
    let name = "users_see_the_queue_move_and_are_warned_when_its_runner_was_killed";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let Some(mut browser) = Browser::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 3)?;
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    scene.ok(&["note", "The <second> disk is copied."])?;
    let last = scene.ok(&["list", "--json"])?.json.pop().context("jobs")?;
    let last = last["user"].as_str().context("a user")?.to_owned();
    let link = scene.ok(&["link", &last])?.stdout.trim().to_owned();
    let (_server, base) = served(&scene)?;
    let page = browser.page(View { scripts: false, ..View::default() })?;
    // A page may be some seconds old.
    let says = |browser: &mut Browser, address: &str, words: &[&str]| {
        until(&format!("{words:?} on {address}"), || {
            browser.goto(&page, address)?;
            let text = browser.text(&page)?;
            Ok(words.iter().all(|words| text.contains(words)))
        })
    };
    let own = format!("{base}/{link}");
    says(&mut browser, &base, &["3 users wait", "The <second> disk is copied."])?;
    says(&mut browser, &own, &[&last, "2 accounts"])?;
    says(&mut browser, &format!("{base}/u/{last}.html"), &["not"])?;

    // The last one's INBOX is locked, so that the runner has something to be killed at.
    let lock = super::order::LockedMailbox::of(&scene, &last)?;
    let mut runner = Ended(scene.start(&["run", "--until-empty", "--lease", "1s"])?);
    until("two are back", || Ok(scene.whom("done")?.len() == 2))?;
    says(&mut browser, &base, &["2 of 3 users are back", "1 left"])?;
    runner.0.kill()?;
    runner.0.wait()?;
    // The page comes to it by itself, without scripts.
    let loads = browser.loads(&page);
    browser.wait_for_load(&page, loads, RENEWED_WITHIN)?;
    let text = browser.text(&page)?;
    ensure!(text.contains("has not reported since"), "{text}");

    drop(lock);
    scene.ok(&["run", "--until-empty", "--lease", "1s"])?;
    says(&mut browser, &base, &["3 of 3"])?;
    says(&mut browser, &own, &[&last])?;
    scene.ok(&["link", &last, "--revoke"])?;
    until("the link leads nowhere", || {
        browser.goto(&page, &own)?;
        Ok(!browser.text(&page)?.contains(&last))
    })
}

#[test]
fn pages_in_a_directory_tell_what_the_queue_tells_and_no_names() -> Result<()> {
    let name = "pages_in_a_directory_tell_what_the_queue_tells_and_no_names";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 3)?;
    scene.ok(&["add", "--all", "--status-url", "https://status.example.com/mail/"])?;
    let link = scene.ok(&["link", &scene.users[1]])?.stdout.trim().to_owned();
    let file = link.strip_prefix("https://status.example.com/mail/").context("the address")?;
    let html = scene.server.path().join("html");
    let directory = html.to_str().context("text")?;
    scene.ok(&["status", "--html", directory, "--once"])?;
    let public = fs::read_to_string(html.join("index.html"))?;
    ensure!(scene.users.iter().all(|user| !public.contains(user.as_str())), "{public}");
    ensure!(public.contains("3 users wait"), "{public}");
    ensure!(fs::read_to_string(html.join(file))?.contains(&scene.users[1]));
    scene.ok(&["run", "--until-empty"])?;
    scene.ok(&["status", "--html", directory, "--once"])?;
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(html.join("status.json"))?)?;
    ensure!(told["users"]["done"] == 3 && told["users"]["total"] == 3, "{told}");
    ensure!(scene.ok(&["status"])?.stdout.starts_with("done since"));
    scene.ok(&["link", &scene.users[1], "--revoke"])?;
    scene.ok(&["status", "--html", directory, "--once"])?;
    ensure!(!html.join(file).exists());
    Ok(())
}
