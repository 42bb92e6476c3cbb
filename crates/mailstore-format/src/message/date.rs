//! The Date field as Cyrus reads it (`lib/times.c`: `time_from_rfc5322`,
//! `tokenise_str_and_create_tm`, `compute_tzoffset`).
//!
//! Where Cyrus departs from RFC 5322: any single character may separate day, month and year; the day
//! name may be any three letters; numbers are not checked against the calendar (31 Feb is 3 March);
//! comments are not understood; an unknown zone is UTC; a number of four digits without sign counts
//! as west of Greenwich. Dates before 1970 count as none.

use super::transfer_encoding::hex_digit;

/// What a Date field says: the calendar day it names, and the moment, where one can be read.
///
/// A day without a readable time is common, so the two are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SentDate {
    /// Days since 1970-01-01 of the day as written, whatever its zone.
    pub(super) day: Option<i64>,
    /// Seconds since 1970 UTC.
    pub(super) moment: Option<i64>,
}

/// Longest token that is looked at (`RFC5322_DATETIME_MAX`).
const LONGEST_TOKEN: usize = 32;

/// Classes of characters, as bits (`rfc5322_usascii_charset`).
const LETTER: u8 = 1;
const CAPITAL: u8 = 2;
const SMALL: u8 = 4;
const DIGIT: u8 = 8;

/// Cyrus looks 8-bit bytes up in front of its table of classes. This is what happens to stand there,
/// as a hexadecimal digit for each byte from 0x80, in Debian 12's build for amd64; another build may
/// take such a byte for something else. It matters only to dates with 8-bit bytes in them.
const BEFORE_THE_TABLE: &[u8; 128] = b"\
    80c343f95547c45c3fe70e4e435fc008\
    5fc0015fc0015fc0095fc0045fc0055a\
    953cec510ef0da096505432540a55e05\
    50025000fa741e0c9641000ffffee000";

fn class_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'A'..=b'Z' => LETTER | CAPITAL,
        b'a'..=b'z' => LETTER | SMALL,
        0x80.. => BEFORE_THE_TABLE
            .get(usize::from(byte & 0x7f))
            .and_then(|&digit| hex_digit(digit))
            .unwrap_or(0),
        _ => 0,
    }
}

fn is(byte: u8, class: u8) -> bool {
    class_of(byte) & class != 0
}

/// A byte as a signed character, in capitals.
fn capital(byte: u8) -> i64 {
    let character = i64::from(byte.cast_signed());
    if is(byte, SMALL) { character.saturating_sub(32) } else { character }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The byte here; None past the end, and for 0xFF, which Cyrus cannot tell from it.
    fn current(&self) -> Option<u8> {
        self.text.get(self.at).copied().filter(|&byte| byte != 0xff)
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1).min(self.text.len());
    }

    fn skip_space(&mut self) {
        while matches!(self.current(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.step();
        }
    }

    /// Letters and digits from here, at most 32; empty where something else stands. None at the end
    /// of the text.
    fn token(&mut self) -> Option<&'a [u8]> {
        self.current()?;
        let start = self.at;
        while self.at.saturating_sub(start) < LONGEST_TOKEN
            && self.current().is_some_and(|byte| is(byte, LETTER | DIGIT))
        {
            self.step();
        }
        if self.text.get(self.at) == Some(&0xff) {
            return None;
        }
        self.text.get(start..self.at)
    }

    /// A number of one or two digits.
    fn short_number(&mut self) -> Option<i64> {
        let token = self.token()?;
        if !(1..=2).contains(&token.len()) {
            return None;
        }
        number(token).map(i64::from)
    }

    /// The one character between the parts of a date, with the white space around it.
    fn skip_separator(&mut self) {
        self.step();
        self.skip_space();
    }

    fn skip_time_separator(&mut self) -> bool {
        let found = matches!(self.current(), Some(b':' | b'.'));
        if found {
            self.step();
        }
        found
    }
}

/// Digits as a number that overflows as a C `int` does.
fn number(digits: &[u8]) -> Option<i32> {
    let mut number = 0_i32;
    for &digit in digits {
        if !is(digit, DIGIT) {
            return None;
        }
        let value = i32::from(digit.cast_signed()).wrapping_sub(i32::from(b'0'));
        number = number.wrapping_mul(10).wrapping_add(value);
    }
    (number != -9999).then_some(number)
}

/// Reads the value of a Date field, without folds.
pub(super) fn decode_date(text: &[u8]) -> SentDate {
    let mut reader = Reader { text, at: 0 };
    let Some(day) = decode_day(&mut reader) else { return SentDate::default() };
    let not_negative = |value: &i64| *value >= 0;
    let moment = decode_time(&mut reader).and_then(|(seconds, zone)| {
        let local = day.saturating_mul(86_400).saturating_add(seconds);
        Some(local).filter(not_negative).map(|local| local.saturating_sub(zone))
    });
    SentDate { day: Some(day).filter(not_negative), moment }
}

fn decode_day(reader: &mut Reader<'_>) -> Option<i64> {
    reader.skip_space();
    if is(reader.current()?, LETTER) {
        if reader.token()?.len() != 3 || reader.current() != Some(b',') {
            return None;
        }
        reader.step();
        reader.skip_space();
    }
    let day = reader.short_number()?;
    reader.skip_separator();
    let name = reader.token()?;
    let month = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(*month))?;
    reader.skip_separator();
    let digits = reader.token()?;
    let year = number(digits)?;
    let year = match (digits.len(), year) {
        (2, ..70) => year.wrapping_add(2000),
        (2, _) => year.wrapping_add(1900),
        (_, ..1900) => return None,
        _ => year,
    };
    days_from_civil(i64::from(year), i64::try_from(month).ok()?.saturating_add(1), day)
}

/// Seconds since midnight, and seconds east of Greenwich.
fn decode_time(reader: &mut Reader<'_>) -> Option<(i64, i64)> {
    reader.skip_space();
    let hour = reader.short_number()?;
    if !reader.skip_time_separator() {
        return None;
    }
    let minute = reader.short_number()?;
    let second = if reader.skip_time_separator() { reader.short_number()? } else { 0 };
    reader.skip_space();
    let sign = reader.current();
    if matches!(sign, Some(b'+' | b'-')) {
        reader.step();
    }
    let zone = reader.token().map_or(0, |zone| zone_minutes(zone, sign));
    let minutes = hour.saturating_mul(60).saturating_add(minute);
    Some((minutes.saturating_mul(60).saturating_add(second), zone.saturating_mul(60)))
}

/// Minutes east of Greenwich.
fn zone_minutes(zone: &[u8], sign: Option<u8>) -> i64 {
    match *zone {
        // Military zones; a lower-case letter comes out where its character code leads.
        [letter] => {
            let code = i64::from(letter.cast_signed());
            let hours = match capital(letter) {
                ..=0x49 => code.saturating_sub(0x40),
                0x4b..=0x4d => code.saturating_sub(0x41),
                0x4e..=0x59 => 0x4d_i64.saturating_sub(code),
                _ => 0,
            };
            hours.saturating_mul(60)
        }
        [first, second, third] if third.eq_ignore_ascii_case(&b'T') => {
            let standard = match first.to_ascii_uppercase() {
                b'A' => -4,
                b'E' => -5,
                b'C' => -6,
                b'M' => -7,
                b'P' => -8,
                b'Y' => -9,
                b'H' => -10,
                b'B' => -11_i64,
                _ => return 0,
            };
            match second.to_ascii_uppercase() {
                b'D' => standard.saturating_add(1).saturating_mul(60),
                b'S' => standard.saturating_mul(60),
                _ => 0,
            }
        }
        [_, _, _, _] => {
            let (Some(hours), Some(minutes)) =
                (zone.get(..2).and_then(number), zone.get(2..).and_then(number))
            else {
                return 0;
            };
            let east = i64::from(hours).saturating_mul(60).saturating_add(i64::from(minutes));
            if sign == Some(b'+') { east } else { east.saturating_neg() }
        }
        _ => 0,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. `day` may lie outside the month.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month_from_march = month.checked_add(9)?.rem_euclid(12);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = month_from_march.checked_mul(153)?.checked_add(2)?.checked_div(5)?;
    let leap_days = year_of_era.checked_div(4)?.checked_sub(year_of_era.checked_div(100)?)?;
    let day_of_era =
        year_of_era.checked_mul(365)?.checked_add(leap_days)?.checked_add(day_of_year)?;
    era.checked_mul(146_097)?
        .checked_add(day_of_era)?
        .checked_add(day)?
        .checked_sub(1)?
        .checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Option<i64> {
        decode_date(text.as_bytes()).moment
    }

    #[test]
    fn an_ordinary_date_is_read_with_its_zone() {
        let sent = decode_date(b"Tue, 2 Nov 2006 10:01:00 +1100");
        assert_eq!(sent, SentDate { day: Some(13454), moment: Some(1_162_422_060) });
        assert_eq!(moment("2 Nov 06 10:01 +1100"), Some(1_162_422_060));
        assert_eq!(moment("2-Nov-2006 10.01.00 -1100"), Some(1_162_501_260));
    }

    #[test]
    fn a_day_without_a_time_has_no_moment() {
        let sent = decode_date(b"Thu, 1 Jan 1970");
        assert_eq!(sent, SentDate { day: Some(0), moment: None });
        assert_eq!(decode_date(b"yesterday"), SentDate::default());
        assert_eq!(
            decode_date(b"1 Jan 1950 10:00"),
            SentDate { day: Some(-7305), moment: None }.before_1970()
        );
        assert_eq!(decode_date(b""), SentDate::default());
    }

    impl SentDate {
        fn before_1970(self) -> Self {
            Self { day: None, ..self }
        }
    }

    #[test]
    fn days_beyond_the_month_run_on_into_the_next() {
        assert_eq!(decode_date(b"31 Feb 2021 00:00").day, decode_date(b"3 Mar 2021 00:00").day);
    }

    #[test]
    fn zones_by_name_letter_or_number_are_known() {
        let utc = moment("1 Jan 2020 12:00:00 +0000");
        let hours = |zone: &str| {
            moment(&format!("1 Jan 2020 12:00:00 {zone}"))
                .zip(utc)
                .map(|(at, utc)| (at - utc) / 3600)
        };
        assert_eq!(hours("EST"), Some(5));
        assert_eq!(hours("edt"), Some(4));
        assert_eq!(hours("GMT"), Some(0));
        assert_eq!(hours("UT"), Some(0));
        assert_eq!(hours("A"), Some(-1));
        assert_eq!(hours("M"), Some(-12));
        assert_eq!(hours("N"), Some(1));
        assert_eq!(hours("Z"), Some(0));
        assert_eq!(hours("0200"), Some(2));
        assert_eq!(hours("(PST)"), Some(0));
    }
}
