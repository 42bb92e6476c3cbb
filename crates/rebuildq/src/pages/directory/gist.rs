//! Whether an account's page has to be written again.

use mailstore_format::Timestamp;

use super::super::own::is_awaited;
use super::super::renewal::Renewal;
use crate::status::{OwnStatus, Phase, Standing, Status};

/// Of how many accounts before one's own each that goes is told at once.
const NEAR: u64 = 5;

/// After how many seconds a page is written again that promises to be at most five minutes old, by
/// one who comes every 30 seconds.
const DUE: i64 = 270;

/// What has to be told at once where it changes. Places and times further off, which change all the
/// time, are not among it.
#[derive(Debug, PartialEq)]
pub(super) struct Gist {
    own: OwnStatus,
    /// Of all, where it is on the page.
    phase: Option<Phase>,
}

impl Gist {
    pub(super) fn of(own: &OwnStatus, status: &Status) -> Self {
        let standing = match own.standing {
            Standing::Waiting { before, .. } => {
                Standing::Waiting { before: before.min(NEAR), estimate: None }
            }
            other => other,
        };
        let phase = is_awaited(own).then_some(status.phase);
        Self { own: OwnStatus { standing, ..own.clone() }, phase }
    }

    pub(super) fn renewal(&self) -> Renewal {
        if self.phase.is_some() { Renewal::Unhurried } else { Renewal::WhenChanged }
    }

    /// Whether a page that was written at `at` has to be written again, though nothing happened.
    pub(super) fn is_due(&self, at: Timestamp, now: Timestamp) -> bool {
        let age = now.seconds().saturating_sub(at.seconds());
        self.renewal() == Renewal::Unhurried && !(0..DUE).contains(&age)
    }
}
