//! What a request is answered: the text of a mail, without its header.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::TimeZone;
use mailstore_format::Timestamp;

use crate::status::Estimate;

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What became of accounts.
    Accounts {
        /// Each account, by its name, with what became of it: the sender's own, or those that an
        /// operator named.
        each: Vec<(String, Outcome)>,
        /// The address of the status page.
        page: Option<String>,
    },
    /// The sender asked often enough.
    TooOften {
        /// The address of the status page.
        page: Option<String>,
    },
    /// A person will read it. The same whoever asked, for whatever.
    Unclear {
        /// The address of the status page.
        page: Option<String>,
    },
}

/// What became of one account's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It comes earlier now.
    Raised {
        /// Its place; 1 is next.
        place: u64,
        /// When it will be done, where that can be told.
        estimate: Option<Estimate>,
    },
    /// It is being worked on.
    Running,
    /// It is done.
    Done,
    /// Nothing is in the queue for it.
    NotQueued,
    /// An operator holds it, or it was set aside.
    KeptBack,
}

impl Answer {
    /// The text; times are told in `zone`. Lines end in LF.
    #[must_use]
    pub fn text(&self, zone: &TimeZone) -> String {
        let (mut text, page) = match self {
            Self::Accounts { each, page } => {
                let parts: Vec<String> =
                    each.iter().map(|(account, outcome)| outcome.text(account, zone)).collect();
                (parts.join("\n"), page)
            }
            Self::TooOften { page } => (TOO_OFTEN.to_owned(), page),
            Self::Unclear { page } => (UNCLEAR.to_owned(), page),
        };
        if let Some(page) = page {
            // Writing to a string cannot fail.
            let _ = write!(text, "\nHow far everything is:\n{page}\n");
        }
        text
    }
}

impl Outcome {
    fn text(&self, account: &str, zone: &TimeZone) -> String {
        match self {
            Self::Raised { place, estimate } => {
                format!("Account {account}: {}\n{}\n", position(*place), expected(*estimate, zone))
            }
            Self::Running => format!(
                "Account {account} is being rebuilt right now. It will be back soon; you need\n\
                 not ask again.\n"
            ),
            Self::Done => format!(
                "Account {account} is rebuilt already. Please log in again. If you still\n\
                 cannot, or miss anything, tell your operators.\n"
            ),
            Self::NotQueued => format!(
                "Account {account} is not in the queue: nothing is to be rebuilt for it. If\n\
                 something is wrong with it, tell your operators.\n"
            ),
            Self::KeptBack => format!(
                "Account {account} needs somebody to look at it before it can go on. The\n\
                 operators will do so; you need not ask again.\n"
            ),
        }
    }
}

const TOO_OFTEN: &str = "\
You have asked several times in a short while, so this mail has changed nothing.
What you asked for before still counts.
";

const UNCLEAR: &str = "\
Thank you. This mail could not be understood by the program that reads it, so it
is kept for the operators. A person will read it.

To have your own account rebuilt earlier, write from its own address, with the
subject \"Priority rebuild\" and nothing else.
";

fn position(place: u64) -> String {
    match place {
        0 | 1 => "it is next to be rebuilt.".to_owned(),
        _ => format!("it is number {place} in the queue."),
    }
}

fn expected(estimate: Option<Estimate>, zone: &TimeZone) -> String {
    let Some(estimate) = estimate else {
        return "When it will be done cannot be told yet.".to_owned();
    };
    let estimate = estimate.rounded();
    let (from, until) = (zoned(estimate.earliest, zone), zoned(estimate.latest, zone));
    let day = |time: &Zoned| time.strftime("%A %-d %B").to_string();
    let hour = |time: &Zoned| time.strftime("%H:%M").to_string();
    let start = if day(&from) == day(&until) {
        hour(&from)
    } else {
        format!("{} on {}", hour(&from), day(&from))
    };
    let end = format!("{} on {}", until.strftime("%H:%M %Z"), day(&until));
    format!("It is expected to be done between {start} and\n{end}.")
}

fn zoned(time: Timestamp, zone: &TimeZone) -> Zoned {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
    time.to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400;

    fn one(outcome: Outcome) -> String {
        let each = vec![("alice".to_owned(), outcome)];
        Answer::Accounts { each, page: None }.text(&TimeZone::UTC)
    }

    fn raised(place: u64, seconds: Option<(i64, i64)>) -> Outcome {
        let at = |after| Timestamp::from_seconds(NOON + after);
        let estimate = seconds.map(|(earliest, latest)| Estimate {
            made: at(0),
            earliest: at(earliest),
            latest: at(latest),
        });
        Outcome::Raised { place, estimate }
    }

    #[test]
    fn who_comes_earlier_is_told_their_place_and_when_it_is_done() {
        assert_eq!(
            one(raised(1, None)),
            "Account alice: it is next to be rebuilt.\nWhen it will be done cannot be told yet.\n"
        );
        assert_eq!(
            one(raised(12, Some((7801, 10_799)))),
            "Account alice: it is number 12 in the queue.\nIt is expected to be done between \
             14:10 and\n15:00 UTC on Saturday 21 November.\n"
        );
        assert!(one(raised(2, Some((38_400, 47_700)))).ends_with(
            "between 22:40 on Saturday 21 November and\n01:15 UTC on Sunday 22 November.\n"
        ));
        for ends in [(i64::MIN / 2, i64::MAX / 2), (5, 1)] {
            assert!(one(raised(2, Some(ends))).contains("between"));
        }
    }

    #[test]
    fn each_outcome_has_its_own_words() {
        for (outcome, words) in [
            (Outcome::Running, "right now"),
            (Outcome::Done, "log in again"),
            (Outcome::NotQueued, "not in the queue"),
            (Outcome::KeptBack, "operators will do so"),
        ] {
            let text = one(outcome);
            assert!(text.contains(words) && text.contains("alice"), "{text}");
        }
    }

    #[test]
    fn an_operator_is_told_of_each_account_and_all_are_told_of_the_page() {
        let page = Some("https://status.example.org/".to_owned());
        let each = vec![("bob".to_owned(), Outcome::Done), ("carol".to_owned(), Outcome::KeptBack)];
        let zone = TimeZone::UTC;
        let told = Answer::Accounts { each, page: page.clone() }.text(&zone);
        assert!(told.contains("Account bob") && told.contains("\n\nAccount carol"), "{told}");
        for answer in [Answer::TooOften { page: page.clone() }, Answer::Unclear { page }] {
            let text = answer.text(&zone);
            assert!(text.ends_with("\nHow far everything is:\nhttps://status.example.org/\n"));
            assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        }
    }
}
