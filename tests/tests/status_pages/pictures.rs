//! The pictures of `docs/status/`, taken anew where `MAILSTORE_PICTURES` is set.

use std::path::Path;

use anyhow::Result;
use mailstore_tests::{Browser, View};
use rebuildq::status::Phase;

use crate::scene::{Served, TOKEN};

#[test]
fn the_pictures_of_the_documentation_can_be_taken() -> Result<()> {
    let test = "the_pictures_of_the_documentation_can_be_taken";
    let Some(mut browser) = Browser::available_or_skip(test) else { return Ok(()) };
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status");
    let elsewhere = tempfile::tempdir()?;
    let is_asked = std::env::var_os("MAILSTORE_PICTURES").is_some();
    let directory = if is_asked { &documents } else { elsewhere.path() };

    let served = Served::new()?;
    let own = format!("u/{TOKEN}.html");
    let wide = View { width: 760, height: 1360, ..View::default() };
    let phone = View { width: 390, height: 844, ..View::default() };
    for (name, path, view, phase) in [
        ("public-light", "", wide, Phase::Running),
        ("public-dark", "", View { dark: true, ..wide }, Phase::Running),
        ("public-phone", "", View { height: 1400, ..phone }, Phase::Running),
        ("own-phone", own.as_str(), phone, Phase::Running),
        ("silent-phone", "", phone, Phase::Silent),
    ] {
        let silent_for = if phase == Phase::Silent { 190 } else { 4 };
        served.show(|scene| (scene.phase, scene.silent_for) = (phase, silent_for));
        let page = browser.page(view)?;
        browser.goto(&page, &format!("{}/{path}", served.base))?;
        let file = directory.join(format!("{name}.png"));
        browser.picture(&page, &file)?;
        let size = file.metadata()?.len();
        assert!((5_000..150_000).contains(&size), "{name}: {size}");
    }
    served.end()
}
