//! Progress over time, as a drawing and as a table.
//!
//! Lines and areas are stretched to whatever room there is, in units of thousandths; letters are not:
//! they keep the size that the reader chose.

use std::fmt::Write as _;

use mailstore_format::Timestamp;
use maud::{Markup, html};

use super::words::{Clock, number, tagged};
use crate::status::{Estimate, Phase, Sample, Status};

/// How wide and how high the drawing is, in its own units.
const WIDTH: i64 = 1000;
const HEIGHT: i64 = 1000;

/// How many rows the table has at most.
const ROWS: usize = 12;

/// Progress over time; nothing where there is none to draw.
pub(super) fn chart(status: &Status, clock: &Clock<'_>) -> Markup {
    let Some(drawing) = Drawing::of(status) else { return html! {} };
    html! {
        section aria-labelledby="chart" {
            h2 #chart { "Progress over time" }
            figure {
                (drawing.markup(clock))
                figcaption {
                    "Users whose mailboxes are rebuilt."
                    @if drawing.estimate.is_some() {
                        " The dashed line is now, the wedge is where the estimate has it end."
                    }
                }
            }
            (table(&drawing.samples, clock))
        }
    }
}

/// What is drawn.
struct Drawing {
    samples: Vec<Sample>,
    start: Timestamp,
    now: Timestamp,
    end: Timestamp,
    total: u64,
    /// Only while work goes on.
    estimate: Option<Estimate>,
}

impl Drawing {
    fn of(status: &Status) -> Option<Self> {
        let samples = samples(status);
        let (first, last) = (samples.first()?, samples.last()?);
        let start = status.begun.unwrap_or(first.at).min(first.at);
        let estimate = status.estimate.map(Estimate::rounded).filter(|estimate| {
            status.phase == Phase::Running && estimate.latest > last.at && status.users.left() > 0
        });
        let now = status.made.max(last.at);
        let end = match (status.phase, estimate) {
            (Phase::Done { .. }, _) => last.at,
            (_, Some(estimate)) => now.max(estimate.latest),
            (_, None) => now,
        };
        let total = samples.iter().map(|sample| sample.users).fold(status.users.total, u64::max);
        (end.seconds() > start.seconds() && total > 0).then_some(Self {
            samples,
            start,
            now,
            end,
            total,
            estimate,
        })
    }

    fn x(&self, at: Timestamp) -> i64 {
        let span = self.end.seconds().saturating_sub(self.start.seconds()).max(1);
        let passed = at.seconds().saturating_sub(self.start.seconds()).clamp(0, span);
        passed.saturating_mul(WIDTH) / span
    }

    fn y(&self, users: u64) -> i64 {
        let share = u128::from(users) * 1000 / u128::from(self.total.max(1));
        HEIGHT - i64::try_from(share).unwrap_or(HEIGHT).min(HEIGHT)
    }

    /// The line of what was done, from nothing at the start.
    fn line(&self) -> String {
        let mut line = format!("M0 {HEIGHT}");
        for sample in &self.samples {
            // Writing into a string cannot fail.
            let _ = write!(line, "L{} {}", self.x(sample.at), self.y(sample.users));
        }
        line
    }

    fn wedge(&self, estimate: &Estimate) -> Option<String> {
        let last = self.samples.last()?;
        let (x, y) = (self.x(last.at), self.y(last.users));
        let (earliest, latest) = (self.x(estimate.earliest).max(x), self.x(estimate.latest).max(x));
        Some(format!("M{x} {y}L{earliest} 0L{latest} 0z"))
    }

    fn markup(&self, clock: &Clock<'_>) -> Markup {
        let line = self.line();
        let until = self.samples.last().map_or(0, |last| self.x(last.at));
        let with_day = clock.are_days_apart(self.start, self.end);
        let now = percent_of(self.x(self.now));
        html! {
            div.plot {
                svg role="img" aria-labelledby="chart-title chart-text" {
                    title #chart-title { "Users whose mailboxes are rebuilt, over time" }
                    desc #chart-text { (self.words(clock)) }
                    @for (y, users) in [("0%", self.total), ("50%", self.total / 2), ("100%", 0)] {
                        line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
                        text.y x="0" y=(y) dx="-8" dy="0.35em" { (number(users)) }
                    }
                    svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none"
                        width="100%" height="100%" {
                        @if let Some(wedge) = self.estimate.as_ref().and_then(|e| self.wedge(e)) {
                            path.wedge d=(wedge) vector-effect="non-scaling-stroke" {}
                        }
                        path.area d=(format!("{line}L{until} {HEIGHT}z")) {}
                        path.line d=(line) vector-effect="non-scaling-stroke" {}
                    }
                    @if self.estimate.is_some() {
                        line.now x1=(now) x2=(now) y1="0" y2="100%" {}
                    }
                    text.x x="0" y="100%" dy="1.5em" { (clock.short(self.start, with_day)) }
                    text.x.end x="100%" y="100%" dy="1.5em" {
                        (clock.short(self.end, with_day)) " " (clock.zone_name(self.end))
                    }
                }
            }
        }
    }

    /// What the drawing shows, for those who do not see it.
    fn words(&self, clock: &Clock<'_>) -> String {
        let with_day = clock.are_days_apart(self.start, self.end);
        let time = |time| format!("{} {}", clock.short(time, with_day), clock.zone_name(time));
        let done = self.samples.last().map_or((self.start, 0), |last| (last.at, last.users));
        let mut words = format!(
            "From none at {} to {} of {} at {}.",
            time(self.start),
            number(done.1),
            number(self.total),
            time(done.0)
        );
        if let Some(estimate) = &self.estimate {
            let _ = write!(
                words,
                " All are expected between {} and {}.",
                time(estimate.earliest),
                time(estimate.latest)
            );
        }
        words
    }
}

/// The samples in the order of time, and how far it is now, or was at the end.
fn samples(status: &Status) -> Vec<Sample> {
    let mut samples = status.progress.clone();
    samples.retain(|sample| sample.at <= status.made);
    let known = match status.phase {
        Phase::Done { since } => Some(since.min(status.made)),
        // Nobody knows.
        Phase::Silent | Phase::Stopped | Phase::Empty => None,
        Phase::NotBegun | Phase::Running | Phase::Paused { .. } => Some(status.made),
    };
    if let Some(at) = known.filter(|_| !samples.is_empty()) {
        samples.push(Sample { at, users: status.users.done, messages: status.messages.done });
    }
    samples.sort_by_key(|sample| sample.at);
    samples
}

fn percent_of(x: i64) -> String {
    format!("{}.{}%", x * 100 / WIDTH, x * 1000 / WIDTH % 10)
}

/// The same as a table, of rows spread over all samples.
fn table(samples: &[Sample], clock: &Clock<'_>) -> Markup {
    let last = samples.len().saturating_sub(1);
    let rows = samples.len().min(ROWS);
    let picked = (0..rows).filter_map(|row| samples.get(last * row / (rows - 1).max(1)));
    let with_day = samples.first().zip(samples.last());
    let with_day = with_day.is_some_and(|(first, last)| clock.are_days_apart(first.at, last.at));
    html! {
        details {
            summary { "The same as a table" }
            table {
                thead {
                    tr {
                        th scope="col" { "Time (" (clock.zone_name(clock.now())) ")" }
                        th scope="col" { "Users rebuilt" }
                        th scope="col" { "Messages in them" }
                    }
                }
                tbody {
                    @for sample in picked {
                        tr {
                            th scope="row" { (tagged(sample.at, &clock.short(sample.at, with_day))) }
                            td { (number(sample.users)) }
                            td { (number(sample.messages)) }
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
    use jiff::tz::TimeZone;

    fn drawn(status: &Status) -> String {
        chart(status, &Clock::new(status.made, &TimeZone::UTC)).into_string()
    }

    #[test]
    fn the_line_ends_at_what_is_done_now_and_the_wedge_at_the_estimate() {
        let status = running();
        let drawing = Drawing::of(&status).unwrap();
        assert!(drawing.line().starts_with("M0 1000L"), "{}", drawing.line());
        assert!(drawing.line().ends_with(&format!("L{} 350", drawing.x(status.made))));
        let told = status.estimate.unwrap().rounded();
        assert_eq!(drawing.x(told.latest), 1000);
        let drawn = drawn(&status);
        assert!(drawn.contains("class=\"wedge\"") && drawn.contains("class=\"now\""));
        assert!(
            drawn.contains(
                "to 130 of 200 at 11:58 UTC. All are expected between 13:00 UTC and 13:55 UTC."
            ),
            "{drawn}"
        );
    }

    #[test]
    fn a_silent_rebuild_is_drawn_up_to_its_last_sample_and_promises_nothing() {
        let status = Status { phase: Phase::Silent, ..running() };
        let last = *status.progress.last().unwrap();
        assert_eq!(Drawing::of(&status).unwrap().samples.last(), Some(&last));
        let drawn = drawn(&status);
        assert!(!drawn.contains("class=\"wedge\"") && !drawn.contains("expected"));
    }

    #[test]
    fn a_rebuild_that_is_done_is_drawn_to_its_end() {
        let users = Count { done: 200, total: 200 };
        let done = Status { phase: Phase::Done { since: at(-10) }, users, ..running() };
        assert!(Drawing::of(&done).unwrap().line().ends_with("L1000 0"));
    }

    #[test]
    fn the_table_has_few_rows_with_the_first_and_the_last_among_them() {
        let drawn = drawn(&running());
        assert_eq!(drawn.matches("<tr>").count(), ROWS + 1);
        assert!(drawn.contains(">130<") && drawn.contains(">0<"));
    }

    #[test]
    fn nothing_is_drawn_of_nothing_and_hostile_samples_stay_within_the_drawing() {
        assert_eq!(drawn(&Status { progress: vec![], ..running() }), "");
        let ends = [Timestamp(i64::MIN), Timestamp(i64::MAX), at(0), Timestamp(i64::MIN)];
        let sample = |at| Sample { at, users: u64::MAX, messages: u64::MAX };
        let hostile = Status { progress: ends.map(sample).to_vec(), ..running() };
        for phase in [Phase::Running, Phase::Silent, Phase::Done { since: Timestamp(i64::MAX) }] {
            let drawing = Drawing::of(&Status { phase, ..hostile.clone() }).unwrap();
            for sample in &drawing.samples {
                assert!((0..=WIDTH).contains(&drawing.x(sample.at)));
                assert!((0..=HEIGHT).contains(&drawing.y(sample.users)));
            }
        }
    }
}
