//! `redeliver undo`: what a run delivered and nobody has touched since is taken back.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use command_line::{Console, held_by};
use incident::{Incident, StoreBinding};
use mailstore::lock::LockWait;
use mailstore::replace::FileOps;
use reconstruct::undo::IfChanged;
use reconstruct::{
    FollowUp, MailboxReport, Memory, Observer, Remedy, Run, ServerTools, Summary, Target, Workshop,
};
use serde::Serialize;

use super::args::{AftercareArgs, OutputArgs, StoreArgs};
use super::begun;
use super::output::Output;
use super::store::{self, Opened};

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
    let watch = Watch {
        args: args.output,
        dry_run: args.dry_run,
        console: opening.into_console(),
        follow_up: Mutex::default(),
    };
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
    watch.end(&summary, &tools)?;
    Ok(summary.exit_status())
}

/// An object of the JSON output (docs/json.md): those of `reconstruct undo`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Mailbox(&'a MailboxReport),
    Summary(&'a Summary),
}

/// Prints what is undone.
struct Watch {
    args: OutputArgs,
    dry_run: bool,
    console: Console,
    /// What the mailboxes leave to do.
    follow_up: Mutex<BTreeSet<FollowUp>>,
}

impl Watch {
    fn end(&self, summary: &Summary, tools: &ServerTools) -> Result<()> {
        self.console.work_ended();
        for failure in &summary.aftercare_failures {
            self.console.say(&failure.why);
        }
        if self.args.json {
            self.console.print_json(&Line::Summary(summary));
        } else if !self.args.quiet {
            let (mailboxes, left) = (summary.mailboxes, summary.damage_left);
            let mut text = format!("{mailboxes} mailboxes; in {left} of them something stays\n");
            let follow_up = self.follow_up.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&tools.typed(&follow_up));
            self.console.print(text);
        }
        self.console.finish()
    }
}

impl Observer for Watch {
    fn started(&self, mailboxes: usize, messages: u64) {
        self.console.expect(mailboxes, messages);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.console.advance(messages, bytes);
    }

    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        self.console.say(&format!("{mailbox}: waiting: {}", held_by(wait)));
    }

    fn finished(&self, report: &MailboxReport) {
        self.console.mailbox_done();
        if !self.dry_run {
            let mut follow_up = self.follow_up.lock().unwrap_or_else(PoisonError::into_inner);
            follow_up.extend(report.follow_up.iter().cloned());
        }
        if let Some(error) = &report.error {
            self.console.say(&format!("{}: {error}", report.mailbox));
        }
        if self.args.json {
            self.console.print_json(&Line::Mailbox(report));
        } else if !self.args.quiet {
            let what = if self.dry_run { "would be taken back" } else { "taken back" };
            let mut text =
                format!("{}: {} messages {what}\n", report.mailbox, report.taken_back().count());
            let is_told = |finding: &&reconstruct::Finding| {
                finding.remedy == Remedy::Left || self.args.verbose > 0
            };
            for finding in report.findings.iter().filter(is_told) {
                let _ = writeln!(text, "  {finding}");
            }
            self.console.print(text);
        }
    }
}
