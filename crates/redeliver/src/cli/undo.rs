//! `redeliver undo`: what a run delivered and nobody has touched since is taken back, by the way by
//! which it came.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use command_line::named_store;
use incident::{Incident, MailboxWithGaps, RunId, StoreBinding, StoreId};
use mailstore::replace::FileOps;
use reconstruct::undo::IfChanged;
use reconstruct::{Finding, MailboxReport, Memory, Remedy, Run, Target, Workshop};
use redeliver::{Access, Imap, Withdrawal};

use super::args::{AftercareArgs, OutputArgs, StoreArgs};
use super::begun;
use super::imap::{bound_store, chosen_by_name, open_as_owner};
use super::imap_args::ImapServerArgs;
use super::output::Output;
use super::store::{self, Opened};
use super::watch::Watch;

/// Take back what a run delivered: messages that nobody has touched since are expunged.
///
/// A message that was flagged, moved or deleted since stays as it is, and is told. Nothing is
/// removed from the disk; what is taken back can be delivered again. What came over IMAP is taken back
/// over IMAP.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage -n
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage --user alice
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage --to store7

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

    // Last: what follows would stand under its heading.
    #[command(flatten)]
    imap: ImapServerArgs,
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &UndoArgs) -> Result<u8> {
    if args.run.is_empty() || args.run.contains('/') || args.run.starts_with('.') {
        bail!("'{}' is no run's name", args.run);
    }
    let named = named_store(&args.store.to, args.store.stores.as_deref())?;
    // Before root is given up: it may own the passwords.
    let access = args.imap.access(&named.imap);
    let opening = Output::new(args.output, args.dry_run);
    if !named.config.exists() {
        return over_imap_alone(args, &named.config, &access?, opening);
    }
    let Opened { store, targets, site, settings } = store::open(&args.store, &opening)?;
    let incident = Arc::new(Incident::open(args.store.incident()?)?);
    let binding = StoreBinding::of(store.conf())?;
    if let Some(run) = sent_over_imap(&incident, incident.store(&binding)?, &args.run)? {
        let mailboxes = store::chosen(mailboxes_of(&incident, run)?, &targets, &args.store);
        let listed = Some((targets, store.namespace().clone()));
        let (incident, access) = (&*incident, &access?);
        let withdrawal = Withdrawal { incident, access, store: listed, dry_run: args.dry_run };
        return take_back(args, &withdrawal, run, &mailboxes, opening);
    }
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
    watch.end(&summary, &words, Some(&tools))?;
    Ok(summary.exit_status())
}

/// What came over IMAP, into a store that this machine does not have.
fn over_imap_alone(args: &UndoArgs, config: &Path, access: &Access, opening: Output) -> Result<u8> {
    let incident = open_as_owner(args.store.incident()?)?;
    let id = bound_store(&incident.stores()?, config)?;
    let Some(run) = sent_over_imap(&incident, id, &args.run)? else {
        bail!("the incident knows no run '{}' that delivered over IMAP (incident show)", args.run);
    };
    let mailboxes = mailboxes_of(&incident, run)?;
    let mailboxes =
        if mailboxes.is_empty() { mailboxes } else { chosen_by_name(mailboxes, &args.store)? };
    let withdrawal = Withdrawal { incident: &incident, access, store: None, dry_run: args.dry_run };
    take_back(args, &withdrawal, run, &mailboxes, opening)
}

/// The run of this name, where it delivered over IMAP.
fn sent_over_imap(incident: &Incident, store: StoreId, name: &str) -> Result<Option<RunId>> {
    let Some(run) = incident.run_named(store, name)? else { return Ok(None) };
    Ok(incident.has_delivered(run.id, Imap::NAME)?.then_some(run.id))
}

/// The mailboxes of whose gaps anything is there that the run sent.
fn mailboxes_of(incident: &Incident, run: RunId) -> Result<Vec<MailboxWithGaps>> {
    let sent = incident.sent_by(run, Imap::NAME)?;
    let mut mailboxes: Vec<_> = sent.into_iter().map(|sent| sent.mailbox).collect();
    mailboxes.dedup();
    Ok(mailboxes)
}

/// Takes back what the run sent of the gaps of these mailboxes.
fn take_back(
    args: &UndoArgs,
    withdrawal: &Withdrawal<'_>,
    run: RunId,
    mailboxes: &[MailboxWithGaps],
    opening: Output,
) -> Result<u8> {
    let watch = Watch::new(args.output, args.dry_run, opening, told);
    let chosen: HashSet<&str> = mailboxes.iter().map(|it| it.mailbox.uniqueid.as_str()).collect();
    let is_chosen = |of: &MailboxWithGaps| chosen.contains(of.mailbox.uniqueid.as_str());
    let summary = withdrawal.take_back(run, &is_chosen, &watch)?;
    let (count, left) = (summary.mailboxes, summary.damage_left);
    let is_whole = args.store.names_none() && summary.exit_status() == 0;
    if is_whole && !args.dry_run {
        withdrawal.incident.run_undone(run)?;
    }
    watch.end(&summary, &format!("{count} folders; in {left} of them something stays"), None)?;
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
