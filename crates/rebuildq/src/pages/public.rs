//! The page for everybody.

use maud::{Markup, html};

use super::Site;
use super::chart::chart;
use super::estimates::{earlier, expected};
use super::figures::{figures, progress};
use super::headline::{Headline, banner};
use super::layout::{Document, old_warning, stamp};
use super::renewal::{ASKED_AGAIN, Renewal};
use super::words::{Clock, counted, percent};
use crate::status::{Note, Phase, Status};

/// The page's file, and that of the same page for those who do not want it to fetch itself again.
pub(super) const FILE: &str = "index.html";
pub(super) const STILL_FILE: &str = "still.html";

/// The page. `fetches_itself`: the reader's browser asks for it again every 30 seconds.
pub(super) fn page(status: &Status, site: &Site, fetches_itself: bool) -> String {
    let clock = Clock::new(status.made, &site.zone);
    let renewal = Renewal::Constant;
    let headline = Headline::of(status, &clock);
    let title = html! { h1 { (headline.title) } };
    let main = html! {
        (old_warning(renewal))
        (banner(headline.tone, &title, &headline.detail))
        (stamp(&clock, renewal))
        (key_figure(status))
        (expected(status, &clock))
        (notes(&status.notes, &clock))
        @if status.phase != Phase::Empty { (figures(status)) }
        (chart(status, &clock))
        (earlier(status, &clock))
        section aria-labelledby="own" {
            h2 #own { "Your own account" }
            p {
                "Accounts are rebuilt one by one, the urgent first. Where yours stands is on a page of \
                 its own, to which the operators can send you a link. This page names nobody."
            }
        }
    };
    let footer = html! {
        p {
            @if fetches_itself {
                "Your browser asks for this page again every 30 seconds. "
                a href=(STILL_FILE) { "Stop that" }
            } @else {
                "This page stays as it is until you load it again. "
                a href=(FILE) { "Have it renewed by itself" }
            }
            ". " a href=(super::json::FILE) { "The figures for programs (JSON)" } "."
        }
    };
    let asked_again = fetches_itself.then_some(ASKED_AGAIN);
    Document { site, title: &tab_title(status, &headline), asked_again, is_dated: true }
        .around(&main, &footer)
}

/// What the browser shows of a page that is not in front.
fn tab_title(status: &Status, headline: &Headline) -> String {
    match status.phase {
        Phase::Running => format!("{} % rebuilt", percent(status.users)),
        _ => headline.title.clone(),
    }
}

/// The one number that counts.
fn key_figure(status: &Status) -> Markup {
    html! {
        @if status.users.total > 0 {
            div.key {
                p {
                    strong { (super::words::number(status.users.done)) }
                    " of " (counted(status.users.total, "user"))
                    (if status.users.total == 1 { " is back" } else { " are back" })
                }
                (progress("Users who are back", status.users))
            }
        }
    }
}

fn notes(notes: &[Note], clock: &Clock<'_>) -> Markup {
    html! {
        @if !notes.is_empty() {
            section aria-labelledby="notes" {
                h2 #notes { "From the operators" }
                ol.notes {
                    @for note in notes {
                        li {
                            p.when { (clock.past(note.at)) }
                            p.text dir="auto" { (note.text) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, running};
    use super::*;
    use crate::status::Count;

    fn shown(status: &Status) -> String {
        page(status, &Site::default(), true)
    }

    #[test]
    fn a_running_rebuild_tells_how_far_it_is_when_it_ends_and_how_estimates_did() {
        let page = shown(&running());
        for words in [
            "Mailboxes are being rebuilt",
            "09:13 UTC today</time> (2 hours ago)",
            "The last sign of work was at",
            "<strong>130</strong> of 200 users are back",
            ">13:00</time> and <time datetime=\"2026-11-21T13:55:00Z\">13:55 UTC today",
            ", in 1 to 2 hours.",
            "It will be sooner by 10 minutes or more.",
            "Agrees with the estimate of now.",
            "812,440</strong> of 1,250,117",
            "about 47 users an hour, 82 messages a second",
            "New disks are in.",
            "11:58:00 UTC on Saturday 21 November 2026",
            "<title>65 % rebuilt – Mail</title>",
            "content=\"30\"",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        assert!(!page.contains("banner warning"));
    }

    #[test]
    fn every_other_phase_says_what_it_is_and_promises_no_time() {
        use Phase::{Done, Paused, Silent, Stopped};
        for (phase, title) in [
            (Paused { since: at(-600) }, "The rebuild is paused</h1>"),
            (Silent, "The rebuild has not reported since 11:54 UTC</h1>"),
            (Stopped, "The rebuild stands still</h1>"),
        ] {
            let page = shown(&Status { phase, reported: Some(at(-200)), ..running() });
            assert!(page.contains(title) && page.contains("banner warning"), "{title}\n{page}");
            assert!(page.contains("nobody can say when all will be back"), "{title}");
            assert!(!page.contains("Agrees with") && !page.contains("It will be"), "{title}");
        }
        let users = Count { done: 200, total: 200 };
        let done = Status { phase: Done { since: at(-60) }, users, estimate: None, ..running() };
        let page = shown(&done);
        assert!(page.contains("All mailboxes are rebuilt</h1>") && page.contains("banner good"));
        assert!(page.contains("It came 13 minutes sooner."), "{page}");
        assert!(!page.contains("are expected"));
        let page = shown(&Status { set_aside: 3, ..done });
        assert!(
            page.contains("rebuilt but those of 3 users</h1>") && page.contains("banner warning")
        );
    }

    #[test]
    fn a_queue_that_is_empty_or_not_begun_says_so() {
        let empty = shown(&Status::new(at(0), Phase::Empty));
        assert!(empty.contains("Nothing waits to be rebuilt"));
        assert!(!empty.contains("<progress") && !empty.contains("<svg role"));
        let users = Count { done: 0, total: 1 };
        let status = Status { users, begun: Some(at(-90)), ..Status::new(at(0), Phase::NotBegun) };
        let page = shown(&status);
        assert!(page.contains("1 user waits, the first since"), "{page}");
        assert!(page.contains("cannot be told yet"));
    }

    #[test]
    fn what_operators_write_is_text() {
        let text = "</p><script>alert(\"1\")</script>\nsecond & last".to_owned();
        let page = shown(&Status { notes: vec![Note { at: at(0), text }], ..running() });
        assert!(page.contains(
            "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\nsecond &amp; last"
        ));
        assert_eq!(page.matches("<script>").count(), 1);
    }

    #[test]
    fn the_still_page_does_not_fetch_itself() {
        let page = page(&running(), &Site::default(), false);
        assert!(!page.contains("http-equiv=\"refresh\"") && page.contains("Have it renewed"));
    }

    #[test]
    fn an_end_that_should_have_come_is_not_foretold() {
        let mut status = running();
        status.made = at(9000);
        let page = shown(&status);
        assert!(page.contains("It takes longer than estimated"), "{page}");
    }
}
