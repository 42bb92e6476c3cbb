//! Messages whose line ends were changed on their way through a careless copy. Servers store CRLF
//! (`message_copy_strict`, `imap/message.c`).

use memchr::memchr_iter;

/// How many LFs of `message` no CR precedes.
#[must_use]
pub fn bare_lfs(message: &[u8]) -> usize {
    let is_bare = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| message.get(before));
        before != Some(&b'\r')
    };
    memchr_iter(b'\n', message).filter(is_bare).count()
}

/// Puts CRLF for every LF that no CR precedes, piece by piece.
#[derive(Debug, Default)]
pub struct LineEnds {
    /// Whether the last piece ended with CR.
    after_cr: bool,
}

impl LineEnds {
    /// `converted` becomes the next `piece` with its line ends put right.
    pub fn convert(&mut self, piece: &[u8], converted: &mut Vec<u8>) {
        converted.clear();
        for &byte in piece {
            if byte == b'\n' && !self.after_cr {
                converted.push(b'\r');
            }
            converted.push(byte);
            self.after_cr = byte == b'\r';
        }
    }
}

/// `message` with a CR before every bare LF, `bare` of them.
#[must_use]
pub fn with_crlf(message: &[u8], bare: usize) -> Vec<u8> {
    let mut converted = Vec::with_capacity(message.len().saturating_add(bare));
    LineEnds::default().convert(message, &mut converted);
    converted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bare_lfs_become_line_ends_and_whole_ones_stay() {
        let message = b"\na\r\nb\n\nc\r";
        assert_eq!(bare_lfs(message), 3);
        assert_eq!(with_crlf(message, 3), b"\r\na\r\nb\r\n\r\nc\r");
    }

    #[test]
    fn every_bare_lf_becomes_crlf_wherever_the_pieces_end() {
        let message = b"A: b\nC: d\r\n\r\n\nbody\r\rend\r\n";
        let expected = b"A: b\r\nC: d\r\n\r\n\r\nbody\r\rend\r\n";
        for len in 1..=message.len() {
            let (mut ends, mut piece, mut whole) = (LineEnds::default(), Vec::new(), Vec::new());
            for chunk in message.chunks(len) {
                ends.convert(chunk, &mut piece);
                whole.extend_from_slice(&piece);
            }
            assert_eq!(whole, expected, "in pieces of {len}");
        }
    }

    proptest! {
        #[test]
        fn a_message_without_bare_line_ends_comes_back_from_a_copy_that_dropped_every_cr(
            lines in prop::collection::vec("[^\r\n]{0,9}", 0..9)
        ) {
            let whole = lines.join("\r\n");
            let copy = whole.replace('\r', "");
            prop_assert_eq!(with_crlf(copy.as_bytes(), bare_lfs(copy.as_bytes())), whole.as_bytes());
            prop_assert_eq!(bare_lfs(whole.as_bytes()), 0);
        }
    }
}
