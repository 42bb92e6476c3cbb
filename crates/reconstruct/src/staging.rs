//! Where newly rendered cache records wait until the plan decides which of them are needed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::evidence::StagedCache;

/// Takes cache records as messages are read.
///
/// A dry run is handed [`Discard`], so that it has nothing to write with.
pub trait CacheSink {
    /// Keeps `record`, and tells where it can be found again.
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache>;
}

/// Keeps nothing but the lengths.
#[derive(Debug, Default)]
pub struct Discard {
    end: u64,
}

impl CacheSink for Discard {
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache> {
        Ok(advance(&mut self.end, record.len()))
    }
}

/// A file without a name that holds cache records one after the other.
#[derive(Debug)]
pub struct StagingFile {
    file: BufWriter<File>,
    end: u64,
}

impl StagingFile {
    /// Stages in `file`, which is empty, open for reading and writing, and best has no name.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(256 * 1024, file), end: 0 }
    }

    /// Ends the staging; what was kept can now be read.
    pub fn finish(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Reads back what [`CacheSink::keep`] told of, into `record`, which is overwritten.
    pub fn read(&self, staged: StagedCache, record: &mut Vec<u8>) -> io::Result<()> {
        record.resize(staged.len, 0);
        self.file.get_ref().read_exact_at(record, staged.offset)
    }
}

impl CacheSink for StagingFile {
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache> {
        self.file.write_all(record)?;
        Ok(advance(&mut self.end, record.len()))
    }
}

fn advance(end: &mut u64, len: usize) -> StagedCache {
    let staged = StagedCache { offset: *end, len };
    *end = end.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
    staged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_records_are_read_back_as_they_were_kept() {
        let mut staging = StagingFile::new(tempfile::tempfile().unwrap());
        let first = staging.keep(b"first").unwrap();
        let second = staging.keep(b"the second").unwrap();
        staging.finish().unwrap();
        let mut record = Vec::new();
        staging.read(second, &mut record).unwrap();
        assert_eq!(record, b"the second");
        staging.read(first, &mut record).unwrap();
        assert_eq!(record, b"first");
    }
}
