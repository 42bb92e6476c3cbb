//! Dates for messages of which no record tells any.

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

/// Midnight of the day of `date`, in the time zone of the server.
///
/// Cyrus gives a message without a Date header this for its sent date
/// (`mailbox_reconstruct_compare_update` in `imap/mailbox.c`).
pub(super) fn start_of_local_day(date: Timestamp) -> Timestamp {
    start_of_day(date, &TimeZone::system())
}

/// When the day `day`, counted from 1970-01-01, began in the time zone of the server, in seconds
/// since 1970.
pub(crate) fn start_of_local_day_number(day: i64) -> i64 {
    let utc = day.saturating_mul(24 * 60 * 60);
    jiff::Timestamp::from_second(utc)
        .ok()
        .and_then(|midnight| {
            midnight.to_zoned(TimeZone::UTC).date().to_zoned(TimeZone::system()).ok()
        })
        .map_or(utc, |midnight| midnight.timestamp().as_second())
}

fn start_of_day(date: Timestamp, zone: &TimeZone) -> Timestamp {
    jiff::Timestamp::from_second(date.seconds())
        .ok()
        .and_then(|instant| instant.to_zoned(zone.clone()).start_of_day().ok())
        .map_or(date, |midnight| Timestamp::from_seconds(midnight.timestamp().as_second()))
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
    }
}
