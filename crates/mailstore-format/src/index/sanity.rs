//! Whether a record says what records say. No proof; a guard against chance where a CRC fits by
//! accident, and a sieve for what is worth keeping where it does not fit.

use super::record::IndexRecord;
use crate::{Timestamp, Uid};

impl IndexRecord {
    /// Whether nothing in the record is beyond what any server writes.
    ///
    /// Of random bytes one in 8,000 passes (one in 2^36 in version 20): together with a fitting CRC
    /// that leaves no room for chance.
    pub(super) fn is_sane(&self) -> bool {
        self.uid != Uid(0)
            && u64::from(self.header_size) <= self.size
            && self.size < 1 << 40
            && self.cache_version < 1 << 8
            && self.modseq.0 < 1 << 60
    }

    /// Whether at least two things speak for these being the remains of a record: fields that are
    /// not zero and hold what such fields hold. Zeros, text and most random bytes do not pass; half
    /// a record does.
    pub(super) fn looks_like_one(&self) -> bool {
        let dates = [self.internaldate, self.sentdate, self.gmtime, self.last_updated];
        let mut dates = dates.into_iter().filter(|date| *date != Timestamp(0)).peekable();
        let signs = [
            (1..1 << 26).contains(&self.uid.0),
            dates.peek().is_some() && dates.all(is_of_our_time),
            (1..1 << 28).contains(&self.size)
                && (1..=self.size).contains(&u64::from(self.header_size)),
            (1..=32).contains(&self.cache_version) && self.cache_offset < 1 << 40,
            (1..1 << 44).contains(&self.modseq.0),
            (1..=self.modseq.0.min(1 << 44)).contains(&self.createdmodseq.0),
        ];
        signs.into_iter().filter(|sign| *sign).count() >= 2
    }

    /// Whether the record can be believed without any CRC, in a version before 12: all that its
    /// version derives fits together. Of random bytes fewer than one in 2^40 pass.
    pub(super) fn is_plainly_one(&self) -> bool {
        self.is_sane()
            && self.header_size > 0
            && self.size < 1 << 31
            && self.content_offset == self.header_size
            && is_of_our_time(self.internaldate)
    }
}

/// 1990 to 2045.
fn is_of_our_time(date: Timestamp) -> bool {
    (631_152_000..2_366_841_600).contains(&date.seconds())
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;

    #[test]
    fn zeros_and_text_do_not_look_like_a_record() {
        let text =
            b"Received: from mail.example.org (mail.example.org [192.0.2.1]) by mx.example\r\n";
        let text: Vec<u8> = text.iter().copied().cycle().take(Layout::LARGEST_RECORD).collect();
        for layout in Layout::ALL {
            for fill in [0, 0x20, 0xa5, 0xff] {
                let bytes = [fill; Layout::LARGEST_RECORD];
                let record = IndexRecord::decode(layout, &bytes).unwrap();
                assert!(!record.looks_like_one(), "{fill} in version {}", layout.version);
            }
            for shift in 0..8 {
                let bytes = [&text[shift..], &text[..shift]].concat();
                let record = IndexRecord::decode(layout, &bytes).unwrap();
                assert!(!record.looks_like_one() && !record.is_plainly_one(), "{record:?}");
            }
        }
    }
}
