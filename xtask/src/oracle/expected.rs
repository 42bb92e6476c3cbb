//! The `.expected` files of the repository's messages, as their README describes them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::oracle::{Sample, Trial, expectation};

/// Writes `NAME.expected` beside every `NAME.eml` in `directory`.
pub(crate) fn write(directory: &Path, samples: &[Sample], trial: &Trial) -> Result<()> {
    let records = trial.records_by_cyrus(samples.len())?;
    ensure!(records.len() == samples.len(), "that many messages do not fit into one mailbox");
    for (sample, record) in samples.iter().zip(records) {
        let record = record.with_context(|| format!("Cyrus has no record of {}", sample.source))?;
        let path = directory.join(&sample.source).with_extension("expected");
        fs::write(&path, expectation(&record)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{} expectations written", samples.len());
    Ok(())
}
