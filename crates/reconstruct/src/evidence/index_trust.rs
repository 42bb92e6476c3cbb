//! Whose index this is, and of when.

use super::IndexEvidence;

/// What the mailbox's other files say of `cyrus.index` as a whole.
#[derive(Debug, Default)]
pub enum IndexTrust {
    /// Nothing speaks against its being this mailbox's newest.
    #[default]
    Current,
    /// It is an older state of this mailbox's index, for this reason.
    Older(String),
    /// It is not this mailbox's, or not since its UIDVALIDITY changed.
    Foreign {
        /// For this reason.
        why: String,
        /// The index as it is. [`super::Evidence::index`] has only the records whose message is
        /// there, and nothing of its header.
        as_read: Box<IndexEvidence>,
    },
}

impl IndexTrust {
    /// Whether the index is an older state of the mailbox's.
    #[must_use]
    pub fn is_older(&self) -> bool {
        matches!(self, Self::Older(_))
    }

    /// Whether the index is another mailbox's.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. })
    }
}
