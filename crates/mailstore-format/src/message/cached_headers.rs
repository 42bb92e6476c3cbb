//! Which header fields of a message go verbatim into its cache record
//! (`imap/mailbox_header_cache.gperf`, `is_cached_header` and `mailbox_cached_header_inline` in
//! `imap/mailbox.c`).
//!
//! All do, except those that other items of the record hold already, those that are long and hardly
//! asked for, names of 32 bytes or more, and `X-` fields that are not in the table.

const LONGEST_CACHED: usize = 31;

/// Whether version 11 of the cache keeps fields of this name. `name` is all that stands before the
/// colon, which need not be a valid name.
pub(super) fn is_cached_header(name: &[u8]) -> bool {
    if name.len() > LONGEST_CACHED {
        return false;
    }
    let listed = |list: &[&[u8]]| list.iter().any(|known| name.eq_ignore_ascii_case(known));
    if let [b'x' | b'X', b'-', ..] = name {
        return listed(match name.len() {
            5 => &[b"x-ref"],
            7 => &[b"x-trace"],
            8 => &[b"x-mailer"],
            10 => &[b"x-priority", b"x-msoesrec"],
            11 => &[b"x-mail-from"],
            12 => &[b"x-spam-score"],
            13 => &[b"x-resolved-to"],
            14 => &[b"x-delivered-to"],
            15 => &[b"x-me-message-id"],
            16 => &[b"x-apple-base-url"],
            17 => &[b"x-msmail-priority"],
            18 => &[b"x-cyrus-session-id"],
            19 => &[b"x-truedomain-domain"],
            25 => &[b"x-uniform-type-identifier"],
            31 => &[b"x-universally-unique-identifier", b"x-apple-mail-remote-attachments"],
            _ => &[],
        });
    }
    !listed(match name.len() {
        2 => &[b"cc", b"to"],
        3 => &[b"bcc"],
        4 => &[b"date", b"from"],
        7 => &[b"subject"],
        8 => &[b"received", b"arc-seal"],
        10 => &[b"message-id"],
        11 => &[b"envelope-to", b"in-reply-to", b"return-path", b"archived-at"],
        12 => &[b"mime-version", b"received-spf"],
        13 => &[b"delivery-date"],
        14 => &[b"dkim-signature", b"domainkey-x509"],
        19 => &[b"domainkey-signature"],
        20 => &[b"listbox-message-date"],
        21 => &[b"arc-message-signature", b"topicbox-message-uuid"],
        22 => &[b"authentication-results"],
        25 => &[b"topicbox-policy-reasoning"],
        26 => &[b"arc-authentication-results"],
        _ => &[],
    })
}

#[cfg(test)]
mod tests {
    use super::is_cached_header;

    #[test]
    fn fields_are_cached_unless_known_to_be_held_elsewhere() {
        for name in ["References", "Reply-To", "Content-Type", "List-Id", "", "From me"] {
            assert!(is_cached_header(name.as_bytes()), "{name}");
        }
        for name in ["To", "SUBJECT", "Received", "Message-ID", "ARC-Seal"] {
            assert!(!is_cached_header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn of_x_fields_only_the_listed_ones_are_cached() {
        assert!(is_cached_header(b"X-Mailer"));
        assert!(is_cached_header(b"x-universally-unique-identifier"));
        assert!(!is_cached_header(b"X-Spam-Status"));
        assert!(!is_cached_header(b"X-"));
        assert!(is_cached_header(b"X"));
    }

    #[test]
    fn a_name_of_32_bytes_is_not_cached() {
        assert!(is_cached_header(&[b'a'; 31]));
        assert!(!is_cached_header(&[b'a'; 32]));
    }
}
