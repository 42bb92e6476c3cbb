//! When all will be done, and how earlier estimates did.

use mailstore_format::Timestamp;
use maud::{Markup, html};

use super::headline::goes_on;
use super::words::{Clock, lasting, number};
use crate::status::{Estimate, Phase, Status};

/// How many earlier estimates are shown.
const SHOWN: usize = 6;

/// When all will be done.
pub(super) fn expected(status: &Status, clock: &Clock<'_>) -> Markup {
    match (status.phase, &status.estimate) {
        (Phase::Done { .. } | Phase::Empty, _) => html! {},
        (phase, Some(estimate)) if goes_on(phase) => html! {
            p.expected {
                @let subject = match status.set_aside {
                    0 => "All users are expected to be back".to_owned(),
                    some => format!("All users but {} are expected to be back", number(some)),
                };
                (prediction(&subject, estimate, clock))
            }
        },
        (phase, None) if goes_on(phase) => html! {
            p.expected {
                "When all will be back cannot be told yet: too little has been measured."
            }
        },
        (phase, estimate) => html! {
            p.expected {
                @match phase {
                    Phase::Silent => "Until it reports again",
                    _ => "While it stands still",
                }
                ", nobody can say when all will be back."
                @if let Some(last) = estimate.as_ref().or(status.earlier.last()) {
                    " The last estimate, of " (clock.moment(last.made)) ", was: "
                    (clock.range(last)) "."
                }
            }
        },
    }
}

/// `subject between 14:10 and 15:00 UTC today, in 2 to 3 hours.`
pub(super) fn prediction(subject: &str, estimate: &Estimate, clock: &Clock<'_>) -> Markup {
    html! {
        @if estimate.latest < clock.now() {
            "It takes longer than estimated: the end was expected " (clock.range(estimate)) "."
        } @else {
            (subject) " " strong { (clock.range(estimate)) } ", " (clock.until(estimate)) "."
        }
    }
}

/// What was estimated earlier, and what is to be said of it now.
pub(super) fn earlier(status: &Status, clock: &Clock<'_>) -> Markup {
    html! {
        @if !status.earlier.is_empty() {
            section aria-labelledby="earlier" {
                h2 #earlier { "How earlier estimates did" }
                p {
                    @match status.phase {
                        Phase::Done { .. } => "What was said before the end came:",
                        _ => "An estimate is a range, because mailboxes differ. What was said before:",
                    }
                }
                ul.earlier {
                    @for estimate in status.earlier.iter().rev().take(SHOWN) {
                        li {
                            span.when { "At " (clock.past(estimate.made)) ":" } " "
                            (clock.range(estimate))
                            @if let Some(verdict) = verdict(estimate, status) {
                                ". " em { (verdict) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is to be said of an earlier estimate, where anything can be: of the ranges as they are told.
fn verdict(earlier: &Estimate, status: &Status) -> Option<String> {
    let earlier = earlier.rounded();
    let apart = |later: Timestamp, sooner: Timestamp| {
        lasting(later.seconds().saturating_sub(sooner.seconds()).max(60))
    };
    if let Phase::Done { since } = status.phase {
        return Some(if since > earlier.latest {
            format!("It came {} later.", apart(since, earlier.latest))
        } else if since < earlier.earliest {
            format!("It came {} sooner.", apart(earlier.earliest, since))
        } else {
            "It came true.".to_owned()
        });
    }
    let now = status.estimate.filter(|_| goes_on(status.phase)).map(Estimate::rounded)?;
    Some(if now.earliest > earlier.latest {
        format!("It will be later by {} or more.", apart(now.earliest, earlier.latest))
    } else if now.latest < earlier.earliest {
        format!("It will be sooner by {} or more.", apart(earlier.earliest, now.latest))
    } else {
        "Agrees with the estimate of now.".to_owned()
    })
}
