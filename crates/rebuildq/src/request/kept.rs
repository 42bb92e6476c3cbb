//! Reading a message of any size, and keeping the beginning of it.

use std::io::{self, ErrorKind, Read};

/// Bytes of the header that are kept.
const MAX_HEADER: usize = 64 * 1024;

/// Bytes of one field of the header that are kept: the time to decode encoded words that are broken
/// grows with the square of a field's length.
const MAX_FIELD: usize = 4 * 1024;

/// Bytes of the body that are kept.
const MAX_BODY: usize = 64 * 1024;

/// What was kept of a message.
#[derive(Debug, Default)]
pub(super) struct Kept {
    header: Vec<u8>,
    body: Vec<u8>,
    /// Whether there were more fields than are kept.
    pub(super) is_header_cut: bool,
    is_in_body: bool,
    /// Bytes of the line and the field that are read, without line ends.
    line_len: usize,
    field_len: usize,
}

impl Kept {
    pub(super) fn read(reader: &mut dyn Read) -> io::Result<Self> {
        let mut kept = Self::default();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(kept),
                Ok(len) => kept.take(buffer.get(..len).unwrap_or(&buffer)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Header and body, without the line that begins a message in an mbox.
    pub(super) fn message(&self) -> Vec<u8> {
        let mbox_line = self.mbox_line().map_or(0, <[u8]>::len);
        let header = self.header.get(mbox_line..).unwrap_or_default();
        // A header that was cut off, or that is all there is, may end in mid-line.
        let line_end: &[u8] = if header.ends_with(b"\n") { b"" } else { b"\n" };
        [header, line_end, b"\n", &self.body].concat()
    }

    /// The line that begins a message in an mbox, where it is there.
    pub(super) fn mbox_line(&self) -> Option<&[u8]> {
        let line = self.header.split_inclusive(|&byte| byte == b'\n').next()?;
        line.starts_with(b"From ").then_some(line)
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.is_in_body {
            let Some((&byte, after)) = rest.split_first() else { return };
            rest = after;
            self.take_of_header(byte);
        }
        let room = MAX_BODY.saturating_sub(self.body.len());
        self.body.extend(rest.iter().take(room));
    }

    fn take_of_header(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.is_in_body = self.line_len == 0;
                self.line_len = 0;
                if !self.is_in_body {
                    self.push(byte);
                }
            }
            // Line ends are LF alone: what is kept of a field must not end in half of one.
            b'\r' => {}
            _ => {
                if self.line_len == 0 && !matches!(byte, b' ' | b'\t') {
                    self.field_len = 0;
                }
                self.line_len = self.line_len.saturating_add(1);
                self.field_len = self.field_len.saturating_add(1);
                if self.field_len <= MAX_FIELD {
                    self.push(byte);
                }
            }
        }
    }

    fn push(&mut self, byte: u8) {
        if self.header.len() < MAX_HEADER {
            self.header.push(byte);
        } else {
            self.is_header_cut = true;
        }
    }
}
