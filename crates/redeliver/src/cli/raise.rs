//! `redeliver raise-uidnext`.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use incident::{Incident, StoreBinding};
use mailstore::replace::FileOps;
use reconstruct::{MailboxReport, Memory, Workshop};
use redeliver::RaiseNumbers;

use super::args::{AftercareArgs, OutputArgs, StoreArgs};
use super::begun;
use super::output::Output;
use super::store::{self, Opened};
use super::watch::Watch;

/// Raise the numbers of mailboxes above all that clients have seen, before a delivery over IMAP.
///
/// Over IMAP the server gives out UIDs, the next one each time. Clients of the lost server may know
/// other messages by these. This lifts last UID and highest modseq of each mailbox of which anything
/// is missing to the highest that any source has shown, under the server's locks. To be run on the
/// store's host; the server may run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  redeliver raise-uidnext --incident /srv/outage -n
  redeliver raise-uidnext --incident /srv/outage --to store7 --user alice

Exit status:
  0  whatever comes next into these mailboxes comes above all that was ever seen
  1  not into all of them: a dry run, or a mailbox that has to be repaired first
  2  could not run, or not on some mailbox: usage, configuration, a lock, an I/O error")]
pub(crate) struct RaiseArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Say what would be raised; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    after: AftercareArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &RaiseArgs) -> Result<u8> {
    let opening = Output::new(args.output, args.dry_run);
    let Opened { store, targets, site, settings } = store::open(&args.store, &opening)?;
    let conf = store.conf();
    let incident = Arc::new(Incident::open(args.store.incident()?)?);
    let binding = StoreBinding::of(conf)?;
    let mailboxes = incident.mailboxes_with_gaps(incident.store(&binding)?, &[])?;
    let mailboxes = store::chosen(mailboxes, &targets, &args.store);
    let tools = store::tools(&store, &args.after, &incident)?;
    let watch = Watch::new(args.output, args.dry_run, opening, told);
    let raise = RaiseNumbers::new(&incident, &targets, &mailboxes);
    let run = reconstruct::Run::new(&settings, &site, &watch);
    let summary = if args.dry_run {
        raise.survey(&run)
    } else {
        let start = begun("redeliver raise-uidnext");
        let workshop = Workshop::new(FileOps::new(), start.name.clone(), conf.umask());
        let aftercare = store::aftercare(&store, &args.after, &tools, args.store.lock_timeout())?;
        let memory = Memory::begin(Arc::clone(&incident), &binding, &start)?;
        let run = run.with_aftercare(aftercare);
        raise.carry_out(&run.with_start(start).with_memory(memory), &workshop)
    };
    let (mailboxes, raised) = (summary.mailboxes, summary.delivered + summary.planned);
    let done = if args.dry_run { "would be raised" } else { "raised" };
    let words = format!("{mailboxes} mailboxes; the numbers of {raised} {done}");
    watch.end(&summary, &words, Some(&tools))?;
    Ok(summary.exit_status())
}

/// What people are told of a mailbox.
fn told(watch: &Watch, report: &MailboxReport) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() || watch.args.verbose > 0 {
        let _ = writeln!(text, "{}:", report.mailbox);
    }
    for finding in &report.findings {
        let _ = writeln!(text, "  {finding}");
    }
    text
}
