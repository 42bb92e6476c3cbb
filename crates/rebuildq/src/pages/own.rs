//! The page of one account, behind a link that only its owner has.

use maud::{Markup, html};

use super::Site;
use super::estimates::prediction;
use super::figures::bar;
use super::headline::{Headline, Tone, banner, goes_on};
use super::layout::{Document, old_warning, stamp};
use super::renewal::{ASKED_AGAIN, Renewal};
use super::words::{Clock, counted};
use crate::status::{OwnStatus, Standing, Status};

/// The page. `status` is that of all, read before `own`: the page is of its time.
pub(super) fn page(own: &OwnStatus, status: &Status, site: &Site, renewal: Renewal) -> String {
    let mut clock = Clock::new(status.made, &site.zone);
    if renewal == Renewal::WhenChanged {
        clock = clock.lasting();
    }
    let (tone, title) = headline(own);
    let title_markup = html! { h1 { (title) } };
    let main = html! {
        (old_warning(renewal))
        p.account { "Account " strong dir="auto" { (own.user) } }
        (banner(tone, &title_markup, &detail(own, &clock)))
        (stamp(&clock, renewal))
        (access(own))
        @if is_awaited(own) && !goes_on(status.phase) { (of_all(status, &clock)) }
        @if own.mailboxes.total > 0 {
            section aria-labelledby="mailboxes" {
                h2 #mailboxes { "Your mailboxes" }
                (bar("Rebuilt", own.mailboxes))
            }
        }
        p { a href="../" { "How far all are, and what the operators say" } }
    };
    let footer = html! {
        p { "This page is only for whoever has its link: keep the link to yourself." }
    };
    let asked_again = Some(ASKED_AGAIN);
    Document { site, title, asked_again, is_dated: true }.around(&main, &footer)
}

/// Whether its owner has something to wait for that is done by the rebuild.
pub(super) fn is_awaited(own: &OwnStatus) -> bool {
    match own.standing {
        Standing::Waiting { .. } | Standing::Running { .. } | Standing::Held => true,
        Standing::Done { .. } | Standing::SetAside { .. } | Standing::Cancelled { .. } => {
            own.is_closed
        }
    }
}

fn headline(own: &OwnStatus) -> (Tone, &'static str) {
    match own.standing {
        Standing::Waiting { .. } => (Tone::Quiet, "Your mailboxes wait for their turn"),
        Standing::Held => (Tone::Warning, "Your mailboxes are kept back"),
        Standing::Running { .. } => (Tone::Going, "Your mailboxes are being rebuilt"),
        Standing::Done { .. } => (Tone::Good, "Your mailboxes are rebuilt"),
        Standing::SetAside { .. } => {
            (Tone::Warning, "Your mailboxes need somebody to look at them")
        }
        Standing::Cancelled { .. } => (Tone::Warning, "Your mailboxes are not in the queue"),
    }
}

fn detail(own: &OwnStatus, clock: &Clock<'_>) -> Markup {
    html! {
        @match &own.standing {
            Standing::Waiting { before, estimate } => {
                p {
                    @match before {
                        0 => { "You are next." }
                        1 => { strong { "1 account" } " is before yours." }
                        _ => { strong { (counted(*before, "account")) } " are before yours." }
                    }
                }
                p {
                    @match estimate {
                        Some(estimate) => (prediction("Yours is expected to be done", estimate, clock)),
                        None => "When yours will be done cannot be told now.",
                    }
                }
            }
            Standing::Held => p {
                "An operator has them wait until something is settled. Others go on meanwhile."
            },
            Standing::Running { since } => p { "Since " (clock.past(*since)) "." },
            Standing::Done { since } => p { "Since " (clock.past(*since)) "." },
            Standing::SetAside { since } => p {
                "Since " (clock.past(*since)) ". The program could not finish them by itself. The \
                 operators know of it; you need not do anything."
            },
            Standing::Cancelled { since } => p {
                "An operator took them out at " (clock.past(*since)) "."
            },
        }
    }
}

/// Whether log-in works.
fn access(own: &OwnStatus) -> Markup {
    let is_done = matches!(own.standing, Standing::Done { .. });
    let (tone, title, detail) = match (own.is_closed, is_done) {
        (true, _) => (
            Tone::Warning,
            "Log-in does not work now",
            "It is closed on purpose while your mailboxes are not whole. Your password is not at fault.",
        ),
        (false, true) => (Tone::Good, "Log-in works", "Everything can be used as before."),
        (false, false) => (
            Tone::Good,
            "Log-in works",
            "Until your mailboxes are rebuilt, some of what is in them may not be shown rightly.",
        ),
    };
    banner(tone, &html! { h2 { (title) } }, &html! { p { (detail) } })
}

/// What stands in the way of all, where something does.
fn of_all(status: &Status, clock: &Clock<'_>) -> Markup {
    let headline = Headline::of(status, clock);
    html! {
        @if headline.tone == Tone::Warning {
            (banner(headline.tone, &html! { h2 { (headline.title) } }, &headline.detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{alice, at, running};
    use super::*;
    use crate::status::{Count, Phase};

    fn shown(own: &OwnStatus) -> String {
        page(own, &running(), &Site::default(), Renewal::Constant)
    }

    #[test]
    fn who_waits_is_told_their_place_whether_they_can_log_in_and_when_it_ends() {
        let page = shown(&alice());
        for words in [
            "Account <strong dir=\"auto\">alice</strong>",
            "<strong>11 accounts</strong> are before yours",
            "in 30 to 60 minutes",
            "Log-in does not work now",
            "Your password is not at fault",
            "<strong>0</strong> of 8",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
    }

    #[test]
    fn each_standing_has_its_own_words() {
        let since = at(-60);
        for (standing, words) in [
            (Standing::Waiting { before: 0, estimate: None }, "You are next"),
            (Standing::Waiting { before: 1, estimate: None }, "1 account</strong> is before"),
            (Standing::Held, "are kept back"),
            (Standing::Running { since }, "are being rebuilt"),
            (Standing::Done { since }, "Your mailboxes are rebuilt"),
            (Standing::SetAside { since }, "need somebody to look"),
            (Standing::Cancelled { since }, "are not in the queue"),
        ] {
            let page = shown(&OwnStatus { standing, is_closed: false, ..alice() });
            assert!(page.contains(words) && page.contains("Log-in works"), "{words}\n{page}");
        }
    }

    #[test]
    fn who_waits_for_a_rebuild_that_stands_still_is_told_and_who_is_back_is_not_bothered() {
        let status = Status { phase: Phase::Silent, reported: Some(at(-200)), ..running() };
        let shown = |own: &OwnStatus| page(own, &status, &Site::default(), Renewal::Constant);
        assert!(shown(&alice()).contains("The rebuild has not reported since 11:54 UTC"));
        let standing = Standing::Done { since: at(-600) };
        let mailboxes = Count { done: 8, total: 8 };
        let back = OwnStatus { standing, mailboxes, is_closed: false, ..alice() };
        assert!(!shown(&back).contains("has not reported"));
    }

    #[test]
    fn an_account_is_text() {
        let page = shown(&OwnStatus { user: "<b>\"x".to_owned(), ..alice() });
        assert!(page.contains("&lt;b&gt;&quot;x") && !page.contains("<b>"));
    }
}
