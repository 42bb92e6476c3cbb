//! Slots for keywords that a plan sets. Tables only grow: the old index serves with the new one.

use mailstore_format::UserFlags;
use mailstore_format::header_file::FlagNames;
use mailstore_format::header_file::remains::is_atom;

use super::Draughtsman;

impl Draughtsman<'_> {
    /// The slot of the keyword `name`, which is given one where it has none: the preferred one where
    /// that has no name, else one that has neither name nor a message with its bit set. `None`
    /// where no slot is left, or `name` is no IMAP atom: the server cannot open a mailbox with such a
    /// keyword.
    pub(super) fn slot_of_keyword(
        &mut self,
        name: &[u8],
        preferred: Option<usize>,
    ) -> Option<usize> {
        let mut file = self.current_header_file().filter(|_| is_atom(name))?;
        if let Some(slot) = file.flag_names.slot_of(name) {
            return Some(slot);
        }
        let slot = free_slot(&file.flag_names, self.slots_in_use(), preferred)?;
        file.flag_names.set(slot, Some(name.to_vec()));
        self.header_file = Some(file);
        Some(slot)
    }

    /// Slots of which some message has the bit set.
    pub(super) fn slots_in_use(&self) -> UserFlags {
        let index = &self.evidence.index;
        (0..index.slots.len())
            .filter_map(|slot| index.record(slot))
            .chain(&self.evidence.leftover.records)
            .map(|record| record.user_flags)
            .chain(self.drafts.iter().map(|draft| draft.record.user_flags))
            .fold(UserFlags::default(), |used, flags| used.union(&flags))
    }
}

fn free_slot(names: &FlagNames, used: UserFlags, preferred: Option<usize>) -> Option<usize> {
    let unnamed = |slot: &usize| *slot < UserFlags::SLOTS && names.get(*slot).is_none();
    let unused = (0..UserFlags::SLOTS).filter(|&slot| !used.contains(slot));
    preferred.into_iter().chain(unused).find(unnamed)
}

/// `flags` and the keyword in `slot`.
pub(super) fn with_keyword(flags: UserFlags, slot: usize) -> UserFlags {
    let mut words = flags.0;
    if let Some(word) = words.get_mut(slot / 32) {
        *word |= 1 << (slot % 32);
    }
    UserFlags(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_without_a_name_is_taken_only_where_no_message_has_its_bit() {
        let names = FlagNames::new([Some(b"a".to_vec()), None, None]).unwrap();
        let used = UserFlags([0b1010, 0, 0, 0]);
        assert_eq!(free_slot(&names, used, None), Some(2));
        assert_eq!(free_slot(&names, used, Some(1)), Some(1), "it was this keyword's");
        assert_eq!(free_slot(&names, used, Some(0)), Some(2));
        assert_eq!(free_slot(&names, UserFlags([u32::MAX; 4]), Some(128)), None);
    }
}
