//! `--plan` and `--apply`: plans in a file of the operator's.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail};
use mailstore_format::Timestamp;
use reconstruct::{MailboxReport, Options, PlanWriter, Run, SavedPlans, Summary};

use super::Work;
use super::args::Args;

/// Makes the file. One that is there may be somebody's only copy.
pub(super) fn create(path: &Path) -> Result<File> {
    let shown = path.display();
    File::create_new(path).with_context(|| format!("cannot make {shown}; name another file"))
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<SavedPlans> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    SavedPlans::read(BufReader::new(file)).map_err(|error| anyhow!("{shown}: {error}"))
}

/// Leaves of the store's mailboxes those of which there are plans.
pub(super) fn choose(saved: &SavedPlans, args: &Args, work: &mut Work) -> Result<()> {
    let same = |one: &Path, other: &Path| match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    };
    if !same(saved.store(), &args.server.config) {
        bail!(
            "the plans are for the store of {}, not for that of {}: name it with -C",
            saved.store().display(),
            args.server.config.display()
        );
    }
    let (targets, gone) = saved.select(std::mem::take(&mut work.targets));
    work.targets = targets;
    // Mailboxes that nothing was planned for are nobody's business here.
    work.misplaced.retain(|report| gone.contains(&report.mailbox));
    let told: Vec<_> = work.misplaced.iter().map(|report| report.mailbox.clone()).collect();
    let gone = gone.into_iter().filter(|name| !told.contains(name));
    let why = "the store does not list it any more; nothing was changed: make a new plan";
    work.misplaced.extend(gone.map(|name| MailboxReport::refused(&name, why)));
    Ok(())
}

/// Looks at the mailboxes and saves what would be done.
pub(super) fn save(
    file: File,
    args: &Args,
    options: &Options,
    run: &Run<'_>,
    work: &Work,
) -> Result<Summary> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let store = args.server.config.canonicalize().unwrap_or_else(|_| args.server.config.clone());
    let sink = Box::new(BufWriter::new(file));
    let plans = PlanWriter::new(sink, &store, options, now).context("cannot save the plans")?;
    let summary = run.survey_saving(&work.targets, &plans);
    plans.finish().context("cannot save the plans")?;
    Ok(summary)
}
