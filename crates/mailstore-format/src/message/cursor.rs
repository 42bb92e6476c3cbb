//! A place in a header's text, and the white space and comments that lie between its tokens.

/// White space as the C locale has it, which is what Cyrus asks.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A blank that continues a folded header when it follows a line end.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A reading position in text that holds no NUL; past its end it reads NUL, which is how Cyrus's
/// rules, made for C strings, are stated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn starting_at(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn peek_at(&self, distance: usize) -> u8 {
        self.text.get(self.at.saturating_add(distance)).copied().unwrap_or(0)
    }

    pub(super) fn advance(&mut self, distance: usize) {
        self.at = self.at.saturating_add(distance).min(self.text.len());
    }

    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position.min(self.text.len());
    }

    /// The byte here (NUL at the end), stepping over it.
    pub(super) fn bump(&mut self) -> u8 {
        let byte = self.peek();
        self.advance(1);
        byte
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The text from `start` to `end`, both positions.
    pub(super) fn between(&self, start: usize, end: usize) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The text from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.between(start, self.at)
    }

    pub(super) fn at_fold(&self) -> bool {
        self.peek() == b'\r' && self.peek_at(1) == b'\n' && is_blank(self.peek_at(2))
    }

    /// Steps over white space, nested comments and folds (`message_parse_rfc822space`). False where
    /// the header ends: at a line end that no blank follows, or at the end of the text; from then on
    /// there is nothing to read.
    pub(super) fn skip_space_and_comments(&mut self) -> bool {
        let more = self.find_token();
        if !more {
            self.at = self.text.len();
        }
        more
    }

    fn find_token(&mut self) -> bool {
        loop {
            match self.peek() {
                b'\n' => {
                    self.advance(1);
                    if !is_blank(self.peek()) {
                        return false;
                    }
                }
                b'(' => {
                    if !self.skip_comment() {
                        return false;
                    }
                }
                byte if is_space(byte) => self.advance(1),
                byte => return byte != 0,
            }
        }
    }

    fn skip_comment(&mut self) -> bool {
        let mut level = 0_usize;
        loop {
            match self.bump() {
                0 => return false,
                b'\n' if !is_blank(self.bump()) => return false,
                b'\\' => self.advance(1),
                b'(' => level = level.saturating_add(1),
                b')' => {
                    level = level.saturating_sub(1);
                    if level == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
    }
}
