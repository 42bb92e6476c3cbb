//! What a message of a source is, seen from the live store.

use std::fmt;

/// The class of a message. `docs/policy.md` has the rows that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The live store has it in this mailbox.
    Present,
    /// Its owner moved it: what one side lacks here the other has in another folder.
    Moved,
    /// Its owner deleted it.
    Deleted,
    /// It came after the live store's last state, or a disk lost it.
    Missing,
    /// The live store's record waits for it, or an earlier run had missed it.
    Wanted,
    /// It could have been deleted and forgotten.
    Ambiguous,
    /// The live store gave its UID to another message.
    UidTaken,
    /// The live store has a message with the same id and content and other trace headers.
    NearDuplicate,
    /// Another copy of a message that the sources have already given.
    Duplicate,
    /// No intact copy of it is known.
    Damaged,
    /// A file that is no message.
    NotMail,
    /// It belongs to a mailbox that the live store does not have.
    MailboxGone,
    /// What its owner did later is not in the live store: flags, deletions, renames.
    StateBehind,
    /// It belongs to a calendar or an address book.
    Dav,
    /// A message that nothing says where it belongs.
    Unplaced,
}

impl Class {
    /// All classes, in the order of reports.
    pub const ALL: [Self; 15] = [
        Self::Present,
        Self::Moved,
        Self::Deleted,
        Self::Missing,
        Self::Wanted,
        Self::Ambiguous,
        Self::UidTaken,
        Self::MailboxGone,
        Self::NearDuplicate,
        Self::Duplicate,
        Self::Damaged,
        Self::Dav,
        Self::Unplaced,
        Self::NotMail,
        Self::StateBehind,
    ];

    /// Its name in reports, JSON and the incident.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Moved => "moved",
            Self::Deleted => "deleted",
            Self::Missing => "missing",
            Self::Wanted => "wanted",
            Self::Ambiguous => "ambiguous",
            Self::UidTaken => "uid-taken",
            Self::NearDuplicate => "near-duplicate",
            Self::Duplicate => "duplicate",
            Self::Damaged => "damaged",
            Self::NotMail => "not-mail",
            Self::MailboxGone => "mailbox-gone",
            Self::StateBehind => "state-behind",
            Self::Dav => "dav",
            Self::Unplaced => "unplaced",
        }
    }

    /// Whether a message of this class is to be brought back: it is read and verified.
    #[must_use]
    pub const fn is_to_be_restored(self) -> bool {
        matches!(
            self,
            Self::Missing | Self::Wanted | Self::Ambiguous | Self::UidTaken | Self::MailboxGone
        )
    }

    /// Whether the live store lacks something of this class.
    #[must_use]
    pub const fn is_gap(self) -> bool {
        self.is_to_be_restored() || matches!(self, Self::Damaged | Self::Dav | Self::Unplaced)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_name_of_its_own_and_a_row_in_the_policy() {
        let policy = include_str!("../../../docs/policy.md");
        let names: std::collections::BTreeSet<_> = Class::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Class::ALL.len());
        for name in names {
            assert!(policy.contains(&format!("`{name}`")), "{name}");
        }
    }
}
