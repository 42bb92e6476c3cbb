//! `incident purge`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use incident::Purged;
use jiff::{Span, SpanRelativeTo, Unit};

use super::become_owner;
use command_line::text::{count, printable};

/// Remove a closed incident
///
/// Only the incident's own files are removed. What runs keep beside the mail stays, and is listed.
#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    /// The incident's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Only if it has been closed for this long, as 90d, 12w or 36h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,

    /// Really remove it; without this, only say what would be removed
    #[arg(long)]
    yes: bool,
}

impl Purge {
    pub(super) fn run(&self) -> Result<u8> {
        become_owner(&self.directory)?;
        let purged = incident::purge(&self.directory, self.older_than, self.yes)?;
        self.tell(&purged);
        Ok(u8::from(!self.yes || !purged.foreign.is_empty()))
    }

    fn tell(&self, purged: &Purged) {
        let done = if self.yes { "removed" } else { "would be removed" };
        for file in &purged.files {
            println!("{done}: {}", printable(&file.display()));
        }
        for file in &purged.foreign {
            println!("left, it is not the incident's: {}", printable(&file.display()));
        }
        for kept in &purged.kept {
            let files = count(kept.files, "file", "files");
            println!("left beside the mail: {} ({files})", printable(&kept.directory.display()));
        }
        if self.yes && purged.foreign.is_empty() && self.directory.exists() {
            println!("left, empty (rmdir removes it): {}", printable(&self.directory.display()));
        }
        if !self.yes {
            println!("nothing was removed: --yes removes it");
        }
    }
}

/// A time like `90d`, in which a day has 24 hours.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 90d, 12w or 36h".to_owned();
    let span: Span = text.parse().map_err(|_| wrong())?;
    let total = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours()));
    Duration::try_from_secs_f64(total.map_err(|_| wrong())?).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_hours_days_or_weeks() {
        assert_eq!(duration("36h"), Ok(Duration::from_hours(36)));
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration("12w"), Ok(Duration::from_hours(12 * 7 * 24)));
        for wrong in ["", "90", "-1d", "1 month", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
