//! `cyrus.index`: the header and records of every minor version, 6 to 20.
//!
//! The byte tables are in [`docs/format/index.md`][doc]; [`layout`] holds them as data, one table a
//! version, and [`IndexHeader`] and [`IndexRecord`] are the values they describe. [`IndexFile`]
//! reads a whole file whose header names its version; [`salvage`] is for a file that may be damaged.
//! What Cyrus derives from the records is recomputed by [`counts`] and [`sync_crc`].
//!
//! ```
//! use mailstore_format::index::{CrcState, IndexFile, IndexHeader, IndexRecord, Layout};
//! use mailstore_format::Uid;
//!
//! let layout = Layout::of_version(17).expect("17 is a known version");
//! let header = IndexHeader { num_records: 1, last_uid: Uid(5), ..IndexHeader::default() };
//! let record = IndexRecord { uid: Uid(5), ..IndexRecord::default() };
//! let mut bytes = header.encode(layout);
//! record.encode_into(layout, &mut bytes);
//!
//! let file = IndexFile::open(&bytes)?;
//! assert_eq!(file.header_crc(), CrcState::Good);
//! let slot = file.slots().next().expect("one record was written");
//! assert_eq!((slot.recno, slot.crc, slot.record), (1, CrcState::Good, record));
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```
//!
//! [doc]: https://github.com/mailstore-recovery/mailstore-recovery/blob/main/docs/format/index.md

pub mod counts;
mod crc;
mod doubtful;
mod field;
mod file;
mod header;
mod header_tables;
pub mod layout;
pub mod options;
mod record;
mod record_tables;
mod salvage;
#[cfg(test)]
mod samples;
mod sanity;
pub mod sync_crc;
mod syndrome;

pub use counts::{Counts, recount};
pub use crc::CrcState;
pub use doubtful::{DoubtfulRecord, KnownFields, KnownMessage};
pub use file::{IndexFile, Slot, Slots};
pub use header::{IndexHeader, SyncCrcs};
pub use layout::Layout;
pub use record::IndexRecord;
pub use salvage::{HeaderRepair, HeaderState, Salvaged, SalvagedSlot, salvage};
