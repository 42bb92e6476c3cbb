//! States of a rebuild that the tests of several modules look at.

use mailstore_format::Timestamp;

use super::{Source, SourceError};
use crate::status::{Count, Estimate, Note, OwnStatus, Phase, Rate, Sample, Standing, Status};

/// Two minutes before noon, and so many seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_262_280 + seconds)
}

/// 130 of 200 users are back, by 300 samples.
pub(super) fn running() -> Status {
    let estimate = |made, earliest, latest| Estimate {
        made: at(made),
        earliest: at(earliest),
        latest: at(latest),
    };
    Status {
        begun: Some(at(-9900)),
        reported: Some(at(-4)),
        users: Count { done: 130, total: 200 },
        mailboxes: Count { done: 1040, total: 1603 },
        messages: Count { done: 812_440, total: 1_250_117 },
        rate: Some(Rate { users: 47.0, messages: 82.0 }),
        estimate: Some(estimate(0, 4000, 7000)),
        earlier: vec![estimate(-7200, 900, 7000), estimate(-3600, 7700, 9000)],
        progress: (0..300)
            .map(|n| Sample {
                at: at(-9900 + 33 * n),
                users: u64::try_from(n * 130 / 300).unwrap(),
                messages: u64::try_from(n * 812_440 / 300).unwrap(),
            })
            .collect(),
        notes: vec![Note { at: at(-5000), text: "New disks are in.".to_owned() }],
        ..Status::new(at(0), Phase::Running)
    }
}

/// Alice, who waits, and cannot log in.
pub(super) fn alice() -> OwnStatus {
    OwnStatus {
        user: "alice".to_owned(),
        standing: Standing::Waiting {
            before: 11,
            estimate: Some(Estimate { made: at(0), earliest: at(1800), latest: at(3600) }),
        },
        mailboxes: Count { done: 0, total: 8 },
        is_closed: true,
    }
}

/// Alice's token.
pub(super) const TOKEN: &str = "kT4vJ0wYq2-N7_R5";

/// A rebuild that stands still, with the links that are given.
pub(super) struct Still {
    pub(super) status: Status,
    pub(super) linked: Vec<(String, OwnStatus)>,
}

impl Still {
    /// [`running`], with a link for [`alice`].
    pub(super) fn new() -> Self {
        Self { status: running(), linked: vec![(TOKEN.to_owned(), alice())] }
    }
}

impl Source for Still {
    fn status(&self) -> Result<Status, SourceError> {
        Ok(self.status.clone())
    }

    fn own(&self, token: &str) -> Result<Option<OwnStatus>, SourceError> {
        let found = self.linked.iter().find(|(known, _)| known == token);
        Ok(found.map(|(_, own)| own.clone()))
    }

    fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
        Ok(self.linked.clone())
    }
}
