//! One growing store for everything a message's parse keeps, reused from message to message.
//!
//! Decoded text (unfolded header values, parameters, addresses, boundaries) goes into one buffer and
//! is referred to by [`Span`]; so a message costs no allocation once the buffers have grown.

use super::address::Address;
use super::parameters::Parameter;

/// Where a piece of text lies in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    pub(super) fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A run of neighbouring items (parameters, addresses) in an [`Arena`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    start: usize,
    end: usize,
}

impl Run {
    /// The places of its items among all of their kind.
    pub(super) fn indices(self) -> std::ops::Range<usize> {
        self.start..self.end
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
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Where text that is pushed from here on will begin.
    pub(super) fn mark(&self) -> usize {
        self.text.len()
    }

    /// The text pushed since `mark`.
    pub(super) fn since(&self, mark: usize) -> Span {
        Span { start: mark, end: self.text.len() }
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
        if span.start <= span.end && span.end <= self.text.len() {
            self.text.extend_from_within(span.start..span.end);
        }
    }

    pub(super) fn push_parameter(&mut self, parameter: Parameter) {
        self.parameters.push(parameter);
    }

    pub(super) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    pub(super) fn parameters_since(&self, start: usize) -> Run {
        Run { start, end: self.parameters.len() }
    }

    pub(super) fn parameters(&self, run: Run) -> &[Parameter] {
        self.parameters.get(run.start..run.end).unwrap_or_default()
    }

    pub(super) fn parameter_mut(&mut self, index: usize) -> Option<&mut Parameter> {
        self.parameters.get_mut(index)
    }

    /// Keeps, of the parameters from `start` on, those for which `keep` holds.
    pub(super) fn retain_parameters_from(&mut self, start: usize, keep: impl Fn(usize) -> bool) {
        let mut index = 0_usize;
        self.parameters.retain(|_| {
            let kept = index < start || keep(index);
            index = index.saturating_add(1);
            kept
        });
    }

    pub(super) fn push_address(&mut self, address: Address) {
        self.addresses.push(address);
    }

    pub(super) fn address_count(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn addresses_since(&self, start: usize) -> Run {
        Run { start, end: self.addresses.len() }
    }

    pub(super) fn addresses(&self, run: Run) -> &[Address] {
        self.addresses.get(run.start..run.end).unwrap_or_default()
    }
}
