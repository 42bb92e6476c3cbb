//! Lines of a file that nobody vouches for: none is kept that is longer than a limit.

use std::io::{self, BufRead};

/// What the next line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextLine {
    /// It is in the buffer, without its end.
    Read,
    /// It is longer than the limit, and was passed over.
    TooLong,
    /// There is none.
    End,
}

/// Reads the next line into `line`, at most `max` bytes of it.
pub(crate) fn next_line(
    source: &mut impl BufRead,
    max: usize,
    line: &mut Vec<u8>,
) -> io::Result<NextLine> {
    line.clear();
    let (mut any, mut too_long) = (false, false);
    loop {
        let chunk = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        any |= !chunk.is_empty();
        too_long |= line.len().saturating_add(part.len()) > max;
        if !too_long {
            line.extend_from_slice(part);
        }
        let ended = end.is_some() || chunk.is_empty();
        let used = part.len().saturating_add(usize::from(end.is_some()));
        source.consume(used);
        match (ended, any, too_long) {
            (false, _, _) => {}
            (true, false, _) => return Ok(NextLine::End),
            (true, true, true) => return Ok(NextLine::TooLong),
            (true, true, false) => return Ok(NextLine::Read),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_line_beyond_the_limit_is_passed_over_and_the_next_one_is_read() {
        let text = format!("short\n{}\n\nlast", "x".repeat(5000));
        let mut source = BufReader::with_capacity(16, text.as_bytes());
        let mut line = Vec::new();
        let mut next = || {
            let next = next_line(&mut source, 100, &mut line).unwrap();
            (next, String::from_utf8(line.clone()).unwrap(), line.capacity())
        };
        assert_eq!((next().1, next().0), ("short".into(), NextLine::TooLong));
        let (kind, text, capacity) = next();
        assert_eq!((kind, text.as_str()), (NextLine::Read, ""));
        assert!(capacity < 1000, "{capacity}");
        assert_eq!((next().1, next().0), ("last".into(), NextLine::End));
    }
}
