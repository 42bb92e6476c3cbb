//! Replies, taken out of what a server sends, piece by piece and within bounds.

use crate::error::Error;
use crate::value::literal_size;

/// What came from a server, as far as it was not handed out. It keeps no more than a reply may be
/// long, and the piece that came last.
#[derive(Debug, Default)]
pub struct ReplyReader {
    received: Vec<u8>,
    /// Up to where `received` was handed out.
    consumed: usize,
}

/// Appends the next piece of what a server sends; an error, where there is none.
type More<'a> = dyn FnMut(&mut Vec<u8>) -> Result<(), Error> + 'a;

impl ReplyReader {
    /// Whether anything came that was not handed out.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.consumed < self.received.len()
    }

    /// The next reply, whole: without the CRLF at its end, each literal behind its size and CRLF.
    /// `more` appends what comes next.
    ///
    /// # Errors
    /// Those of `more`; and where the reply is longer than `longest` bytes, or says that it will be.
    pub fn next_reply(&mut self, longest: usize, more: &mut More<'_>) -> Result<Vec<u8>, Error> {
        let mut reply = Vec::new();
        loop {
            let start = reply.len();
            self.line(&mut reply, longest, more)?;
            let Some(size) = literal_size(reply.get(start..).unwrap_or_default()) else {
                return Ok(reply);
            };
            let room = longest.saturating_sub(reply.len());
            let size = usize::try_from(size).ok().filter(|size| *size <= room);
            let size = size.ok_or_else(|| too_long(longest))?;
            reply.extend_from_slice(b"\r\n");
            self.exactly(size, &mut reply, more)?;
        }
    }

    fn line(
        &mut self,
        reply: &mut Vec<u8>,
        longest: usize,
        more: &mut More<'_>,
    ) -> Result<(), Error> {
        let mut looked_at = 0;
        loop {
            let unread = self.received.get(self.consumed..).unwrap_or_default();
            let fresh = unread.get(looked_at..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|&byte| byte == b'\n') {
                let line = unread.get(..looked_at + end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if reply.len().saturating_add(line.len()) > longest {
                    return Err(too_long(longest));
                }
                reply.extend_from_slice(line);
                self.consumed += looked_at + end + 1;
                return Ok(());
            }
            looked_at = unread.len();
            // The last of them may be the CR of its end.
            if reply.len().saturating_add(looked_at) > longest.saturating_add(1) {
                return Err(too_long(longest));
            }
            self.receive(more)?;
        }
    }

    fn exactly(
        &mut self,
        size: usize,
        reply: &mut Vec<u8>,
        more: &mut More<'_>,
    ) -> Result<(), Error> {
        let mut missing = size;
        while missing > 0 {
            if !self.has_more() {
                self.receive(more)?;
            }
            let unread = self.received.get(self.consumed..).unwrap_or_default();
            let piece = unread.get(..missing).unwrap_or(unread);
            reply.extend_from_slice(piece);
            missing -= piece.len();
            self.consumed += piece.len();
        }
        Ok(())
    }

    fn receive(&mut self, more: &mut More<'_>) -> Result<(), Error> {
        self.received.drain(..self.consumed);
        self.consumed = 0;
        more(&mut self.received)
    }
}

fn too_long(longest: usize) -> Error {
    Error::Protocol(format!("a reply is longer than {longest} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize, longest: usize) -> Vec<Vec<u8>> {
        let (mut reader, mut pieces) = (ReplyReader::default(), bytes.chunks(piece));
        let mut more = |received: &mut Vec<u8>| {
            let next = pieces.next().ok_or_else(|| Error::Lost(String::new()))?;
            received.extend_from_slice(next);
            Ok(())
        };
        std::iter::from_fn(|| reader.next_reply(longest, &mut more).ok()).collect()
    }

    #[test]
    fn a_reply_may_be_so_long_and_no_longer_however_it_comes() {
        let bytes = b"* 12345\r\n* {3}\r\nabc d\r\n* 123456789012\r\n* OK\r\n";
        for piece in 1..bytes.len() {
            let read = read(bytes, piece, 12);
            assert_eq!(read, [&b"* 12345"[..], b"* {3}\r\nabc d"], "in pieces of {piece}");
        }
        assert_eq!(read(b"0123456789\r\n", 11, 10), [b"0123456789"]);
    }
}
