//! Numbers, times and ranges as people say them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use mailstore_format::Timestamp;
use maud::{Markup, html};

use crate::status::{Count, Estimate};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The time that a page is about, and the zone that it tells times in.
#[derive(Debug, Clone)]
pub(super) struct Clock<'a> {
    now: Timestamp,
    zone: &'a TimeZone,
    /// Whether the page lasts: then nothing on it is told from now.
    lasts: bool,
}

impl<'a> Clock<'a> {
    pub(super) fn new(now: Timestamp, zone: &'a TimeZone) -> Self {
        Self { now, zone, lasts: false }
    }

    /// The clock of a page that will be read on other days too.
    pub(super) fn lasting(self) -> Self {
        Self { lasts: true, ..self }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// `09:12 UTC today`.
    pub(super) fn moment(&self, time: Timestamp) -> Markup {
        let at = self.zoned(time);
        tagged(time, &format!("{} {}", at.strftime("%H:%M %Z"), self.day(at.date())))
    }

    /// `09:12 UTC today (5 hours ago)`.
    pub(super) fn past(&self, time: Timestamp) -> Markup {
        html! { (self.moment(time)) @if !self.lasts { " (" (self.ago(time)) ")" } }
    }

    /// `09:12:08 UTC on Saturday 21 November 2026`: to the second, and true on any day.
    pub(super) fn stamp(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%H:%M:%S %Z on %A %-d %B %Y").to_string()
    }

    /// `09:12`, or with its day where `with_day`.
    pub(super) fn short(&self, time: Timestamp, with_day: bool) -> String {
        let form = if with_day { "%-d %b %H:%M" } else { "%H:%M" };
        self.zoned(time).strftime(form).to_string()
    }

    /// Whether two times are on different days.
    pub(super) fn are_days_apart(&self, one: Timestamp, other: Timestamp) -> bool {
        self.zoned(one).date() != self.zoned(other).date()
    }

    /// The zone's name at `time`: `UTC`, `CET`.
    pub(super) fn zone_name(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%Z").to_string()
    }

    /// `between 14:10 and 15:00 UTC today`: [`rounded`].
    pub(super) fn range(&self, estimate: &Estimate) -> Markup {
        let Estimate { earliest, latest, .. } = estimate.rounded();
        let (from, to) = (self.zoned(earliest), self.zoned(latest));
        let is_one_day = from.date() == to.date() && from.offset() == to.offset();
        let start = if is_one_day {
            tagged(earliest, &from.strftime("%H:%M").to_string())
        } else {
            self.moment(earliest)
        };
        html! { "between " (start) " and " (self.moment(latest)) }
    }

    /// `in 2 to 3 hours`.
    pub(super) fn until(&self, estimate: &Estimate) -> String {
        let left = |time: Timestamp| time.seconds().saturating_sub(self.now.seconds()).max(0);
        let (soonest, latest) = (left(estimate.earliest), left(estimate.latest));
        let (unit, step, name) = match latest {
            ..5400 => (MINUTE, 5, "minutes"),
            5400..129_600 => (HOUR, 1, "hours"),
            _ => (DAY, 1, "days"),
        };
        let low = soonest / unit / step * step;
        let high = (latest.max(1) - 1).div_euclid(unit * step) * step + step;
        match low {
            0 => format!("within {high} {name}"),
            _ if low == high => format!("in about {high} {name}"),
            _ => format!("in {low} to {high} {name}"),
        }
    }

    /// `5 hours ago`.
    pub(super) fn ago(&self, time: Timestamp) -> String {
        let passed = self.now.seconds().saturating_sub(time.seconds());
        if passed < MINUTE { "just now".to_owned() } else { format!("{} ago", lasting(passed)) }
    }

    fn zoned(&self, time: Timestamp) -> Zoned {
        // All of a timestamp's range is within jiff's.
        let time = jiff::Timestamp::from_nanosecond(time.0.into()).unwrap_or_default();
        time.to_zoned(self.zone.clone())
    }

    fn day(&self, date: Date) -> String {
        let today = self.zoned(self.now).date();
        let is =
            |other: Result<Date, jiff::Error>| !self.lasts && other.is_ok_and(|day| day == date);
        if is(Ok(today)) {
            "today".to_owned()
        } else if is(today.checked_add(1.day())) {
            "tomorrow".to_owned()
        } else if is(today.checked_sub(1.day())) {
            "yesterday".to_owned()
        } else if today.year() == date.year() {
            date.strftime("on %A %-d %B").to_string()
        } else {
            date.strftime("on %-d %B %Y").to_string()
        }
    }
}

/// `3 hours`, from a minute on; rounded down.
pub(super) fn lasting(seconds: i64) -> String {
    let (number, unit) = match seconds {
        ..HOUR => (seconds / MINUTE, "minute"),
        HOUR..129_600 => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// A time for machines, with its words.
pub(super) fn tagged(time: Timestamp, words: &str) -> Markup {
    html! { time datetime=(rfc3339(time)) { (words) } }
}

/// `2026-11-21T09:12:08Z`.
pub(super) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.seconds()).unwrap_or_default().to_string()
}

/// `1,234,567`.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 user`, `200 users`.
pub(super) fn counted(value: u64, one: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {one}{plural}", number(value))
}

/// Whole percent, rounded down: 100 only when all is done. Of nothing, all is.
pub(super) fn percent(count: Count) -> u64 {
    let done = u128::from(count.done.min(count.total)) * 100;
    u64::try_from(done.checked_div(count.total.into()).unwrap_or(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(NOON + seconds)
    }

    fn estimate(earliest: i64, latest: i64) -> Estimate {
        Estimate { made: at(0), earliest: at(earliest), latest: at(latest) }
    }

    fn text(markup: &Markup) -> String {
        let mut text = String::new();
        for piece in markup.0.split('<') {
            text.push_str(piece.split_once('>').map_or(piece, |(_, rest)| rest));
        }
        text
    }

    #[test]
    fn a_range_is_rounded_outwards_and_names_its_day_once() {
        let zone = TimeZone::UTC;
        let clock = Clock::new(at(0), &zone);
        let range = |earliest, latest| text(&clock.range(&estimate(earliest, latest)));
        assert_eq!(range(7801, 10_799), "between 14:10 and 15:00 UTC today");
        assert_eq!(range(7800, 10_800), "between 14:10 and 15:00 UTC today");
        assert_eq!(range(38_400, 47_700), "between 22:40 UTC today and 01:15 UTC tomorrow");
        let far = range(2 * DAY, 60 * DAY);
        assert_eq!(far, "between 12:00 UTC on Monday 23 November and 12:00 UTC on 20 January 2027");
    }

    #[test]
    fn what_is_left_is_told_in_units_that_fit_and_never_too_short() {
        let zone = TimeZone::UTC;
        let clock = Clock::new(at(0), &zone);
        for (earliest, latest, words) in [
            (-100, -50, "within 5 minutes"),
            (0, 0, "within 5 minutes"),
            (30, 400, "within 10 minutes"),
            (720, 2760, "in 10 to 50 minutes"),
            (7800, 10_800, "in 2 to 3 hours"),
            (7800, 10_801, "in 2 to 4 hours"),
            (7200, 7200, "in about 2 hours"),
            (100, 7000, "within 2 hours"),
            (2 * DAY, 3 * DAY, "in 2 to 3 days"),
        ] {
            assert_eq!(clock.until(&estimate(earliest, latest)), words, "{earliest} {latest}");
        }
    }

    #[test]
    fn days_are_those_of_the_sites_zone_and_a_lasting_page_names_them() {
        let zone = TimeZone::fixed(jiff::tz::offset(13));
        let clock = Clock::new(at(0), &zone);
        assert_eq!(text(&clock.moment(at(-2 * HOUR))), "23:00 +13 yesterday");
        assert_eq!(text(&clock.past(at(-HOUR))), "00:00 +13 today (1 hour ago)");
        let lasting = clock.lasting();
        assert_eq!(text(&lasting.past(at(-HOUR))), "00:00 +13 on Sunday 22 November");
    }

    #[test]
    fn the_ends_of_time_are_told_too() {
        let zone = TimeZone::UTC;
        for now in [Timestamp(i64::MIN), Timestamp(i64::MAX), Timestamp(0)] {
            let clock = Clock::new(now, &zone);
            let all =
                Estimate { made: now, earliest: Timestamp(i64::MIN), latest: Timestamp(i64::MAX) };
            assert!(text(&clock.range(&all)).starts_with("between "));
            assert!(clock.until(&all).starts_with("within "));
            assert!(!clock.ago(Timestamp(i64::MIN)).is_empty());
            assert!(!clock.stamp(Timestamp(i64::MAX)).is_empty());
        }
    }

    #[test]
    fn numbers_are_grouped_and_a_hundred_percent_means_all() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "user"), counted(0, "user")], ["1 user", "0 users"]);
        let percents = [(0, 0), (0, 3), (199, 200), (999_999, 1_000_000), (5, 5), (9, 5)]
            .map(|(done, total)| percent(Count { done, total }));
        assert_eq!(percents, [100, 0, 99, 99, 100, 100]);
        assert_eq!(percent(Count { done: u64::MAX, total: u64::MAX }), 100);
    }
}
