//! How names, numbers and times are written in commands and read from replies.

use std::fmt::Write as _;

/// The format of INTERNALDATE, APPEND's date and SAVEDATE (`date-time` of RFC 9051).
const DATE_TIME: &str = "%d-%b-%Y %H:%M:%S %z";

/// `text` as a quoted string; none where it cannot be one.
pub(crate) fn quoted(text: &[u8]) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => return None,
        }
    }
    quoted.push('"');
    Some(quoted)
}

/// A time in seconds since 1970 as APPEND takes it, in UTC; none where a year has not four digits.
#[must_use]
pub fn date_time(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    (0..=9999).contains(&time.year()).then(|| time.strftime(DATE_TIME).to_string())
}

/// The time that a server tells, in seconds since 1970.
pub(crate) fn parse_date_time(text: &str) -> Option<i64> {
    let time = jiff::Timestamp::strptime(DATE_TIME, text.trim()).ok()?;
    Some(time.as_second())
}

/// The day of a time, as SEARCH takes it.
pub(crate) fn search_day(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    (0..=9999).contains(&time.year()).then(|| time.strftime("%-d-%b-%Y").to_string())
}

/// Sets of so many of `uids` at a time, ascending, as commands take them (`1:5,9`).
pub(crate) fn uid_sets(uids: &[u32], at_a_time: usize) -> impl Iterator<Item = (&[u32], String)> {
    uids.chunks(at_a_time.max(1)).map(|chunk| (chunk, uid_set(chunk)))
}

fn uid_set(uids: &[u32]) -> String {
    let mut set = String::new();
    let mut rest = uids;
    while let Some((&first, _)) = rest.split_first() {
        let follows = |pair: &&[u32]| matches!(pair, [a, b] if a.checked_add(1) == Some(*b));
        let run = rest.windows(2).take_while(follows).count();
        let last = rest.get(run).copied().unwrap_or(first);
        if !set.is_empty() {
            set.push(',');
        }
        let _ = if run == 0 { write!(set, "{first}") } else { write!(set, "{first}:{last}") };
        rest = rest.get(run + 1..).unwrap_or_default();
    }
    set
}

/// The UIDs of a set that a server tells, in its order; none where it is no set, has `*`, or more
/// than `most`.
pub(crate) fn parse_uid_set(set: &str, most: usize) -> Option<Vec<u32>> {
    let mut uids = Vec::new();
    for part in set.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let (low, high) = (first.min(last), first.max(last));
        let count = usize::try_from(high - low).ok()?.checked_add(1)?;
        if low == 0 || count > most.saturating_sub(uids.len()) {
            return None;
        }
        uids.extend(low..=high);
    }
    Some(uids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_and_what_cannot_be_is_refused() {
        assert_eq!(quoted(br#"a "b\" &AOk-"#).unwrap(), r#""a \"b\\\" &AOk-""#);
        assert_eq!((quoted(b"a\r\nb"), quoted(b"\xe9")), (None, None));
    }

    #[test]
    fn a_time_is_told_in_utc_and_read_in_any_zone() {
        assert_eq!(date_time(1_162_890_672).unwrap(), "07-Nov-2006 09:11:12 +0000");
        for text in ["07-Nov-2006 10:11:12 +0100", " 7-Nov-2006 09:11:12 +0000"] {
            assert_eq!(parse_date_time(text), Some(1_162_890_672), "{text}");
        }
        assert_eq!((date_time(i64::MAX), parse_date_time("yesterday")), (None, None));
        assert_eq!(search_day(1_162_890_672).unwrap(), "7-Nov-2006");
    }

    #[test]
    fn sets_are_short_and_no_hostile_one_is_unfolded() {
        let sets: Vec<_> = uid_sets(&[1, 2, 3, 7, 9, 10], 4).map(|(_, set)| set).collect();
        assert_eq!(sets, ["1:3,7", "9:10"]);
        assert_eq!(parse_uid_set("3:5,9", 4).unwrap(), [3, 4, 5, 9]);
        for wrong in ["", "1:4294967295", "0", "*", "1:*", "a", "1,,2", "3:5,9,10"] {
            assert_eq!(parse_uid_set(wrong, 4), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_told_as_a_set_is_read_back(
            uids in prop::collection::btree_set(1_u32.., 1..40)
        ) {
            let uids: Vec<u32> = uids.into_iter().collect();
            prop_assert_eq!(parse_uid_set(&uid_set(&uids), 40).unwrap(), uids);
        }

        #[test]
        fn every_time_of_four_digit_years_comes_back(seconds in -2_000_000_000_i64..9_000_000_000) {
            prop_assert_eq!(parse_date_time(&date_time(seconds).unwrap()), Some(seconds));
        }
    }
}
