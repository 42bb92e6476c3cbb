//! `--rate`: how many files or messages, and how many bytes, in a second.

use std::num::NonZeroU64;
use std::str::FromStr;

use mailstore::pace::Rate;

/// Units of bytes, longest first where one ends with another.
const UNITS: [(&str, u64); 7] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
];

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Files or messages a second.
    Items(NonZeroU64),
    /// Bytes a second.
    Bytes(NonZeroU64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is neither a number (50/s) nor bytes (5MB/s, 500KiB/s) a second, from 1 on"
            )
        };
        let amount = text.strip_suffix("/s").ok_or_else(wrong)?.to_ascii_lowercase();
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((amount.strip_suffix(unit)?, bytes)));
        let (number, bytes) = unit.unwrap_or((&amount, &1));
        let number = number.trim_end().parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes));
        let number = number.and_then(NonZeroU64::new).ok_or_else(wrong)?;
        Ok(if unit.is_some() { Self::Bytes(number) } else { Self::Items(number) })
    }
}

/// What all of them together allow: of several of a kind the lowest.
#[must_use]
pub fn rate_of(limits: &[Limit]) -> Rate {
    let mut rate = Rate::default();
    for limit in limits {
        let (slot, given) = match limit {
            Limit::Items(items) => (&mut rate.items, *items),
            Limit::Bytes(bytes) => (&mut rate.bytes, *bytes),
        };
        *slot = Some(slot.map_or(given, |known| known.min(given)));
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_bytes_are_told_apart_by_their_unit() {
        let rate = |texts: &[&str]| {
            let limits: Vec<Limit> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let rate = rate_of(&limits);
            (rate.items.map(NonZeroU64::get), rate.bytes.map(NonZeroU64::get))
        };
        assert_eq!(rate(&["50/s"]), (Some(50), None));
        assert_eq!(rate(&["5MB/s"]), (None, Some(5_000_000)));
        assert_eq!(rate(&["500 KiB/s", "20/s", "30/s"]), (Some(20), Some(512_000)));
        assert_eq!(rate(&["700B/s"]), (None, Some(700)));
        assert_eq!(rate(&[]), (None, None));
    }

    #[test]
    fn what_is_no_rate_says_how_one_looks() {
        for wrong in ["", "50", "/s", "0/s", "5 apples/s", "-1/s", "99999999999GB/s"] {
            let error = wrong.parse::<Limit>().unwrap_err();
            assert!(error.contains("5MB/s"), "{wrong}: {error}");
        }
    }
}
