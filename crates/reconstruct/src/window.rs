//! Reading small pieces of a file that mostly follow one another: many of them in one read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once: some dozens of cache records.
const LENGTH: usize = 32 * 1024;
/// One that a large piece blew up beyond this is given back.
const KEPT: usize = 1 << 20;

/// What was last read of a file, and where. One window is for one file.
#[derive(Debug, Default)]
pub(crate) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// `wanted` bytes of `file` from `offset` on, or what there is up to its end; an error reads as its
    /// end.
    pub(crate) fn at_most(&mut self, file: &File, offset: u64, wanted: usize) -> &[u8] {
        if self.range(offset, wanted).is_none() {
            self.fill(file, offset, wanted);
        }
        let range = self.range(offset, wanted).unwrap_or(0..self.bytes.len());
        self.bytes.get(range).unwrap_or_default()
    }

    /// `len` bytes of `file` at `offset`, all of them.
    pub(crate) fn exactly(&mut self, file: &File, offset: u64, len: usize) -> io::Result<&[u8]> {
        let bytes = self.at_most(file, offset, len);
        if bytes.len() == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Where in the window these bytes are, if all of them are.
    fn range(&self, offset: u64, wanted: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(wanted)?;
        (to <= self.bytes.len()).then_some(from..to)
    }

    fn fill(&mut self, file: &File, offset: u64, wanted: usize) {
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.start = offset;
        self.bytes.resize(wanted.max(LENGTH), 0);
        let mut filled = 0;
        while let Some(rest) = self.bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.bytes.truncate(filled);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn pieces_are_those_of_the_file_wherever_they_lie_and_end_with_it() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let mut window = Window::default();
        for (offset, len) in [(0, 10), (5, 40_000), (39_990, 20), (10, 1), (99_990, 10), (8, 0)] {
            let piece = window.exactly(&file, offset as u64, len).unwrap();
            assert_eq!(piece, &content[offset..offset + len], "{offset} {len}");
        }
        assert_eq!(window.at_most(&file, 99_990, 20), &content[99_990..]);
        assert!(window.exactly(&file, 99_990, 20).is_err());
        file.write_all(&[7; 10]).unwrap();
        assert_eq!(window.exactly(&file, 99_990, 20).unwrap()[10..], [7; 10], "it has grown");
    }
}
