//! What is left of a lost `cyrus.header`, and where else its keywords may be named.

use mailstore_format::header_file::{FlagNames, HeaderFile};

/// What could tell the keywords of a mailbox whose own `cyrus.header` does not.
#[derive(Debug, Clone, Default)]
pub struct HeaderTraces {
    /// The damaged file itself, where a CRC that an index holds proves how it was.
    pub restored: Option<RestoredHeader>,
    /// What the damaged file can have been before up to four neighbouring bytes of it were changed.
    pub possible: Vec<HeaderFile>,
    /// Copies that earlier runs kept of this mailbox's file, newest first.
    pub copies: Vec<HeaderCopy>,
    /// Keywords that can be made out in the damaged file, each in its slot.
    pub remains: FlagNames,
    /// The keywords of the owner's other mailboxes, each set of them once.
    pub siblings: Vec<FlagNames>,
    /// The CRC-32 of each of these mailboxes' `cyrus.header`, and the ones that their indexes know.
    pub sibling_crcs: Vec<u32>,
}

/// A damaged `cyrus.header` as it was.
#[derive(Debug, Clone)]
pub struct RestoredHeader {
    /// What it says.
    pub value: HeaderFile,
    /// The CRC-32 that proves it.
    pub crc: u32,
}

/// A whole `cyrus.header` that was this mailbox's once.
#[derive(Debug, Clone)]
pub struct HeaderCopy {
    /// The run that kept it.
    pub run: String,
    /// What it says.
    pub value: HeaderFile,
    /// The CRC-32 of its bytes.
    pub crc: u32,
}
