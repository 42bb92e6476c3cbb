//! What `--prune` took out of sight, whole, so that it can come back.

use mailstore_format::annotations::Annotation;
use mailstore_format::index::IndexRecord;

/// A record as it was before it was expunged for want of its message.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedRecord {
    /// The whole record.
    pub record: IndexRecord,
    /// The names of its keywords, by slot.
    pub keywords: Vec<(usize, Vec<u8>)>,
    /// Its annotations.
    pub annotations: Vec<Annotation>,
}
