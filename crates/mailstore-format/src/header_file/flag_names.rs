//! The names of a mailbox's keywords.

use crate::{DecodeError, UserFlags};

/// The names of a mailbox's keywords by slot. A slot whose keyword was removed is a hole.
///
/// Names are bytes as they are on disk; Cyrus takes IMAP atoms only, and compares without case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagNames(Vec<Option<Vec<u8>>>);

impl FlagNames {
    /// Names for slots 0 and on. Fails beyond [`UserFlags::SLOTS`].
    pub fn new(names: impl IntoIterator<Item = Option<Vec<u8>>>) -> Result<Self, DecodeError> {
        let one_too_many = UserFlags::SLOTS.saturating_add(1);
        let names: Vec<_> = names.into_iter().take(one_too_many).collect();
        if names.len() == one_too_many {
            return Err(DecodeError::new(0, "flagname", "at most 128 names", "more"));
        }
        Ok(Self(names))
    }

    /// The name in `slot`.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&[u8]> {
        self.0.get(slot)?.as_deref()
    }

    /// All names with their slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.0.iter().enumerate().filter_map(|(slot, name)| Some((slot, name.as_deref()?)))
    }

    /// The slot of a name, compared without case (`mailbox_user_flag` in `imap/mailbox.c`).
    #[must_use]
    pub fn slot_of(&self, name: &[u8]) -> Option<usize> {
        self.iter().find(|(_, other)| other.eq_ignore_ascii_case(name)).map(|(slot, _)| slot)
    }

    /// Gives `slot` a name, or makes it a hole. Returns whether there is such a slot.
    pub fn set(&mut self, slot: usize, name: Option<Vec<u8>>) -> bool {
        if slot >= UserFlags::SLOTS {
            return false;
        }
        if self.0.len() <= slot {
            self.0.resize(slot.saturating_add(1), None);
        }
        if let Some(place) = self.0.get_mut(slot) {
            *place = name;
        }
        true
    }

    /// The slots that are set in `flags` and have no name: the next new keyword would take them.
    #[must_use]
    pub fn unnamed(&self, flags: UserFlags) -> Vec<usize> {
        flags.slots().filter(|&slot| self.get(slot).is_none()).collect()
    }

    /// Every slot up to the last that was ever named.
    pub(super) fn slots(&self) -> &[Option<Vec<u8>>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_129th_name_is_an_error() {
        let names = |count| std::iter::repeat_n(Some(b"a".to_vec()), count);
        assert!(FlagNames::new(names(128)).is_ok());
        assert!(FlagNames::new(names(129)).is_err());
    }

    #[test]
    fn a_name_is_found_whatever_its_case_and_holes_stay_holes() {
        let mut names = FlagNames::default();
        assert!(names.set(2, Some(b"Work".to_vec())));
        assert!(!names.set(128, Some(b"Late".to_vec())));
        assert_eq!(
            (names.slot_of(b"wORK"), names.get(0), names.iter().count()),
            (Some(2), None, 1)
        );
        assert_eq!(names.unnamed(UserFlags([0b101, 0, 0, 1])), [0, 96]);
    }
}
