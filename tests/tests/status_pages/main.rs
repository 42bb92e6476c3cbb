//! The status pages of `rebuildq` in a real browser, with its scripts on and off.

mod pictures;
mod scene;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Browser, Page, View};
use rebuildq::pages::Directory;
use rebuildq::status::Phase;

use scene::{Served, Stage, TOKEN, site};

/// Within what time a page that renews itself every 30 seconds has done so.
const RENEWED_WITHIN: Duration = Duration::from_secs(45);

const WITHOUT_SCRIPTS: View = View { scripts: false, dark: false, width: 1024, height: 900 };

/// A page with scripts, and one without.
fn both(browser: &mut Browser) -> Result<[Page; 2]> {
    Ok([browser.page(View::default())?, browser.page(WITHOUT_SCRIPTS)?])
}

fn assert_says(browser: &mut Browser, page: &Page, words: &[&str]) -> Result<()> {
    let text = browser.text(page)?;
    for words in words {
        assert!(text.contains(words), "{words}\n{text}");
    }
    Ok(())
}

/// The browser had nothing to complain of, and asked nothing of anybody but of `base`.
fn assert_kept_to(browser: &Browser, page: &Page, base: &str) {
    assert_eq!(browser.complaints(page), [""; 0]);
    let asked = browser.asked(page);
    assert!(!asked.is_empty());
    for address in asked {
        let is_within = address.starts_with(&format!("{base}/"));
        assert!(is_within || address.starts_with("data:image/svg"), "{address}");
    }
}

/// By the browser's own log, all of its pages asked nobody but `base`.
fn assert_left_alone(browser: Browser, base: &str) -> Result<()> {
    let network = browser.close()?;
    let host = base.trim_start_matches("http://");
    ensure!(network.iter().any(|told| told == host), "no connection is in the log: {network:?}");
    for told in network {
        let is_within = told == host || told.starts_with(&format!("{base}/"));
        let is_inside = ["data:", "about:", "chrome:", "chrome-", "devtools:"];
        let is_inside = is_inside.iter().any(|scheme| told.starts_with(scheme));
        assert!(is_within || is_inside, "{told}");
    }
    Ok(())
}

#[test]
fn progress_moves_when_the_page_renews_itself_and_nothing_is_asked_of_other_hosts() -> Result<()> {
    let test = "progress_moves_when_the_page_renews_itself_and_nothing_is_asked_of_other_hosts";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let served = Served::new()?;
    let pages = both(&mut browser)?;
    for page in &pages {
        browser.goto(page, &served.base)?;
        assert_says(&mut browser, page, &["130 of 200 users are back", "70 left"])?;
    }
    served.show(|scene| scene.done = 141);
    for page in &pages {
        let loads = browser.loads(page);
        browser.wait_for_load(page, loads, RENEWED_WITHIN)?;
        assert_says(&mut browser, page, &["141 of 200 users are back", "59 left"])?;
        let bar = browser.value(page, "document.querySelector('progress').value")?;
        assert_eq!(bar, 141);
        assert_kept_to(&browser, page, &served.base);
    }
    assert_left_alone(browser, &served.base)?;
    served.end()
}

#[test]
fn a_links_page_answers_with_its_own_status_and_an_unknown_one_with_none() -> Result<()> {
    let test = "a_links_page_answers_with_its_own_status_and_an_unknown_one_with_none";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let served = Served::new()?;
    let own = format!("{}/u/{TOKEN}.html", served.base);
    for page in both(&mut browser)? {
        served.show(|scene| scene.is_alice_back = false);
        browser.goto(&page, &own)?;
        let waits = ["Account alice", "11 accounts are before yours", "Log-in does not work now"];
        assert_says(&mut browser, &page, &waits)?;
        served.show(|scene| scene.is_alice_back = true);
        browser.reload(&page)?;
        let is_back = ["Your mailboxes are rebuilt", "Log-in works", "8 of 8"];
        assert_says(&mut browser, &page, &is_back)?;
        assert_kept_to(&browser, &page, &served.base);
        // The link to all leads there, from where the page is.
        let all = browser.value(&page, "document.querySelector('main a').href")?;
        assert_eq!(all, format!("{}/", served.base));

        let stranger = browser.page(View::default())?;
        browser.goto(&stranger, &own.replace("kT4", "kT5"))?;
        assert_says(&mut browser, &stranger, &["There is no such page"])?;
        assert!(!browser.text(&stranger)?.contains("alice"));
    }
    assert_left_alone(browser, &served.base)?;
    served.end()
}

#[test]
fn a_runner_that_does_not_report_turns_the_page_into_a_warning() -> Result<()> {
    let test = "a_runner_that_does_not_report_turns_the_page_into_a_warning";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let served = Served::new()?;
    let warning = "The rebuild has not reported since";
    for page in both(&mut browser)? {
        served.show(|scene| (scene.phase, scene.silent_for) = (Phase::Running, 4));
        browser.goto(&page, &served.base)?;
        assert!(!browser.text(&page)?.contains(warning));
        served.show(|scene| (scene.phase, scene.silent_for) = (Phase::Silent, 130));
        browser.reload(&page)?;
        let says = [warning, "2 minutes ago", "nobody can say when all will be back"];
        assert_says(&mut browser, &page, &says)?;
        let heading = browser.value(&page, "document.querySelector('h1').innerText")?;
        assert!(heading.as_str().is_some_and(|text| text.starts_with(warning)), "{heading}");
        browser.goto(&page, &format!("{}/u/{TOKEN}.html", served.base))?;
        assert_says(&mut browser, &page, &[warning])?;
        assert_kept_to(&browser, &page, &served.base);
    }
    assert_left_alone(browser, &served.base)?;
    served.end()
}

#[test]
fn a_file_that_nobody_renews_says_that_it_is_old() -> Result<()> {
    let test = "a_file_that_nobody_renews_says_that_it_is_old";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let stage = Stage::default();
    for file in ["index.html".to_owned(), format!("u/{TOKEN}.html")] {
        let url = format!("file://{}", directory.path().join("status").join(file).display());
        let write = |age| -> Result<()> {
            stage.set(|scene| scene.age = age);
            Ok(Directory::new(&directory.path().join("status"), site()).write(&stage)?)
        };
        let [page, without_scripts] = both(&mut browser)?;
        write(0)?;
        browser.goto(&page, &url)?;
        assert!(!browser.text(&page)?.contains("This page is old"));
        write(600)?;
        browser.reload(&page)?;
        assert_says(&mut browser, &page, &["This page is old", "it is 10 minutes old"])?;

        browser.goto(&without_scripts, &url)?;
        let seen = browser.text(&without_scripts)?;
        assert!(!seen.contains("This page is old"));
        let made = browser.value(&without_scripts, "document.getElementById('made').dateTime")?;
        let made = made.as_str().and_then(|made| made.get(11..19)).context("it is a time")?;
        assert!(seen.contains(&format!("As of {made} UTC")), "{made}\n{seen}");
        assert!(seen.contains("This page is renewed"), "{seen}");
        for page in [page, without_scripts] {
            assert_eq!(browser.complaints(&page), [""; 0]);
            let asked = browser.asked(&page);
            assert!(asked.iter().all(|address| !address.starts_with("http")), "{asked:?}");
        }
    }
    let network = browser.close()?;
    assert!(network.iter().all(|told| !told.starts_with("http")), "{network:?}");
    Ok(())
}

#[test]
fn the_page_can_be_used_by_ear_and_on_a_narrow_screen() -> Result<()> {
    let test = "the_page_can_be_used_by_ear_and_on_a_narrow_screen";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let served = Served::new()?;
    let narrow = View { width: 320, height: 640, ..View::default() };
    let page = browser.page(narrow)?;
    browser.goto(&page, &served.base)?;
    let heard = browser.heard(&page)?;
    let has = |role: &str, name: &str| {
        heard.iter().any(|(known, called, _)| known == role && called.contains(name))
    };
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("contentinfo", ""),
        ("heading", "Mailboxes are being rebuilt"),
        ("heading", "From the operators"),
        ("region", "How far it is"),
        ("image", "Users whose mailboxes are rebuilt, over time"),
        ("link", "Stop that"),
    ] {
        assert!(has(role, name), "{role} {name}\n{heard:#?}");
    }
    let users = heard.iter().find(|(_, name, _)| name == "Users who are back");
    let (role, _, value) = users.context("the bar has a name")?;
    assert_eq!((role.as_str(), value.as_str()), ("progressbar", "130"));
    for width in ["document.documentElement.scrollWidth", "document.body.scrollWidth"] {
        let width = browser.value(&page, width)?.as_u64().context("a width is a number")?;
        assert!(width <= 320, "{width}");
    }
    browser.value(&page, "document.querySelector('details').open = true")?;
    let heard = browser.heard(&page)?;
    let rows = heard.iter().filter(|(role, _, _)| role == "row").count();
    assert_eq!(rows, 13, "{heard:#?}");
    assert_kept_to(&browser, &page, &served.base);
    served.end()
}
