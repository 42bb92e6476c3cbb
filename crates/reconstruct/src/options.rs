//! What an operator decides before a run.

use std::time::Duration;

use mailstore_format::message::CacheDialect;
use serde::{Deserialize, Serialize};

/// How closely a message is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A record is believed where its CRC, its cache record's CRC and its file's size agree.
    #[default]
    Stat,
    /// Every message is read; its GUID, derived fields and cache record are computed anew.
    Full,
}

/// In whose manner new cache records are made. The names are those of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DialectChoice {
    /// In that of the server, as its records tell.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// [`CacheDialect::Cyrus36`]
    #[serde(rename = "3.6")]
    Cyrus36,
    /// [`CacheDialect::Cyrus313`]
    #[serde(rename = "3.13")]
    Cyrus313,
}

impl DialectChoice {
    pub(crate) fn dialect(self) -> Option<CacheDialect> {
        match self {
            Self::Auto => None,
            Self::Cyrus36 => Some(CacheDialect::Cyrus36),
            Self::Cyrus313 => Some(CacheDialect::Cyrus313),
        }
    }
}

/// How much `--prune` may take out of sight before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrunePolicy {
    /// Share of a mailbox's messages, in percent; ten messages are always allowed.
    pub max_percent: f64,
    /// Share of the messages of all the run's mailboxes, in percent; a hundred are always allowed.
    pub max_percent_of_run: f64,
    /// Prune although a replica might still hold the only intact copy.
    pub even_on_replica: bool,
}

impl Default for PrunePolicy {
    fn default() -> Self {
        Self { max_percent: 1.0, max_percent_of_run: 0.1, even_on_replica: false }
    }
}

impl PrunePolicy {
    /// Messages of one mailbox that may always be pruned, whatever their share.
    pub const MAILBOX_FLOOR: u64 = 10;
    /// Messages of one run that may always be pruned, whatever their share.
    pub const RUN_FLOOR: u64 = 100;

    /// How many of a mailbox's `messages` may be pruned, where `missing` of them are missing. The
    /// floor does not hold where most are: that looks like a disk that is not mounted.
    #[must_use]
    pub fn mailbox_limit(&self, messages: u64, missing: u64) -> u64 {
        let most_are_missing = missing.saturating_mul(2) > messages;
        let floor = if most_are_missing { 0 } else { Self::MAILBOX_FLOOR };
        share(messages, self.max_percent).max(floor)
    }

    /// How many messages a run over `messages` in all may prune.
    #[must_use]
    pub fn run_limit(&self, messages: u64) -> u64 {
        share(messages, self.max_percent_of_run).max(Self::RUN_FLOOR)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a message count; f64 is exact far beyond any store's size"
)]
fn share(messages: u64, percent: f64) -> u64 {
    (messages as f64 * percent.clamp(0.0, 100.0) / 100.0) as u64
}

/// The settings of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How closely messages are looked at.
    pub check: Check,
    /// Expunge records whose message is proved absent; `None` leaves them.
    pub prune: Option<PrunePolicy>,
    /// In whose manner new cache records are made.
    pub cache_dialect: DialectChoice,
    /// How long to wait for the locks of one mailbox.
    pub lock_timeout: Duration,
    /// Threads that read and parse messages; at least 1.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            check: Check::default(),
            prune: None,
            cache_dialect: DialectChoice::default(),
            lock_timeout: Duration::from_secs(30),
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_mailbox_may_lose_ten_records_and_a_large_one_its_share() {
        let policy = PrunePolicy::default();
        assert_eq!(policy.mailbox_limit(20, 10), 10);
        assert_eq!(policy.mailbox_limit(5000, 60), 50);
        assert_eq!(policy.mailbox_limit(4, 3), 0, "most of a mailbox is no small loss");
        assert_eq!(PrunePolicy { max_percent: 100.0, ..policy }.mailbox_limit(5000, 4000), 5000);
    }

    #[test]
    fn a_run_may_prune_a_hundred_or_a_thousandth() {
        let policy = PrunePolicy::default();
        assert_eq!(policy.run_limit(5), 100);
        assert_eq!(policy.run_limit(10_000_000), 10_000);
        assert_eq!(PrunePolicy { max_percent_of_run: 50.0, ..policy }.run_limit(600), 300);
    }
}
