//! Where newly rendered cache records wait until the plan decides which of them are needed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::Error;
use crate::evidence::StagedCache;
use crate::window::Window;
use crate::workshop::Workshop;

/// Takes cache records as messages are read.
///
/// A dry run is handed [`Discard`], so that it has nothing to write with.
pub(crate) trait CacheSink {
    /// Keeps `record`, and tells where it can be found again.
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache>;
}

/// Keeps nothing but the lengths.
#[derive(Debug, Default)]
pub(crate) struct Discard {
    end: u64,
}

impl CacheSink for Discard {
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache> {
        Ok(advance(&mut self.end, record.len()))
    }
}

/// Cache records one after the other in a file without a name, which is made for the first one.
#[derive(Debug)]
pub(crate) struct LazyStaging<'a> {
    workshop: &'a Workshop,
    root: &'a Path,
    file: Option<BufWriter<File>>,
    end: u64,
}

impl<'a> LazyStaging<'a> {
    /// Stages on the file system of `root`.
    pub(crate) fn new(workshop: &'a Workshop, root: &'a Path) -> Self {
        Self { workshop, root, file: None, end: 0 }
    }

    /// Makes what was kept readable.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|source| Error::io("stage cache records on", self.root, source))
    }

    /// What [`CacheSink::keep`] told of.
    pub(crate) fn read<'w>(
        &self,
        staged: StagedCache,
        window: &'w mut Window,
    ) -> io::Result<&'w [u8]> {
        match &self.file {
            Some(file) => window.exactly(file.get_ref(), staged.offset, staged.len),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl CacheSink for LazyStaging<'_> {
    fn keep(&mut self, record: &[u8]) -> io::Result<StagedCache> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let scratch = self.workshop.scratch(self.root).map_err(io::Error::other)?;
                none.insert(BufWriter::with_capacity(256 * 1024, scratch))
            }
        };
        file.write_all(record)?;
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
    use mailstore::replace::FileOps;

    use super::*;

    #[test]
    fn staged_records_are_read_back_as_they_were_kept() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(FileOps::new(), "run", 0o077);
        let mut staging = LazyStaging::new(&workshop, root.path());
        let first = staging.keep(b"first").unwrap();
        let second = staging.keep(b"the second").unwrap();
        staging.finish().unwrap();
        let mut window = Window::default();
        assert_eq!(staging.read(second, &mut window).unwrap(), b"the second");
        assert_eq!(staging.read(first, &mut window).unwrap(), b"first");
    }
}
