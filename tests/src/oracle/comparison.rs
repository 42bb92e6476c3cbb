//! Where two sets of derived records differ.

use std::collections::BTreeMap;
use std::fmt;

use super::records::{DerivedRecord, FIELDS};

/// Where our record of a message is not Cyrus's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where the message is from.
    pub source: String,
    /// Its mailbox and UID in both stores.
    pub place: String,
    /// All fields that differ, in the order of [`FIELDS`]; none where one side has no record.
    pub fields: Vec<&'static str>,
    /// Cyrus's value of the first of them; None where only we have a record.
    pub cyrus: Option<Vec<u8>>,
    /// Ours; None where only Cyrus has a record.
    pub ours: Option<Vec<u8>>,
}

/// What a comparison of many records found.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Messages that were put into the spool.
    pub messages: usize,
    /// Messages for which Cyrus wrote a record: what shares are told of.
    pub records: usize,
    /// One for each message that differs, in the order of the messages.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// Adds a message, of which either side may have a record.
    pub fn add(
        &mut self,
        source: &str,
        place: &str,
        cyrus: Option<&DerivedRecord>,
        ours: Option<&DerivedRecord>,
    ) {
        self.messages += 1;
        self.records += usize::from(cyrus.is_some());
        let differing: Vec<usize> = match (cyrus, ours) {
            (Some(cyrus), Some(ours)) => {
                (0..FIELDS.len()).filter(|&at| cyrus.values[at] != ours.values[at]).collect()
            }
            (None, None) => return,
            _ => Vec::new(),
        };
        let both = cyrus.is_some() && ours.is_some();
        if both && differing.is_empty() {
            return;
        }
        let value = |side: Option<&DerivedRecord>| {
            let side = side?;
            Some(differing.first().map(|&at| side.values[at].clone()).unwrap_or_default())
        };
        self.differences.push(Difference {
            source: source.to_string(),
            place: place.to_string(),
            fields: differing.iter().map(|&at| FIELDS[at]).collect(),
            cyrus: value(cyrus),
            ours: value(ours),
        });
    }

    /// How many records differ in each field, in the order of [`FIELDS`].
    #[must_use]
    pub fn by_field(&self) -> Vec<(&'static str, usize)> {
        let mut counts = BTreeMap::new();
        for field in self.differences.iter().flat_map(|difference| &difference.fields) {
            *counts.entry(*field).or_insert(0) += 1;
        }
        FIELDS.iter().map(|field| (*field, counts.get(field).copied().unwrap_or(0))).collect()
    }

    /// Records of Cyrus's that are ours, byte for byte in all fields.
    #[must_use]
    pub fn identical(&self) -> usize {
        let of_cyrus = |difference: &&Difference| difference.cyrus.is_some();
        self.records - self.differences.iter().filter(of_cyrus).count()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.source, self.place)?;
        match (&self.cyrus, &self.ours) {
            (Some(cyrus), Some(ours)) => {
                let fields = self.fields.join(", ");
                let from = first_difference(cyrus, ours);
                write!(
                    f,
                    "{fields}\n    Cyrus {}\n    ours  {}",
                    show(cyrus, from),
                    show(ours, from)
                )
            }
            (Some(_), None) => f.write_str("we have no record, Cyrus has"),
            (None, _) => f.write_str("Cyrus has no record, we have"),
        }
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// A short value whole; of a long one what stands around `from`.
fn show(value: &[u8], from: usize) -> String {
    const BEFORE: usize = 60;
    const AFTER: usize = 100;
    if let Some(number) = value.first_chunk::<4>().filter(|_| value.len() == 4) {
        let number = u32::from_be_bytes(*number);
        if !value.is_ascii() || value.iter().any(u8::is_ascii_control) {
            return number.to_string();
        }
    }
    if value.len() <= BEFORE + AFTER {
        return value.escape_ascii().to_string();
    }
    let start = from.saturating_sub(BEFORE);
    let end = (from + AFTER).min(value.len());
    format!("@{start} …{}…", value[start..end].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &[u8]) -> DerivedRecord {
        let values = vec![value.to_vec(); FIELDS.len()];
        DerivedRecord { values, cache: Vec::new(), internaldate: 0 }
    }

    #[test]
    fn equal_records_are_counted_and_others_are_told_with_their_first_field() {
        let mut comparison = Comparison::default();
        let mut other = record(b"same");
        other.values[9] = b"other".to_vec();
        comparison.add("a", "1", Some(&record(b"same")), Some(&record(b"same")));
        comparison.add("b", "2", Some(&record(b"same")), Some(&other));
        assert_eq!((comparison.records, comparison.identical()), (2, 1));
        assert_eq!(comparison.differences[0].fields, ["SUBJECT"]);
        assert_eq!(
            comparison.differences[0].to_string(),
            "b (2): SUBJECT\n    Cyrus same\n    ours  other"
        );
        assert_eq!(comparison.by_field()[9], ("SUBJECT", 1));
    }

    #[test]
    fn a_record_that_only_one_side_has_is_a_difference() {
        let mut comparison = Comparison::default();
        comparison.add("a", "1", Some(&record(b"x")), None);
        comparison.add("b", "2", None, Some(&record(b"x")));
        comparison.add("c", "3", None, None);
        assert_eq!((comparison.messages, comparison.records), (3, 1));
        assert_eq!((comparison.identical(), comparison.differences.len()), (0, 2));
    }
}
