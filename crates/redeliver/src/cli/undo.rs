//! `redeliver undo`: what a run delivered and nobody has touched since is taken back.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Result, bail};
use incident::{Incident, StoreBinding};
use mailstore::replace::FileOps;
use reconstruct::undo::IfChanged;
use reconstruct::{Finding, MailboxReport, Memory, Remedy, Run, Target, Workshop};

use super::args::{AftercareArgs, OutputArgs, StoreArgs};
use super::begun;
use super::output::Output;
use super::store::{self, Opened};
use super::watch::Watch;

/// Take back what a run delivered: messages that nobody has touched since are expunged.
///
/// A message that was flagged, moved or deleted since stays as it is, and is told. Nothing is
/// removed from the disk; what is taken back can be delivered again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage -n
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage --user alice

Exit status:
  0  everything that the run delivered is taken back
  1  some messages were touched since, and stay; or a dry run
  2  could not run: usage, configuration, a lock, an I/O error")]
pub(crate) struct UndoArgs {
    /// The run: it is named where it ends
    #[arg(value_name = "RUN")]
    run: String,

    #[command(flatten)]
    store: StoreArgs,

    /// Say what would be taken back; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    after: AftercareArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &UndoArgs) -> Result<u8> {
    if args.run.is_empty() || args.run.contains('/') || args.run.starts_with('.') {
        bail!("'{}' is no run's name", args.run);
    }
    let opening = Output::new(args.output, args.dry_run);
    let Opened { store, targets, site, settings } = store::open(&args.store, &opening)?;
    let incident = Arc::new(Incident::open(args.store.incident()?)?);
    let binding = StoreBinding::of(store.conf())?;
    let Some(memory) = Memory::of_run(Arc::clone(&incident), &binding, &args.run)? else {
        bail!("the incident knows no run '{}' on this store (incident show)", args.run);
    };
    let tools = store::tools(&store, &args.after, &incident)?;
    let changed: Vec<Target> = Run::changed_by(&targets, &args.run).into_iter().cloned().collect();
    let watch = Watch::new(args.output, args.dry_run, opening, told);
    let summary = if args.dry_run {
        Run::new(&settings, &site, &watch).survey_undo(&changed, &args.run, IfChanged::Merge)
    } else {
        let start = begun("redeliver undo");
        let workshop = Workshop::new(FileOps::new(), start.name.clone(), store.conf().umask());
        let aftercare = store::aftercare(&store, &args.after, &tools, args.store.lock_timeout())?;
        let run = Run::new(&settings, &site, &watch).with_aftercare(aftercare);
        let run = run.with_start(start).with_memory(memory);
        run.undo(&changed, &args.run, IfChanged::Merge, &workshop)
    };
    let (mailboxes, left) = (summary.mailboxes, summary.damage_left);
    let words = format!("{mailboxes} mailboxes; in {left} of them something stays");
    watch.end(&summary, &words, &tools)?;
    Ok(summary.exit_status())
}

/// What people are told of a mailbox.
fn told(watch: &Watch, report: &MailboxReport) -> String {
    let what = if watch.dry_run { "would be taken back" } else { "taken back" };
    let count = report.taken_back().count();
    let mut text = format!("{}: {count} messages {what}\n", report.mailbox);
    let is_told = |finding: &&Finding| finding.remedy == Remedy::Left || watch.args.verbose > 0;
    for finding in report.findings.iter().filter(is_told) {
        let _ = writeln!(text, "  {finding}");
    }
    text
}
