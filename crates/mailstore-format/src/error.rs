//! The one error of every decoder: where the bytes stop making sense, and what was expected there.

use thiserror::Error;

/// Why some bytes are not what they were read as.
///
/// Damage is ordinary input for this toolkit, so the error is small, comparable and carries the
/// position: a report can name the byte an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at byte {offset}, {field}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct DecodeError {
    /// Byte offset from the start of the decoded input.
    pub offset: u64,
    /// The field that was being decoded, in Cyrus's own spelling.
    pub field: &'static str,
    /// What a valid value looks like.
    pub expected: String,
    /// What is there instead.
    pub found: String,
}

impl DecodeError {
    /// An error at `offset` in `field`.
    pub fn new(
        offset: u64,
        field: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { offset, field, expected: expected.into(), found: found.into() }
    }

    /// The input ends before `field` does: `needed` bytes were wanted from `offset`, `left` are there.
    #[must_use]
    pub fn truncated(offset: u64, field: &'static str, needed: usize, left: usize) -> Self {
        Self::new(offset, field, format!("{needed} bytes"), format!("{left} bytes"))
    }
}
