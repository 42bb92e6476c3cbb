//! Times on the command line.

use std::time::Duration;

use jiff::SignedDuration;

/// A time with its unit: `500ms`, `2s`, `1m30s`.
///
/// # Errors
/// What is wrong, in words.
pub fn duration_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time (500ms, 2s, 1m30s)");
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_are_not_negative() {
        assert_eq!(duration_of("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration_of("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration_of("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "2", "soon", "-2s"] {
            assert!(duration_of(wrong).unwrap_err().contains("500ms"), "{wrong}");
        }
    }
}
