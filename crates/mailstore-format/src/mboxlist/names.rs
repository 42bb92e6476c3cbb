//! Mailbox names as the keys and values of `mailboxes.db` hold them.

/// Between the levels of a name in keys and values (`DB_HIERSEP_CHAR`).
pub(super) const HIERARCHY_SEPARATOR: u8 = 0x1f;
/// Between domain and name (`DB_DOMAINSEP_CHAR`).
const DOMAIN_SEPARATOR: u8 = 0x1d;

/// The internal name for a name as keys and values hold it (`mboxname_from_dbname`): a dot within a
/// level becomes `^`, the separators become `.` and `!`.
#[must_use]
pub fn name_from_db(stored: &[u8]) -> Vec<u8> {
    let internal = |&byte: &u8| match byte {
        HIERARCHY_SEPARATOR => b'.',
        DOMAIN_SEPARATOR => b'!',
        b'.' => b'^',
        other => other,
    };
    match stored.iter().position(|&byte| byte == DOMAIN_SEPARATOR) {
        // Dots in the domain are dots.
        Some(at) => {
            let (domain, rest) = stored.split_at_checked(at).unwrap_or((stored, b""));
            domain.iter().copied().chain(rest.iter().map(internal)).collect()
        }
        None => stored.iter().map(internal).collect(),
    }
}

/// The other way round (`mboxname_to_dbname`).
#[must_use]
pub fn name_to_db(internal: &[u8]) -> Vec<u8> {
    let stored = |&byte: &u8| match byte {
        b'.' => HIERARCHY_SEPARATOR,
        b'^' => b'.',
        other => other,
    };
    match internal.iter().position(|&byte| byte == b'!') {
        Some(at) => {
            let (domain, rest) = internal.split_at_checked(at).unwrap_or((internal, b""));
            let rest = rest.get(1..).unwrap_or_default();
            let separator = std::iter::once(DOMAIN_SEPARATOR);
            domain.iter().copied().chain(separator).chain(rest.iter().map(stored)).collect()
        }
        None => internal.iter().map(stored).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (stored, internal) in [
            (&b"user\x1fgina.dot"[..], &b"user.gina^dot"[..]),
            (b"example.com\x1duser\x1fa.b", b"example.com!user.a^b"),
            (b"DELETED\x1fuser\x1ferin\x1f6B0120AA", b"DELETED.user.erin.6B0120AA"),
        ] {
            assert_eq!(name_from_db(stored), internal);
            assert_eq!(name_to_db(internal), stored);
        }
    }
}
