//! `redeliver raise-uidnext`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use command_line::{Console, held_by};
use incident::{Incident, StoreBinding};
use mailstore::lock::LockWait;
use mailstore::replace::FileOps;
use reconstruct::{FollowUp, MailboxReport, Memory, Observer, ServerTools, Summary, Workshop};
use redeliver::RaiseNumbers;
use serde::Serialize;

use super::args::{AftercareArgs, OutputArgs, StoreArgs};
use super::begun;
use super::output::Output;
use super::store::{self, Opened};

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
    let watch = Watch {
        args: args.output,
        dry_run: args.dry_run,
        console: opening.into_console(),
        follow_up: Mutex::default(),
    };
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
    watch.end(&summary, &tools)?;
    Ok(summary.exit_status())
}

/// An object of the JSON output (docs/json.md): those of `reconstruct`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Mailbox(&'a MailboxReport),
    Summary(&'a Summary),
}

/// Prints what is raised.
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
            let (mailboxes, raised) = (summary.mailboxes, summary.delivered + summary.planned);
            let done = if self.dry_run { "would be raised" } else { "raised" };
            let mut text = format!("{mailboxes} mailboxes; the numbers of {raised} {done}\n");
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
        } else if !self.args.quiet && (!report.findings.is_empty() || self.args.verbose > 0) {
            let mut text = format!("{}:\n", report.mailbox);
            for finding in &report.findings {
                let _ = writeln!(text, "  {finding}");
            }
            self.console.print(text);
        }
    }
}
