//! Values as people read them.

use jiff::tz::TimeZone;
use mailstore_format::Timestamp;

/// A point in time, in UTC.
#[must_use]
pub fn time(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(time.0.into()) {
        Ok(time) => time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// A number of bytes.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let (mut number, mut unit) = (bytes, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{number:.0} B") } else { format!("{number:.2} {unit}") }
}

/// A number and what it counts.
#[must_use]
pub fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A text that may come from a damaged or hostile volume, without what a terminal would obey.
#[must_use]
pub fn printable(text: &(impl ToString + ?Sized)) -> String {
    let visible = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    text.to_string().chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1536.0), "1.50 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0 * 1024.0), "3.00 GiB");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(printable("a\u{1b}[2J\nb é"), "a\\u{1b}[2J\\nb é");
    }

    #[test]
    fn a_time_is_told_in_utc() {
        assert_eq!(time(Timestamp::from_seconds(1_795_248_844)), "2026-11-21 08:14:04Z");
    }
}
