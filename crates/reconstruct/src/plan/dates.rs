//! Dates for messages of which no record tells any.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use mailstore_format::Timestamp;

use super::Draughtsman;
use crate::evidence::{FileEvidence, Reading};
use crate::finding::{Code, Remedy};

/// File times within this many seconds of one another were set by one copy, not by deliveries.
const COPY_SPAN: i64 = 10 * 60;
/// A Received date this far from the file's time contradicts it.
const CONTRADICTION: i64 = 24 * 60 * 60;
/// Fewer messages than this can have arrived together.
const ENOUGH: usize = 5;

/// Days of 400 years, after which the calendar and the rules of time zones repeat themselves.
const CYCLE: i64 = 146_097;
/// Cycles since 1970 that every rule of a zone lies in.
const NEAR: i64 = 4;

/// Midnight of the day of `date`, in the time zone of the server.
///
/// Cyrus gives a message without a Date header this for its sent date
/// (`mailbox_reconstruct_compare_update` in `imap/mailbox.c`), and takes the clock to be set at
/// midnight as it is at `date`: on a day on which summer time begins or ends it is an hour off.
pub(super) fn start_of_local_day(date: Timestamp) -> Timestamp {
    start_of_day(date, &TimeZone::system())
}

/// When the day `day`, counted from 1970-01-01, began in the time zone of the server, in seconds
/// since 1970.
pub(crate) fn start_of_local_day_number(day: i64) -> i64 {
    start_of_day_number(day, &TimeZone::system())
}

fn start_of_day_number(day: i64, zone: &TimeZone) -> i64 {
    const SECONDS: i64 = 24 * 60 * 60;
    let far = day.saturating_div(CYCLE).saturating_sub(NEAR).max(0).saturating_mul(CYCLE);
    let utc = day.saturating_sub(far).saturating_mul(SECONDS);
    let midnight = jiff::Timestamp::from_second(utc)
        .ok()
        .and_then(|midnight| midnight.to_zoned(TimeZone::UTC).date().to_zoned(zone.clone()).ok());
    let near = midnight.map_or(utc, |midnight| midnight.timestamp().as_second());
    near.saturating_add(far.saturating_mul(SECONDS))
}

fn start_of_day(date: Timestamp, zone: &TimeZone) -> Timestamp {
    jiff::Timestamp::from_second(date.seconds())
        .ok()
        .and_then(|instant| {
            let midnight = zone.to_datetime(instant).date().to_datetime(Time::midnight());
            zone.to_offset(instant).to_timestamp(midnight).ok()
        })
        .map_or(date, |midnight| Timestamp::from_seconds(midnight.as_second()))
}

/// Whether the times of these files are those of a copy, and Received dates must serve instead.
///
/// Cyrus keeps a message's internal date as its file's modification time. A restore that did not
/// keep times leaves all of them within minutes, at odds with when the messages arrived.
fn times_are_of_a_copy<'a>(files: impl Iterator<Item = (Timestamp, &'a Reading)>) -> bool {
    let mut span: Option<(i64, i64)> = None;
    let (mut count, mut dated, mut contradicted) = (0_usize, 0_usize, 0_usize);
    for (mtime, reading) in files {
        let seconds = mtime.seconds();
        count += 1;
        let (first, last) = span.unwrap_or((seconds, seconds));
        span = Some((first.min(seconds), last.max(seconds)));
        if let Some(received) = reading.fields.received {
            dated += 1;
            let apart = received.seconds().abs_diff(seconds);
            contradicted += usize::from(apart > CONTRADICTION.unsigned_abs());
        }
    }
    let Some((first, last)) = span else { return false };
    count >= ENOUGH && last - first <= COPY_SPAN && contradicted * 2 > dated
}

impl Draughtsman<'_> {
    /// Finds out whether the times of files without a record can be believed.
    pub(super) fn judge_file_times(&mut self) {
        let orphans = self.evidence.messages.iter().filter(|message| message.slot.is_none());
        let orphans = orphans.filter_map(|message| match message.file {
            FileEvidence::Regular { identity, .. } => {
                Some((identity.mtime, message.reading.as_ref()?))
            }
            _ => None,
        });
        self.distrust_files = times_are_of_a_copy(orphans);
        if self.distrust_files {
            self.find(
                Code::InternaldateFromReceived,
                Remedy::Note,
                "the files' times lie within minutes and contradict the messages' Received dates: \
                 those were taken for internal dates",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_starts_at_midnight_of_the_servers_zone() {
        let noon_utc = Timestamp::from_seconds(1_700_049_600);
        assert_eq!(start_of_day(noon_utc, &TimeZone::UTC).seconds(), 1_700_006_400);
        let east = TimeZone::fixed(jiff::tz::offset(13));
        assert_eq!(start_of_day(noon_utc, &east).seconds(), 1_700_046_000);
        assert_eq!(start_of_day_number(19_675, &east), 1_699_873_200);
    }

    #[test]
    fn on_the_day_that_summer_time_ends_midnight_is_told_by_the_clock_of_the_date() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        // 2023-11-05, one hour after midnight and at noon.
        let (early, noon) = (1_699_156_800 + 3600, 1_699_156_800 + 13 * 3600);
        assert_eq!(start_of_day(Timestamp::from_seconds(early), &zone).seconds(), 1_699_156_800);
        assert_eq!(start_of_day(Timestamp::from_seconds(noon), &zone).seconds(), 1_699_160_400);
    }

    #[test]
    fn a_day_of_a_far_year_has_a_midnight_too() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let day = 19_675 + 30 * CYCLE;
        assert_eq!(start_of_day_number(day, &zone), day * 86_400 + 5 * 3600);
        assert_eq!(start_of_day_number(day, &TimeZone::UTC), day * 86_400);
    }
}
