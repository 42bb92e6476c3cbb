//! Messages whose line ends were changed on their way through a careless copy.

/// How many LFs of `message` no CR precedes.
pub(crate) fn bare_lfs(message: &[u8]) -> usize {
    bare(message).count()
}

/// `message` with a CR before every bare LF, `bare` of them.
pub(crate) fn with_crlf(message: &[u8], bare: usize) -> Vec<u8> {
    let mut converted = Vec::with_capacity(message.len().saturating_add(bare));
    let mut copied = 0;
    for at in self::bare(message) {
        converted.extend_from_slice(message.get(copied..at).unwrap_or_default());
        converted.push(b'\r');
        copied = at;
    }
    converted.extend_from_slice(message.get(copied..).unwrap_or_default());
    converted
}

fn bare(message: &[u8]) -> impl Iterator<Item = usize> {
    let before = std::iter::once(b'\0').chain(message.iter().copied());
    let pairs = before.zip(message).enumerate();
    pairs.filter(|(_, (before, byte))| **byte == b'\n' && *before != b'\r').map(|(at, _)| at)
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
