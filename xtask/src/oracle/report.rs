//! What the oracle prints.

use mailstore_tests::Verdict;
use mailstore_tests::oracle::{Comparison, rewritten};

use crate::table::Table;

/// Every message that differs, then how many records differ in each field.
pub(crate) fn print(comparison: &Comparison) {
    for difference in &comparison.differences {
        println!("{difference}");
    }
    let mut table = Table::new(&["field", "records that differ"]);
    for (field, count) in comparison.by_field() {
        table.row(vec![field.to_string(), count.to_string()]);
    }
    println!("\n{table}");
    let Comparison { messages, records, .. } = *comparison;
    let identical = comparison.identical();
    println!(
        "{messages} messages; Cyrus wrote {records} records, of which {identical} are ours byte for \
         byte ({})",
        share(identical, records)
    );
}

/// What Cyrus's `reconstruct -G` changed in its own rebuild and in ours.
pub(crate) fn print_verdicts([on_cyrus, on_us]: &[Verdict; 2]) {
    println!(
        "reconstruct -G rewrites {} records of Cyrus's own rebuild and {} of ours",
        rewritten(on_cyrus),
        rewritten(on_us)
    );
    for (whose, verdict) in [("Cyrus's", on_cyrus), ("ours", on_us)] {
        for line in &verdict.printed {
            println!("  of {whose}: {line}");
        }
    }
}

/// Part of a whole, in percent, never rounded up to all of it.
fn share(part: usize, whole: usize) -> String {
    let millionths = part.saturating_mul(100_000_000).checked_div(whole).unwrap_or(100_000_000);
    let hundredths = millionths / 10_000;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!(share(99_999, 100_000), "99.99 %");
        assert_eq!(share(3, 3), "100.00 %");
        assert_eq!(share(0, 0), "100.00 %");
    }
}
