//! What all pages have: the document, its style, the time of which it is, and what it may load.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::Site;
use super::renewal::Renewal;
use super::words::{Clock, rfc3339};

const STYLE: &str = include_str!("style.css");

/// Turns the time stamp of a page that nobody renews into a warning. Everything else works without.
const SCRIPT: &str = include_str!("age.js");

/// Nothing may be loaded; this style and this script may be used, known by their digests.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
});

/// How a page says that it is ours, near its beginning.
pub(super) const GENERATOR: &str = "<meta name=\"generator\" content=\"rebuildq\">";

/// A picture beside the page's title in the browser, so that none is asked of the server.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%231d5f8a'/%3E%3Cpath \
    d='M3 5h10v7H3zm0 0 5 4 5-4' fill='none' stroke='%23fff' stroke-width='1.4'/%3E%3C/svg%3E";

/// A page, but for what it says.
pub(super) struct Document<'a> {
    pub(super) site: &'a Site,
    pub(super) title: &'a str,
    /// After how many seconds the browser asks for it again.
    pub(super) asked_again: Option<u32>,
    /// Whether it has the time at which it was made, which the script looks after.
    pub(super) is_dated: bool,
}

impl Document<'_> {
    pub(super) fn around(&self, main: &Markup, footer: &Markup) -> String {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    (PreEscaped(GENERATOR))
                    meta http-equiv="Content-Security-Policy" content=(*POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    meta name="robots" content="noindex";
                    meta name="color-scheme" content="light dark";
                    @if let Some(seconds) = self.asked_again {
                        meta http-equiv="refresh" content=(seconds);
                    }
                    title { (self.title) " – " (self.site.name) }
                    link rel="icon" href=(PreEscaped(ICON));
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { p.site { (self.site.name) } }
                    main { (main) }
                    footer { (footer) }
                    @if self.is_dated { script { (PreEscaped(SCRIPT)) } }
                }
            }
        };
        document.into_string()
    }
}

/// When a page was made and when it is renewed.
pub(super) fn stamp(clock: &Clock<'_>, renewal: Renewal) -> Markup {
    let made = clock.now();
    html! {
        p.made {
            "As of " time #made datetime=(rfc3339(made)) { (clock.stamp(made)) }
            ". This page is renewed " (renewal.when()) "."
        }
    }
}

/// What the script shows once a page is old: first of all, for all that follows is of the past.
pub(super) fn old_warning(renewal: Renewal) -> Markup {
    html! {
        @if let Some(seconds) = renewal.old_after() {
            div #old.warning role="alert" hidden data-after=(seconds) {
                p { strong { "This page is old." } }
                p {
                    "By the clock of your device it is " span #age { "some time" } " old, and it \
                     should be renewed " (renewal.when()) ". What it says may not be true any more."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours of one scheme, by name: those of `:root`, or of the dark block.
    fn colours(block: &str) -> std::collections::BTreeMap<String, [f64; 3]> {
        let lines = block.lines().filter_map(|line| line.trim().strip_prefix("--"));
        let pairs = lines.filter_map(|line| line.trim_end_matches(';').split_once(": #"));
        let parsed = pairs.map(|(name, hex)| {
            let channel = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            (name.to_owned(), [channel(0), channel(2), channel(4)])
        });
        parsed.collect()
    }

    /// The relative luminance of WCAG 2.
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = colour.map(|channel| {
            let part = channel / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_ground_and_lines_can_be_seen_in_both_schemes() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for (scheme, block) in [("light", light), ("dark", dark)] {
            let colours = colours(block);
            let grounds = ["ground", "card", "good-ground", "going-ground", "warn-ground"];
            let on_all = ["ink", "quiet"].map(|text| grounds.map(|ground| (text, ground, 4.5)));
            let own = [
                ("good", "good-ground", 4.5),
                ("going", "going-ground", 4.5),
                ("warn", "warn-ground", 4.5),
                ("link", "ground", 4.5),
                ("link", "card", 4.5),
                ("line", "card", 3.0),
                ("bar", "card", 3.0),
                ("bar", "trough", 3.0),
                ("bar", "going-ground", 3.0),
                ("edge", "card", 3.0),
            ];
            for (one, other, least) in on_all.into_iter().flatten().chain(own) {
                let found = contrast(colours[one], colours[other]);
                assert!(found >= least, "{scheme}: {one} on {other} has {found:.2}");
            }
        }
    }

    #[test]
    fn a_page_loads_nothing_and_its_policy_names_its_own_style_and_script() {
        let site = Site::default();
        let document = Document { site: &site, title: "t", asked_again: Some(30), is_dated: true };
        let page = document.around(&html! {}, &html! {});
        for digest in [STYLE, SCRIPT].map(|text| BASE64_STANDARD.encode(Sha256::digest(text))) {
            assert!(page.contains(&digest));
        }
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
        for loader in ["src=", "@import", "url(", "https:", "//cdn"] {
            assert!(!page.contains(loader), "{loader}");
        }
        assert!(page.find("Content-Security-Policy").unwrap() < page.find("<style>").unwrap());
    }

    #[test]
    fn the_sites_name_is_text() {
        let site = Site { name: "<b>&\"".to_owned(), ..Site::default() };
        let document = Document { site: &site, title: "<i>", asked_again: None, is_dated: false };
        let page = document.around(&html! {}, &html! {});
        assert!(page.contains("<title>&lt;i&gt; – &lt;b&gt;&amp;&quot;</title>"));
        assert!(!page.contains("<b>") && !page.contains("refresh") && !page.contains("<script"));
    }
}
