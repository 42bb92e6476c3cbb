//! `cyrus.header`: who a mailbox is, who may use it, and what its keywords are called.

use crate::{DecodeError, UserFlags};

/// The names of a mailbox's keywords by slot. A slot whose keyword was removed is a hole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagNames(Vec<Option<Vec<u8>>>);

impl FlagNames {
    /// Names for slots 0 and on. Fails beyond [`UserFlags::SLOTS`].
    pub fn new(names: impl IntoIterator<Item = Option<Vec<u8>>>) -> Result<Self, DecodeError> {
        let names: Vec<_> = names.into_iter().take(UserFlags::SLOTS.saturating_add(1)).collect();
        if names.len() > UserFlags::SLOTS {
            let found = "more";
            return Err(DecodeError::new(0, "flagname", "at most 128 names", found));
        }
        Ok(Self(names))
    }

    /// The name in `slot`.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&[u8]> {
        self.0.get(slot)?.as_deref()
    }
}
