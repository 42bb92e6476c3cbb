//! One field of a header or record: where it lies, how it is stored, and reading and writing it.

use crate::Timestamp;

/// How a field is stored. All numbers are big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An unsigned number of 32 bits.
    U32,
    /// An unsigned number of 64 bits.
    U64,
    /// Seconds since 1970, 32 bits unsigned.
    Seconds,
    /// Nanoseconds since 1970, 64 bits.
    Nanos,
    /// That many bytes as they are.
    Bytes(usize),
}

impl Kind {
    /// Bytes on disk.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::U32 | Self::Seconds => 4,
            Self::U64 | Self::Nanos => 8,
            Self::Bytes(width) => width,
        }
    }
}

/// Where a field lies and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<F> {
    /// Which field.
    pub field: F,
    /// Bytes from the start of the header or record.
    pub offset: usize,
    /// How it is stored.
    pub kind: Kind,
}

/// One line of a table.
pub(super) const fn at<F>(offset: usize, field: F, kind: Kind) -> Placed<F> {
    Placed { field, offset, kind }
}

impl<F> Placed<F> {
    /// The field's own bytes within a header or record; empty where those end too early.
    pub(super) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.offset..).and_then(|rest| rest.get(..self.kind.width())).unwrap_or(&[])
    }

    /// Writes `value` to its place, the low bytes of it where the field is narrower.
    pub(super) fn put(&self, bytes: &mut [u8], value: Stored<'_>) {
        let saturated;
        let source = match value {
            Stored::Number(number) => {
                saturated = self.saturate(number).to_be_bytes();
                saturated.get(8usize.saturating_sub(self.kind.width())..).unwrap_or(&saturated)
            }
            Stored::Time(time) => {
                saturated = match self.kind {
                    Kind::Seconds => self.saturate(u64::try_from(time.seconds()).unwrap_or(0)),
                    _ => time.0.cast_unsigned(),
                }
                .to_be_bytes();
                saturated.get(8usize.saturating_sub(self.kind.width())..).unwrap_or(&saturated)
            }
            Stored::Bytes(bytes) => bytes,
        };
        let target = bytes.get_mut(self.offset..).unwrap_or(&mut []);
        target.iter_mut().zip(source).take(self.kind.width()).for_each(|(to, from)| *to = *from);
    }

    /// The nearest number this field can hold.
    fn saturate(&self, number: u64) -> u64 {
        if self.kind.width() == 4 { number.min(u64::from(u32::MAX)) } else { number }
    }

    /// Whether this field holds `value` without loss.
    pub(super) fn holds(&self, value: Stored<'_>) -> bool {
        match (value, self.kind) {
            (Stored::Number(number), _) => self.saturate(number) == number,
            (Stored::Time(time), Kind::Seconds) => {
                time.subsecond_nanos() == 0 && u32::try_from(time.seconds()).is_ok()
            }
            (Stored::Time(_) | Stored::Bytes(_), _) => true,
        }
    }
}

/// A field's value on its way to the disk.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    Number(u64),
    Time(Timestamp),
    Bytes(&'a [u8]),
}

impl From<u32> for Stored<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Stored<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Timestamp> for Stored<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

/// A field's bytes on their way from the disk.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) kind: Kind,
}

impl Raw<'_> {
    /// The number in the field, which must have 32 bits.
    pub(super) fn u32(self) -> u32 {
        self.bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The number in the field, of 32 or 64 bits.
    pub(super) fn u64(self) -> u64 {
        match self.bytes.first_chunk() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => self.u32().into(),
        }
    }

    /// The time in the field.
    pub(super) fn time(self) -> Timestamp {
        match self.kind {
            Kind::Nanos => Timestamp(self.u64().cast_signed()),
            _ => Timestamp::from_seconds(self.u32().into()),
        }
    }

    /// The bytes of the field, followed by zeros.
    pub(super) fn array<const N: usize>(self) -> [u8; N] {
        if let Some(whole) = self.bytes.first_chunk() {
            return *whole;
        }
        let mut array = [0; N];
        array.iter_mut().zip(self.bytes).for_each(|(to, from)| *to = *from);
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_too_large_for_its_field_saturates_and_is_not_held() {
        let size = at(0, (), Kind::U32);
        let mut bytes = [0; 4];
        size.put(&mut bytes, Stored::Number(1 << 32));
        assert_eq!(bytes, [0xff; 4]);
        assert!(!size.holds(Stored::Number(1 << 32)));
        assert!(size.holds(Stored::Number(u32::MAX.into())));
        let date = at(0, (), Kind::Seconds);
        assert!(!date.holds(Stored::Time(Timestamp(1))));
    }
}
