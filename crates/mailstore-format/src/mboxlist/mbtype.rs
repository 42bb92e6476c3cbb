//! Type and flags of a mailbox, as `mailboxes.db` and `cyrus.header` note them
//! (`imap/mboxlist.c`, `mboxlist_string_to_mbtype`).

/// What kind of mailbox it is, and its flags. Letters that are not known here are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxType {
    letters: Vec<u8>,
    /// In records that have a number instead.
    number: Option<u32>,
    all_by_name: bool,
}

/// What a mailbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxKind {
    /// Mail: the default.
    Email,
    /// News; no longer used.
    Netnews,
    /// A `WebDAV` collection.
    Collection,
    /// A calendar.
    Calendar,
    /// An address book.
    Addressbook,
    /// Mail to be sent, of JMAP.
    JmapSubmission,
    /// Push subscriptions, of JMAP.
    JmapPushSubscription,
    /// Notifications, of JMAP.
    JmapNotification,
    /// Sieve scripts.
    Sieve,
}

impl Default for MailboxType {
    /// Mail, without flags.
    fn default() -> Self {
        Self::from_letters(b"e")
    }
}

impl MailboxType {
    /// From letters, as in `edl`: the kind, then the flags.
    #[must_use]
    pub fn from_letters(letters: &[u8]) -> Self {
        Self { letters: letters.to_vec(), number: None, all_by_name: false }
    }

    /// From the number that releases up to 2.4 wrote, by their meaning of its bits. (3.6 reads such a
    /// number by the meaning that it gives to the bits itself.)
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let letter = |(bit, letter): (u32, u8)| (number & bit != 0).then_some(letter);
        let kinds = [(1 << 2, b'n'), (1 << 5, b'c'), (1 << 6, b'a')];
        let flags = [(1, b'r'), (1 << 1, b'z'), (1 << 3, b'm'), (1 << 4, b'd')];
        let kind = kinds.into_iter().find_map(letter).unwrap_or(b'e');
        let letters = std::iter::once(kind).chain(flags.into_iter().filter_map(letter)).collect();
        Self { letters, number: Some(number), all_by_name: false }
    }

    /// The letters, as 3.6 would write them.
    #[must_use]
    pub fn letters(&self) -> &[u8] {
        &self.letters
    }

    pub(crate) fn letters_or_number(&self) -> Vec<u8> {
        self.number.map_or_else(|| self.letters.clone(), |bits| bits.to_string().into_bytes())
    }

    pub(crate) fn set_stored_by_name(&mut self) {
        self.all_by_name = true;
    }

    /// What the mailbox is for.
    #[must_use]
    pub fn kind(&self) -> MailboxKind {
        match self.letters.first() {
            Some(b'n') => MailboxKind::Netnews,
            Some(b'b') => MailboxKind::Collection,
            Some(b'c') => MailboxKind::Calendar,
            Some(b'a') => MailboxKind::Addressbook,
            Some(b's') => MailboxKind::JmapSubmission,
            Some(b'p') => MailboxKind::JmapPushSubscription,
            Some(b'j') => MailboxKind::JmapNotification,
            _ if self.letters.contains(&b'f') => MailboxKind::Sieve,
            // `e`, or a flag in a record that is older than the letter.
            _ => MailboxKind::Email,
        }
    }

    /// Whether the server keeps a database of its messages that is keyed by their UIDs
    /// (`imap/dav_db.c`).
    #[must_use]
    pub fn is_dav(&self) -> bool {
        use MailboxKind::{Addressbook, Calendar, Collection};
        matches!(self.kind(), Addressbook | Calendar | Collection)
    }

    /// A tombstone: the mailbox was deleted or renamed away (`MBTYPE_DELETED`).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.letters.contains(&b'd')
    }

    /// A level in the hierarchy that was never created itself (`MBTYPE_INTERMEDIATE`).
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        self.letters.contains(&b'i')
    }

    /// It lies on another server (`MBTYPE_REMOTE`).
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.letters.contains(&b'r')
    }

    /// The name is taken but not in use yet (`MBTYPE_RESERVE`).
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.letters.contains(&b'z')
    }

    /// On the way to another server (`MBTYPE_MOVING`).
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.letters.contains(&b'm')
    }

    /// Its directory goes by its name, not by its unique id: `MBTYPE_LEGACY_DIRS`, or a list from
    /// before there was a choice.
    #[must_use]
    pub fn is_stored_by_name(&self) -> bool {
        self.all_by_name || self.number.is_some() || self.letters.contains(&b'l')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_tell_kind_and_flags() {
        let mbtype = MailboxType::from_letters(b"edl");
        assert_eq!(mbtype.kind(), MailboxKind::Email);
        assert!(mbtype.is_deleted() && mbtype.is_stored_by_name());
        assert!(!mbtype.is_intermediate() && !mbtype.is_remote());
        assert_eq!(MailboxType::from_letters(b"ci").kind(), MailboxKind::Calendar);
        assert_eq!(MailboxType::from_letters(b"d").kind(), MailboxKind::Email);
    }

    #[test]
    fn a_number_is_read_as_the_releases_meant_it_that_wrote_it() {
        let mbtype = MailboxType::from_number(1 | 1 << 4);
        assert!(mbtype.is_remote() && mbtype.is_deleted() && mbtype.is_stored_by_name());
        assert_eq!(mbtype.letters_or_number(), b"17");
    }
}
