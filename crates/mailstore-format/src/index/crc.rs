//! Whether some bytes are those that were written, as far as their checksum can tell.

/// What the checksum of an index header or record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcState {
    /// The version has none (before 12): nothing is proven either way.
    Absent,
    /// The bytes are those that were written.
    Good,
    /// The bytes are not those that were written.
    Bad {
        /// The CRC-32 that is stored.
        stored: u32,
        /// The CRC-32 of the bytes.
        computed: u32,
    },
}

impl CrcState {
    /// Whether the checksum is there and fits.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    /// Whether the checksum is there and does not fit.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Bad { .. })
    }

    /// Judges the checksum stored at `position` of `bytes`, which covers all before it.
    /// Bytes that end before the checksum does are bad, with a stored value of 0.
    pub(super) fn judge(bytes: &[u8], position: Option<usize>) -> Self {
        let Some(position) = position else { return Self::Absent };
        let (covered, rest) = bytes.split_at_checked(position).unwrap_or((bytes, &[]));
        let computed = crc32fast::hash(covered);
        match rest.first_chunk().map(|stored| u32::from_be_bytes(*stored)) {
            Some(stored) if stored == computed => Self::Good,
            stored => Self::Bad { stored: stored.unwrap_or(0), computed },
        }
    }
}
