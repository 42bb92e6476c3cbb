//! A record that its CRC does not prove, and what would prove it.

use std::ops::Range;

use super::layout::{Layout, RecordField};
use super::record::IndexRecord;
use super::syndrome::{effect, flipped_bit, syndrome};
use crate::{Guid, InternalFlags, SystemFlags, ThreadId, Timestamp, Uid};

/// Bytes in a record's place that fail its CRC and are not obviously something else.
///
/// Each field is worth what speaks for it elsewhere. Where enough of them are known from elsewhere
/// to make the CRC right, the whole record is proven: [`DoubtfulRecord::proven_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtfulRecord {
    layout: &'static Layout,
    /// As the file has them, zeros where it has none.
    bytes: [u8; Layout::LARGEST_RECORD],
    present: Range<usize>,
}

/// What is known of a message without its record. What is not known is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownFields {
    /// From the name of the message's file.
    pub uid: Option<Uid>,
    /// From reading the file.
    pub message: Option<KnownMessage>,
    /// From reading the file, by the server's time zone.
    pub sentdate: Option<Timestamp>,
    /// From reading the file.
    pub gmtime: Option<Timestamp>,
    /// Of the cache record that the message yields, or that is there.
    pub cache_crc: Option<u32>,
    /// From the file's modification time or the server's conversations.
    pub internaldate: Option<Timestamp>,
    /// From the server's conversations.
    pub flags: Option<(SystemFlags, InternalFlags)>,
    /// From the server's conversations.
    pub cid: Option<ThreadId>,
}

/// What the bytes of a message say of it beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownMessage {
    /// SHA-1 of the bytes.
    pub guid: Guid,
    /// Bytes.
    pub size: u64,
    /// Bytes of the header.
    pub header_size: u32,
}

/// How many groups of fields [`KnownFields`] has that are substituted together.
const GROUPS: usize = 8;

impl DoubtfulRecord {
    /// The record of which `bytes` are those from `start` on.
    pub(super) fn new(layout: &'static Layout, bytes: &[u8], start: usize) -> Self {
        let mut raw = [0; Layout::LARGEST_RECORD];
        let place = raw.get_mut(start..layout.record_size).unwrap_or(&mut []);
        let present = start..start.saturating_add(place.len().min(bytes.len()));
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self { layout, bytes: raw, present }
    }

    /// What the bytes say, each field for what it is worth.
    #[must_use]
    pub fn fields(&self) -> IndexRecord {
        IndexRecord::decode(self.layout, &self.bytes).unwrap_or_default()
    }

    /// The layout in which the bytes are read.
    #[must_use]
    pub fn layout(&self) -> &'static Layout {
        self.layout
    }

    /// Whether the file has the bytes of `field`; else it reads as zero, because the record was cut.
    #[must_use]
    pub fn has(&self, field: RecordField) -> bool {
        let placed = self.layout.record.iter().find(|placed| placed.field == field);
        placed.is_some_and(|placed| {
            let end = placed.offset.saturating_add(placed.kind.width());
            self.present.start <= placed.offset && end <= self.present.end
        })
    }

    /// The record, where some of what is `known` makes its CRC right, or all but one bit of it.
    ///
    /// Every combination of what is known is tried, 2^8 at most, each as it is and with each bit of
    /// the record flipped: bytes that never were the record are taken for it with a probability
    /// below 256 × 1,200 / 2^32, that is 7 in 100,000; of those most have a field that no record has.
    /// Always `None` for versions without CRC, and where the CRC itself is not in the file.
    #[must_use]
    pub fn proven_with(&self, known: &KnownFields) -> Option<IndexRecord> {
        let covered = self.layout.record_crc_offset()?;
        if !self.has(RecordField::Crc) {
            return None;
        }
        let own = self.fields();
        let substitutes = known.substituted_into(&own).map(|record| self.raw_fields_of(&record));
        let effects = substitutes.map(|other| self.change_of_syndrome(&other, covered));
        let unchanged = syndrome(&self.bytes, covered)?;
        let of_choice = |choice: &u32| {
            let chosen = effects.iter().zip(0_u32..).filter(|(_, group)| choice >> group & 1 == 1);
            chosen.fold(unchanged, |all, (effect, _)| all ^ effect)
        };
        let choices = || 0..1_u32 << GROUPS;
        let exact = choices().find(|choice| of_choice(choice) == 0).map(|choice| (choice, None));
        let (choice, flip) = exact.or_else(|| {
            choices().find_map(|choice| {
                flipped_bit(of_choice(&choice), covered).map(|flip| (choice, Some(flip)))
            })
        })?;
        let mut bytes = self.bytes;
        for (substitute, group) in substitutes.iter().zip(0_u32..) {
            if choice >> group & 1 == 1 {
                let changes = bytes.iter_mut().zip(substitute).zip(self.bytes);
                changes.for_each(|((byte, new), old)| *byte ^= new ^ old);
            }
        }
        if let Some((position, mask)) = flip {
            *bytes.get_mut(position)? ^= mask;
        }
        let record = IndexRecord::decode(self.layout, &bytes).ok()?;
        record.is_sane().then_some(record)
    }

    /// These bytes with the fields of `record`; what a field does not decode to stays.
    fn raw_fields_of(&self, record: &IndexRecord) -> [u8; Layout::LARGEST_RECORD] {
        let mut encoded = Vec::with_capacity(self.layout.record_size);
        record.encode_into(self.layout, &mut encoded);
        let mut bytes = self.bytes;
        let covered = self.layout.record_crc_offset().unwrap_or(0);
        bytes.iter_mut().zip(encoded).take(covered).for_each(|(to, from)| *to = from);
        bytes
    }

    fn change_of_syndrome(&self, other: &[u8], covered: usize) -> u32 {
        let changes = self.bytes.iter().zip(other).enumerate().take(covered);
        changes.fold(0, |all, (at, (old, new))| all ^ effect(at, old ^ new, covered))
    }
}

impl KnownFields {
    /// `record` with one group of what is known in place of its own, for each group.
    fn substituted_into(&self, record: &IndexRecord) -> [IndexRecord; GROUPS] {
        let own = *record;
        let message = self.message.unwrap_or(KnownMessage {
            guid: own.guid,
            size: own.size,
            header_size: own.header_size,
        });
        let KnownMessage { guid, size, header_size } = message;
        let (system_flags, internal_flags) =
            self.flags.unwrap_or((own.system_flags, own.internal_flags));
        [
            IndexRecord { uid: self.uid.unwrap_or(own.uid), ..own },
            IndexRecord { size, header_size, guid, ..own },
            IndexRecord { sentdate: self.sentdate.unwrap_or(own.sentdate), ..own },
            IndexRecord { gmtime: self.gmtime.unwrap_or(own.gmtime), ..own },
            IndexRecord { cache_crc: self.cache_crc.unwrap_or(own.cache_crc), ..own },
            IndexRecord { internaldate: self.internaldate.unwrap_or(own.internaldate), ..own },
            IndexRecord { system_flags, internal_flags, ..own },
            IndexRecord { cid: self.cid.unwrap_or(own.cid), ..own },
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ModSeq, UserFlags};

    fn record() -> IndexRecord {
        IndexRecord {
            uid: Uid(77),
            internaldate: Timestamp::from_seconds(1_700_000_000),
            sentdate: Timestamp::from_seconds(1_699_999_200),
            gmtime: Timestamp::from_seconds(1_699_999_999),
            size: 1_234,
            header_size: 300,
            guid: Guid([7; 20]),
            modseq: ModSeq(55),
            user_flags: UserFlags([5, 0, 0, 0]),
            cid: ThreadId(0xfeed),
            cache_version: 11,
            cache_crc: 0x1234_5678,
            ..IndexRecord::default()
        }
    }

    fn all_known(record: &IndexRecord) -> KnownFields {
        let IndexRecord { guid, size, header_size, .. } = *record;
        KnownFields {
            uid: Some(record.uid),
            message: Some(KnownMessage { guid, size, header_size }),
            sentdate: Some(record.sentdate),
            gmtime: Some(record.gmtime),
            cache_crc: Some(record.cache_crc),
            internaldate: Some(record.internaldate),
            flags: Some((record.system_flags, record.internal_flags)),
            cid: Some(record.cid),
        }
    }

    fn with_crc() -> impl Iterator<Item = &'static Layout> {
        Layout::ALL.into_iter().filter(|layout| layout.has_crc())
    }

    fn stored(layout: &'static Layout) -> (IndexRecord, Vec<u8>) {
        let record = record().as_stored(layout);
        let mut bytes = Vec::new();
        record.encode_into(layout, &mut bytes);
        (record, bytes)
    }

    #[test]
    fn a_record_whose_uid_is_gone_is_proven_by_the_name_of_its_file() {
        for layout in with_crc() {
            let (record, mut bytes) = stored(layout);
            bytes[..4].fill(0xee);
            let doubtful = DoubtfulRecord::new(layout, &bytes, 0);
            let known = |uid| KnownFields { uid: Some(Uid(uid)), ..KnownFields::default() };
            assert_eq!(doubtful.proven_with(&known(77)), Some(record));
            assert_eq!(doubtful.proven_with(&known(78)), None);
            assert_eq!(doubtful.proven_with(&KnownFields::default()), None);
        }
    }

    #[test]
    fn known_fields_that_are_not_the_records_own_do_no_harm() {
        for layout in with_crc() {
            let (record, mut bytes) = stored(layout);
            bytes[..4].fill(0xee);
            let known = KnownFields {
                sentdate: Some(Timestamp::from_seconds(5)),
                internaldate: Some(Timestamp::from_seconds(6)),
                cid: Some(ThreadId(1)),
                ..all_known(&record)
            };
            let doubtful = DoubtfulRecord::new(layout, &bytes, 0);
            assert_eq!(doubtful.proven_with(&known), Some(record), "version {}", layout.version);
        }
    }

    #[test]
    fn a_record_without_its_front_is_proven_by_what_its_message_and_conversation_say() {
        for layout in with_crc() {
            let (record, bytes) = stored(layout);
            // Behind the dates, the sizes and the cache offset, before the flags.
            let cut = if layout.version == 20 { 40 } else { 36 };
            let doubtful = DoubtfulRecord::new(layout, &bytes[cut..], cut);
            assert!(doubtful.has(RecordField::UserFlags) && !doubtful.has(RecordField::Uid));
            assert_eq!(doubtful.proven_with(&all_known(&record)), Some(record));
        }
    }

    #[test]
    fn a_record_without_its_crc_is_never_proven() {
        let layout = Layout::of_version(17).unwrap();
        let (record, bytes) = stored(layout);
        let doubtful = DoubtfulRecord::new(layout, &bytes[..60], 0);
        assert_eq!(doubtful.fields().user_flags, record.user_flags);
        assert!(!doubtful.has(RecordField::Guid));
        assert_eq!(doubtful.proven_with(&all_known(&record)), None);
    }

    proptest! {
        #[test]
        fn whatever_fields_are_destroyed_they_are_proven_when_known(
            which in 0..Layout::ALL.len(),
            groups in 0_u8..8,
            garbage in any::<u64>(),
        ) {
            let layout = Layout::ALL[which];
            prop_assume!(layout.has_crc());
            let (record, mut bytes) = stored(layout);
            let hit: &[&[RecordField]] = &[
                &[RecordField::Uid],
                &[RecordField::Guid, RecordField::Size],
                &[RecordField::Gmtime, RecordField::Sentdate],
            ];
            for (fields, group) in hit.iter().zip(0_u8..) {
                let hit = |field| groups >> group & 1 == 1 && fields.contains(field);
                for placed in layout.record.iter().filter(|placed| hit(&placed.field)) {
                    let bytes = bytes[placed.offset..].iter_mut().take(placed.kind.width());
                    bytes.zip(garbage.to_be_bytes()).for_each(|(to, from)| *to = from);
                }
            }
            let doubtful = DoubtfulRecord::new(layout, &bytes, 0);
            prop_assert_eq!(doubtful.proven_with(&all_known(&record)), Some(record));
        }
    }
}
