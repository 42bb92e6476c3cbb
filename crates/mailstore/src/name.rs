//! Mailbox names: as the server holds them, and their parts.

use std::fmt;

/// A mailbox's name as the server has it in memory and logs it: levels separated by `.`, a dot
/// within a level written `^`, a domain in front with `!` (`user.gina^dot.Sent`,
/// `example.com!user.alice`). Encoded in modified UTF-7; any bytes where a database is damaged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalName(Vec<u8>);

impl InternalName {
    /// The name that `bytes` spell. Whether anything may lie under it on disk is checked where a
    /// path is made of it ([`crate::location`]).
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is `ancestor` or lies below it.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0.strip_prefix(ancestor.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'.', ..]))
    }
}

impl fmt::Display for InternalName {
    /// Escaped where a byte is not printable, so that a hostile name cannot forge a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for InternalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InternalName({self})")
    }
}

/// A name taken apart (`imap/mboxname.c`, `mbname_from_intname`). Dots within parts are dots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameParts {
    /// Its domain, unless that is the default one.
    pub domain: Option<Vec<u8>>,
    /// When it was deleted (seconds since 1970), for a mailbox below the deleted prefix.
    pub deleted: Option<u64>,
    /// Its owner's name without domain; none for a shared mailbox.
    pub localpart: Option<Vec<u8>>,
    /// The levels below the owner's INBOX, or all levels of a shared mailbox.
    pub boxes: Vec<Vec<u8>>,
}

impl NameParts {
    pub(crate) fn of(name: &InternalName, deleted_prefix: &[u8], default_domain: &[u8]) -> Self {
        let bytes = name.as_bytes();
        let (domain, levels) = match bytes.iter().position(|&byte| byte == b'!') {
            Some(mark) => (bytes.get(..mark), bytes.get(mark + 1..).unwrap_or_default()),
            None => (None, bytes),
        };
        let mut parts = Self {
            domain: domain.filter(|&domain| domain != default_domain).map(<[u8]>::to_vec),
            ..Self::default()
        };
        // The server's splitter skips empty levels.
        let mut boxes: Vec<Vec<u8>> = levels
            .split(|&byte| byte == b'.')
            .filter(|level| !level.is_empty())
            .map(|level| replaced(level, b'^', b'.'))
            .collect();
        if boxes.len() > 2 && boxes.first().is_some_and(|first| first == deleted_prefix) {
            boxes.remove(0);
            parts.deleted =
                boxes.pop().and_then(|time| leading_hex(&time)).filter(|&time| time != 0);
        }
        if boxes.len() > 1 && boxes.first().is_some_and(|first| first == b"user") {
            boxes.remove(0);
            parts.localpart = Some(boxes.remove(0));
        }
        parts.boxes = boxes;
        parts
    }

    /// The userid of the mailbox's owner, with its domain (`mbname_userid`); none for a shared
    /// mailbox. A deleted mailbox keeps its owner.
    #[must_use]
    pub fn userid(&self) -> Option<Vec<u8>> {
        let mut userid = self.localpart.clone()?;
        if let Some(domain) = &self.domain {
            userid.push(b'@');
            userid.extend_from_slice(domain);
        }
        Some(userid)
    }

    /// The owner's INBOX, also of a deleted mailbox; none for a shared mailbox.
    #[must_use]
    pub fn inbox(&self) -> Option<InternalName> {
        let localpart = self.localpart.as_deref()?;
        let mut name = Vec::new();
        if let Some(domain) = &self.domain {
            name.extend_from_slice(domain);
            name.push(b'!');
        }
        name.extend_from_slice(b"user.");
        name.extend(replaced(localpart, b'.', b'^'));
        Some(InternalName::new(name))
    }

    /// Every level from the top, `user` and the deleted prefix among them: what a path by name and
    /// the names operators see are made of.
    #[must_use]
    pub fn levels(&self, deleted_prefix: &[u8]) -> Vec<Vec<u8>> {
        let mut levels = Vec::with_capacity(self.boxes.len() + 4);
        levels.extend(self.deleted.map(|_| deleted_prefix.to_vec()));
        if let Some(localpart) = &self.localpart {
            levels.extend([b"user".to_vec(), localpart.clone()]);
        }
        levels.extend(self.boxes.iter().cloned());
        levels.extend(self.deleted.map(|time| format!("{time:X}").into_bytes()));
        levels
    }
}

pub(crate) fn replaced(bytes: &[u8], from: u8, to: u8) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == from { to } else { byte }).collect()
}

/// The hexadecimal number at the start, as strtoul reads it; none where there is no digit.
fn leading_hex(text: &[u8]) -> Option<u64> {
    let digits = text.iter().map_while(|&digit| char::from(digit).to_digit(16));
    digits.fold(None, |number: Option<u64>, digit| {
        Some(number.unwrap_or(0).saturating_mul(16).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> NameParts {
        NameParts::of(&InternalName::new(name), b"DELETED", b"internal")
    }

    #[test]
    fn a_users_mailbox_has_an_owner_and_levels() {
        let parts = parts("example.com!user.gina^dot.Lists.a^b");
        assert_eq!(parts.domain.as_deref(), Some(&b"example.com"[..]));
        assert_eq!(parts.localpart.as_deref(), Some(&b"gina.dot"[..]));
        assert_eq!(parts.boxes, [b"Lists".to_vec(), b"a.b".to_vec()]);
        assert_eq!(parts.userid().unwrap(), b"gina.dot@example.com");
    }

    #[test]
    fn a_deleted_mailbox_keeps_owner_and_time() {
        let parts = parts("DELETED.user.erin.Trash.6B0120AA");
        assert_eq!(parts.deleted, Some(0x6B01_20AA));
        assert_eq!(parts.userid().unwrap(), b"erin");
        let levels = parts.levels(b"DELETED");
        assert_eq!(levels.concat(), b"DELETEDusererinTrash6B0120AA");
    }

    #[test]
    fn shared_mailboxes_and_the_bare_word_user_have_no_owner() {
        assert_eq!(parts("shared.notices").userid(), None);
        assert_eq!(parts("user").userid(), None);
        assert_eq!(parts("").boxes, Vec::<Vec<u8>>::new());
    }

    #[test]
    fn the_default_domain_is_left_out() {
        assert_eq!(parts("internal!user.alice").userid().unwrap(), b"alice");
    }

    #[test]
    fn an_ancestor_ends_at_a_level() {
        let alice = InternalName::new("user.alice");
        assert!(InternalName::new("user.alice.Sent").is_within(&alice));
        assert!(alice.is_within(&alice));
        assert!(!InternalName::new("user.alicex").is_within(&alice));
    }

    #[test]
    fn a_hostile_name_prints_on_one_line() {
        assert_eq!(InternalName::new(&b"user.a\n\xff"[..]).to_string(), "user.a\\n\\xff");
    }
}
