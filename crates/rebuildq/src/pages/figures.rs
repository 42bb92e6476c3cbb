//! How much is done and what remains.

use maud::{Markup, html};

use super::words::{counted, number, percent};
use crate::status::{Count, Phase, Rate, Status};

/// Users, mailboxes, messages, those set aside, and the rate.
pub(super) fn figures(status: &Status) -> Markup {
    html! {
        section aria-labelledby="figures" {
            h2 #figures { "How far it is" }
            (bar("Users", status.users))
            (bar("Mailboxes", status.mailboxes))
            (bar("Messages", status.messages))
            @if status.set_aside > 0 {
                p.aside {
                    strong { (counted(status.set_aside, "user")) }
                    " could not be finished by the program: somebody has to look at their mailboxes."
                }
            }
            @if let Some(rate) = &status.rate.filter(|_| status.phase == Phase::Running) {
                (pace(rate))
            }
        }
    }
}

/// One figure as a bar, with its words beside.
pub(super) fn bar(name: &str, count: Count) -> Markup {
    html! {
        div.figure {
            p {
                span.name { (name) } " "
                span { strong { (number(count.done)) } " of " (number(count.total)) }
                " " span.left { (number(count.left())) " left" }
            }
            (progress(name, count))
        }
    }
}

/// A bar.
pub(super) fn progress(label: &str, count: Count) -> Markup {
    // Of nothing, all is done.
    let (done, total) = if count.total == 0 { (1, 1) } else { (count.done, count.total) };
    html! {
        progress aria-label=(label) value=(done.min(total)) max=(total) { (percent(count)) " %" }
    }
}

fn pace(rate: &Rate) -> Markup {
    let per = |value: f64, name: &str| {
        let is_told = value.is_finite() && value > 0.0;
        is_told.then(|| match value {
            ..10.0 => format!("{value:.1} {name}"),
            _ => format!("{} {name}", number(whole(value))),
        })
    };
    let paces = [per(rate.users, "users an hour"), per(rate.messages, "messages a second")];
    let paces: Vec<String> = paces.into_iter().flatten().collect();
    html! { @if !paces.is_empty() { p.pace { "Of late: about " (paces.join(", ")) "." } } }
}

/// The nearest whole number.
#[allow(clippy::cast_possible_truncation, reason = "a float beyond the range becomes its end")]
#[allow(clippy::cast_sign_loss, reason = "called for what is above zero")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(users: f64, messages: f64) -> String {
        pace(&Rate { users, messages }).into_string()
    }

    #[test]
    fn a_rate_that_says_nothing_is_not_told() {
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(told(nothing, nothing), "");
        }
        let both = told(3.26, 1234.5);
        assert!(both.contains("about 3.3 users an hour, 1,235 messages a second"), "{both}");
    }

    #[test]
    fn a_bar_says_in_words_what_it_shows() {
        let bar = bar("Users", Count { done: 1300, total: 2000 }).into_string();
        assert!(bar.contains("<strong>1,300</strong> of 2,000"));
        assert!(bar.contains("700 left"));
        assert!(bar.contains("value=\"1300\" max=\"2000\">65 %</progress>"), "{bar}");
        let none = progress("Users", Count::default()).into_string();
        assert!(none.contains("value=\"1\" max=\"1\">100 %"), "{none}");
        let beyond = progress("Users", Count { done: 9, total: 5 }).into_string();
        assert!(beyond.contains("value=\"5\" max=\"5\">100 %"), "{beyond}");
    }
}
