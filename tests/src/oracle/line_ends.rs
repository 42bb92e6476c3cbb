//! Line ends of messages on their way into a spool.

/// What is done to the line ends of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// Every line feed gets a carriage return before it, as delivery has it; lone carriage returns
    /// stay.
    Crlf,
    /// Every CRLF becomes a line feed.
    Lf,
    /// None is changed.
    Raw,
}

impl LineEnds {
    /// The message with these line ends.
    #[must_use]
    pub fn apply(self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + message.len() / 32);
        for (at, &byte) in message.iter().enumerate() {
            match (self, byte) {
                (Self::Crlf, b'\n') if at == 0 || message[at - 1] != b'\r' => {
                    out.extend_from_slice(b"\r\n");
                }
                (Self::Lf, b'\r') if message.get(at + 1) == Some(&b'\n') => {}
                _ => out.push(byte),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_line_ends_are_changed() {
        let message = b"\na\r\nb\n\0\rc\r";
        assert_eq!(LineEnds::Crlf.apply(message), b"\r\na\r\nb\r\n\0\rc\r");
        assert_eq!(LineEnds::Lf.apply(message), b"\na\nb\n\0\rc\r");
        assert_eq!(LineEnds::Raw.apply(message), message);
    }
}
