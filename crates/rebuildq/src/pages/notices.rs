//! Pages that say why there is no other.

use maud::html;

use super::Site;
use super::layout::Document;
use super::renewal::ASKED_AGAIN;

/// What every address gets that has no page: an unknown token, one that is no longer in force, one
/// that never could be one.
pub(super) fn not_found(site: &Site) -> String {
    let main = html! {
        h1 { "There is no such page" }
        p {
            "If you came by a link to your own account: it may be incomplete, or not be in force any \
             more. Please copy it whole, or ask the operators for another."
        }
    };
    Document { site, title: "No such page", asked_again: None, is_dated: false }
        .around(&main, &html! {})
}

/// What a request gets while nothing can be read.
pub(super) fn unavailable(site: &Site) -> String {
    let main = html! {
        h1 { "How far the rebuild is cannot be told just now" }
        p {
            "That is about this page, and says nothing of your mail or of the rebuild. Your browser \
             asks again by itself every 30 seconds."
        }
    };
    let asked_again = Some(ASKED_AGAIN);
    Document { site, title: "Not available just now", asked_again, is_dated: false }
        .around(&main, &html! {})
}

/// What a request gets that asks for anything but a page.
pub(super) fn not_allowed(site: &Site) -> String {
    let main = html! { h1 { "Pages can only be read here" } };
    Document { site, title: "Not allowed", asked_again: None, is_dated: false }
        .around(&main, &html! {})
}
