//! The bytes of a `cyrus.index`, to be damaged or doctored: what a test writes into one is as
//! independent of the library under test as what the judge reads from one.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::index_fields::{
    HEADER_SIZE, RECORD_SIZE, header_field, number_in, record_field, usable_version,
};

/// Where the CRC-32 of the header and of a record stand: at their ends.
const CRC_SIZE: usize = 4;

/// A `cyrus.index` of minor version 17, in memory. Fields have the names that Cyrus gives them
/// (`OFFSET_…` in `imap/mailbox.h`, in small letters).
#[derive(Debug, Clone)]
pub struct IndexImage {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl IndexImage {
    /// The index of the mailbox directory (or metadata directory) `directory`.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("cyrus.index");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(usable_version(&bytes), "{} is not of minor version 17", path.display());
        Ok(Self { path, bytes })
    }

    /// Writes it back, into the same file, which is never shorter meanwhile: a server may have it
    /// mapped.
    pub fn write(&self) -> Result<()> {
        let file = fs::OpenOptions::new().write(true).open(&self.path)?;
        file.write_all_at(&self.bytes, 0).context("writing an index")?;
        Ok(file.set_len(u64::try_from(self.bytes.len())?)?)
    }

    /// Its bytes, for damage that knows no fields.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// A field of the header.
    pub fn header(&self, field: &str) -> Result<u64> {
        number_in(&self.bytes, header_field(field)?)
    }

    /// Sets a field of the header and makes its CRC good.
    pub fn set_header(&mut self, field: &str, value: u64) -> Result<()> {
        put(&mut self.bytes[..HEADER_SIZE], header_field(field)?, value)?;
        seal(&mut self.bytes[..HEADER_SIZE]);
        Ok(())
    }

    /// The UIDs of the records, in the order of their slots.
    #[must_use]
    pub fn uids(&self) -> Vec<u32> {
        self.bytes[HEADER_SIZE..].chunks_exact(RECORD_SIZE).map(uid_of).collect()
    }

    /// A field of the record of `uid`: `guid` and `user_flags` only with [`Self::record_mut`].
    pub fn record(&self, uid: u32, field: &str) -> Result<u64> {
        number_in(&self.bytes[self.range_of(uid)?], record_field(field)?)
    }

    /// Sets a field of the record of `uid` and makes its CRC good.
    pub fn set_record(&mut self, uid: u32, field: &str, value: u64) -> Result<()> {
        let range = record_field(field)?;
        let record = self.record_mut(uid)?;
        put(record, range, value)?;
        seal(record);
        Ok(())
    }

    /// Sets or clears a keyword's bit in the record of `uid` and makes its CRC good.
    pub fn set_keyword(&mut self, uid: u32, slot: usize, on: bool) -> Result<()> {
        let (begin, _) = record_field("user_flags")?;
        let record = self.record_mut(uid)?;
        // Words of 32 bits, big-endian; the lowest bit of the first word is slot 0.
        let byte = begin + slot / 32 * 4 + 3 - slot % 32 / 8;
        let bit = 1 << (slot % 8);
        record[byte] = if on { record[byte] | bit } else { record[byte] & !bit };
        seal(record);
        Ok(())
    }

    /// The bytes of the record of `uid`.
    pub fn record_mut(&mut self, uid: u32) -> Result<&mut [u8]> {
        let range = self.range_of(uid)?;
        Ok(&mut self.bytes[range])
    }

    /// Exchanges the slots of two records.
    pub fn swap_records(&mut self, one: u32, other: u32) -> Result<()> {
        let first = self.record_mut(one)?.to_vec();
        let second = self.record_mut(other)?.to_vec();
        let (at, other_at) = (self.range_of(one)?, self.range_of(other)?);
        self.bytes[at].copy_from_slice(&second);
        self.bytes[other_at].copy_from_slice(&first);
        Ok(())
    }

    /// Repeats the record of `uid` behind the last one; the header counts it.
    pub fn append_copy_of(&mut self, uid: u32) -> Result<()> {
        let record = self.record_mut(uid)?.to_vec();
        self.bytes.extend(record);
        self.set_header("num_records", self.header("num_records")? + 1)
    }

    /// Takes the record of `uid` out, slot and all; the header counts one less.
    pub fn remove_record(&mut self, uid: u32) -> Result<()> {
        let range = self.range_of(uid)?;
        self.bytes.drain(range);
        self.set_header("num_records", self.header("num_records")? - 1)
    }

    fn range_of(&self, uid: u32) -> Result<std::ops::Range<usize>> {
        let mut records = self.bytes[HEADER_SIZE..].chunks_exact(RECORD_SIZE);
        let slot = records.position(|record| uid_of(record) == uid);
        let slot = slot.with_context(|| format!("there is no record of UID {uid}"))?;
        let begin = HEADER_SIZE + slot * RECORD_SIZE;
        Ok(begin..begin + RECORD_SIZE)
    }
}

fn uid_of(record: &[u8]) -> u32 {
    record.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn put(bytes: &mut [u8], (begin, end): (usize, usize), value: u64) -> Result<()> {
    match end - begin {
        8 => bytes[begin..end].copy_from_slice(&value.to_be_bytes()),
        4 => bytes[begin..end].copy_from_slice(&u32::try_from(value)?.to_be_bytes()),
        other => anyhow::bail!("a field of {other} bytes is no number"),
    }
    Ok(())
}

fn seal(bytes: &mut [u8]) {
    let (content, crc) = bytes.split_at_mut(bytes.len() - CRC_SIZE);
    crc.copy_from_slice(&crc32fast::hash(content).to_be_bytes());
}
