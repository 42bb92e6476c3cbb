//! One growing store for everything a message's parse keeps, reused from message to message.
//!
//! Decoded text (unfolded header values, parameters, addresses, boundaries) goes into one buffer and
//! is referred to by [`Span`]; so a message costs no allocation once the buffers have grown.

use std::ops::Range;

use super::address::Address;
use super::parameters::Parameter;

/// A place in an [`Arena`]. A message whose texts go beyond the 4 GiB that Cyrus's 32-bit sizes can
/// tell has no text there.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Where a piece of text lies in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn len(self) -> usize {
        index(self.end.saturating_sub(self.start))
    }

    pub(super) fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn range(self) -> Range<usize> {
        index(self.start)..index(self.end)
    }
}

/// A run of neighbouring items (parameters, addresses) in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    start: u32,
    end: u32,
}

impl Run {
    /// The places of its items among all of their kind.
    pub(super) fn indices(self) -> Range<usize> {
        index(self.start)..index(self.end)
    }

    pub(super) fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

#[derive(Debug, Default)]
pub(super) struct Arena {
    text: Vec<u8>,
    parameters: Vec<Parameter>,
    addresses: Vec<Address>,
}

impl Arena {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.parameters.clear();
        self.addresses.clear();
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Where text that is pushed from here on will begin.
    pub(super) fn mark(&self) -> usize {
        self.text.len()
    }

    /// The text pushed since `mark`.
    pub(super) fn since(&self, mark: usize) -> Span {
        Span { start: place(mark), end: place(self.text.len()) }
    }

    /// The text pushed since `mark`, to look at while it is being built.
    pub(super) fn tail(&self, mark: usize) -> &[u8] {
        self.text.get(mark..).unwrap_or_default()
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.text.push(byte);
    }

    /// Drops the last byte pushed.
    pub(super) fn pop(&mut self) {
        self.text.pop();
    }

    pub(super) fn store(&mut self, text: &[u8]) -> Span {
        let mark = self.mark();
        self.text.extend_from_slice(text);
        self.since(mark)
    }

    pub(super) fn store_uppercase(&mut self, text: &[u8]) -> Span {
        let mark = self.mark();
        self.text.extend(text.iter().map(u8::to_ascii_uppercase));
        self.since(mark)
    }

    /// Copies stored text to the end of the buffer, where it can grow.
    pub(super) fn store_again(&mut self, span: Span) {
        let range = span.range();
        if range.start <= range.end && range.end <= self.text.len() {
            self.text.extend_from_within(range);
        }
    }

    pub(super) fn push_parameter(&mut self, parameter: Parameter) {
        self.parameters.push(parameter);
    }

    pub(super) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    pub(super) fn parameters_since(&self, start: usize) -> Run {
        Run { start: place(start), end: place(self.parameters.len()) }
    }

    pub(super) fn parameters(&self, run: Run) -> &[Parameter] {
        self.parameters.get(run.indices()).unwrap_or_default()
    }

    pub(super) fn parameter_mut(&mut self, index: usize) -> Option<&mut Parameter> {
        self.parameters.get_mut(index)
    }

    /// Keeps, of the parameters from `start` on, those for which `keep` holds, which is given their
    /// distance from `start`. Costs nothing for those before it: a message can have a million parts.
    pub(super) fn retain_parameters_from(&mut self, start: usize, keep: impl Fn(usize) -> bool) {
        let from_start = self.parameters.split_off(start.min(self.parameters.len()));
        let kept = from_start.into_iter().enumerate().filter(|(distance, _)| keep(*distance));
        self.parameters.extend(kept.map(|(_, parameter)| parameter));
    }

    pub(super) fn push_address(&mut self, address: Address) {
        self.addresses.push(address);
    }

    pub(super) fn address_count(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn addresses_since(&self, start: usize) -> Run {
        Run { start: place(start), end: place(self.addresses.len()) }
    }

    pub(super) fn addresses(&self, run: Run) -> &[Address] {
        self.addresses.get(run.indices()).unwrap_or_default()
    }
}
