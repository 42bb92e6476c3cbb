//! Telling a message's remains from another message that has its name.

use mailstore_format::cache;

/// What a message's ENVELOPE says it is, in few bytes: enough to tell two messages apart, whatever
/// became of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Likeness {
    /// CRC-32 of its Message-ID, where it has one.
    message_id: Option<u32>,
    /// CRC-32 of all that stands before it: date, subject, addresses.
    rest: u32,
}

impl Likeness {
    /// Of the message whose record in the cache is `record`.
    #[must_use]
    pub fn of_cache_record(record: &[u8]) -> Self {
        let length = record.first_chunk().map(|length| u32::from_be_bytes(*length));
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let begin = cache::HEADER_SIZE;
        let envelope = begin.checked_add(length).and_then(|end| record.get(begin..end));
        Self::of_envelope(envelope.unwrap_or_default())
    }

    /// The Message-ID is the last string of the envelope; Cyrus quotes it only where it holds
    /// neither quote nor backslash.
    fn of_envelope(envelope: &[u8]) -> Self {
        let quoted = envelope.strip_suffix(b"\")");
        let split = quoted.and_then(|front| {
            let quote = front.iter().rposition(|&byte| byte == b'"')?;
            Some((envelope.get(..quote)?, front.get(quote..)?))
        });
        match split {
            Some((rest, id)) => {
                Self { message_id: Some(crc32fast::hash(id)), rest: crc32fast::hash(rest) }
            }
            None => Self { message_id: None, rest: crc32fast::hash(envelope) },
        }
    }

    /// Whether these are two messages: both have a Message-ID, which is not the same, and neither is
    /// all the rest. A flipped bit changes one of the two.
    #[must_use]
    pub fn is_another(self, other: Self) -> bool {
        let ids = self.message_id.zip(other.message_id);
        ids.is_some_and(|(one, another)| one != another) && self.rest != other.rest
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::message::MessageReader;

    use super::*;

    fn likeness(message: &str) -> Likeness {
        let mut record = Vec::new();
        MessageReader::default().read(message.as_bytes(), &mut record);
        Likeness::of_cache_record(&record)
    }

    #[test]
    fn a_message_is_known_again_by_its_envelope_whatever_became_of_its_body() {
        let whole = likeness("Subject: a\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n");
        let cut = likeness("Subject: a\r\nMessage-ID: <1@x>\r\n\r\nbo");
        assert_eq!(whole, cut);
        assert!(whole.message_id.is_some());
        let other = likeness("Subject: b\r\nMessage-ID: <2@x>\r\n\r\nbody\r\n");
        assert!(whole.is_another(other));
    }

    #[test]
    fn one_bad_line_or_a_missing_message_id_makes_no_other_message() {
        let whole = likeness("Subject: a\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n");
        for damaged in [
            "Subject: c\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n",
            "Subject: a\r\nMessage-ID: <3@x>\r\n\r\nbody\r\n",
            "Subject: c\r\n\r\nbody\r\n",
            "",
        ] {
            assert!(!whole.is_another(likeness(damaged)), "{damaged}");
        }
        assert_eq!(Likeness::of_cache_record(&[0xff; 3]), Likeness::of_cache_record(&[]));
    }
}
