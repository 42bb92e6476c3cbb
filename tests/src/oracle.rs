//! The oracle: what a real Cyrus derives from messages, beside what our `reconstruct` derives.
//!
//! [`Corpus`] reads messages from files, [`LineEnds`] and [`Mutants`] make variants of them, and
//! [`NastyMessages`] makes new ones. [`Trial`] writes all of them into the spools of two stores that are
//! otherwise the same, has Cyrus rebuild one and our tool the other, and gives a [`Comparison`] of
//! the records.

mod comparison;
mod corpus;
mod expectation;
mod line_ends;
mod mutants;
mod nasty;
mod records;
mod trial;

pub use comparison::{Comparison, Difference};
pub use corpus::{Corpus, Sample};
pub use expectation::expectation;
pub use line_ends::LineEnds;
pub use mutants::Mutants;
pub use nasty::NastyMessages;
pub use records::{DerivedRecord, FIELDS};
pub use trial::{Start, Trial, rewritten};
