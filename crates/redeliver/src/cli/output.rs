//! What the command prints: results on stdout, everything else on stderr.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use command_line::{Console, held_by};
use incident::DeliveryState;
use indicatif::HumanBytes;
use mailstore::lock::LockWait;
use mailstore_format::Timestamp;
use reconstruct::{FollowUp, ServerTools};
use redeliver::{Listener, MailboxReport, MessageReport, Summary};
use serde::Serialize;

use super::args::OutputArgs;

/// Prints for people or for programs.
pub(crate) struct Output {
    args: OutputArgs,
    dry_run: bool,
    console: Console,
    told: Mutex<Told>,
}

/// What was told so far.
#[derive(Default)]
struct Told {
    summary: Summary,
    /// What the mailboxes leave to do.
    follow_up: BTreeSet<FollowUp>,
}

/// An object of the JSON output (docs/json.md).
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Mailbox(&'a MailboxReport),
    Summary(&'a Summary),
}

impl Output {
    pub(crate) fn new(args: OutputArgs, dry_run: bool) -> Self {
        let console = Console::new("redeliver", !args.quiet);
        Self { args, dry_run, console, told: Mutex::default() }
    }

    pub(crate) fn waiting_for_database(&self, wait: &LockWait) {
        self.console.say(&format!("waiting for the list of mailboxes: {}", held_by(wait)));
    }

    /// Tells of a mailbox of which nothing tells where it lies: nothing is delivered into it.
    pub(crate) fn misplaced(&self, mailbox: &str, error: &dyn std::error::Error) {
        self.console.say(&format!("{mailbox}: {error}"));
    }

    /// What was told so far.
    pub(crate) fn summary(&self) -> Summary {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).summary.clone()
    }

    /// What it prints with.
    pub(super) fn into_console(self) -> Console {
        self.console
    }

    /// Sums up, and waits until all is written; returns the exit status.
    pub(crate) fn end(&self, run: Option<String>, tools: Option<&ServerTools>) -> Result<u8> {
        self.console.work_ended();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.summary.run = run;
        if self.args.json {
            self.console.print_json(&Line::Summary(&told.summary));
        } else if !self.args.quiet {
            self.console.print(summary_text(&told.summary));
            if let Some(tools) = tools.filter(|_| !self.dry_run) {
                self.console.print(tools.typed(&told.follow_up));
            }
        }
        self.console.finish()?;
        Ok(told.summary.exit_status())
    }

    fn report_text(&self, report: &MailboxReport) -> String {
        let mut text = format!("{}: {}\n", report.mailbox, Self::counts(report));
        let is_told = |message: &&MessageReport| {
            self.args.verbose > 0 || message.state == DeliveryState::Held
        };
        for message in report.messages.iter().filter(is_told) {
            let _ = writeln!(text, "  {}", message_text(message, self.dry_run));
        }
        for finding in &report.findings {
            let _ = writeln!(text, "  {finding}");
        }
        text
    }

    fn counts(report: &MailboxReport) -> String {
        let mut summary = Summary::default();
        summary.add(report);
        let dates = || {
            let known = report.messages.iter().map(|message| message.internaldate);
            known.filter(|&date| date != Timestamp(0))
        };
        let mut text = counts_text(&summary);
        if let (Some(oldest), Some(newest)) = (dates().min(), dates().max()) {
            let _ = write!(text, "; received from {} to {}", day(oldest), day(newest));
        }
        let marked = report.messages.iter().filter(|message| message.marked).count();
        if marked > 0 {
            let _ = write!(text, "; {marked} marked as perhaps deleted");
        }
        text
    }
}

impl Listener for Output {
    fn started(&self, mailboxes: usize) {
        self.console.expect(mailboxes, 0);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.console.advance(messages, bytes);
    }

    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        if !self.args.quiet {
            self.console.say(&format!("{mailbox}: waiting: {}", held_by(wait)));
        }
    }

    fn slow(&self, mailbox: &str, took: Duration) {
        if !self.args.quiet {
            self.console
                .say(&format!("{mailbox}: waiting: the server takes {took:.0?} for nothing"));
        }
    }

    fn stopped(&self, mailboxes: usize) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.summary.stopped += u64::try_from(mailboxes).unwrap_or(u64::MAX);
    }

    fn finished(&self, report: &MailboxReport) {
        self.console.mailbox_done();
        if let Some(error) = &report.error {
            self.console.say(&format!("{}: {error}", report.mailbox));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.summary.add(report);
        told.follow_up.extend(report.follow_up.iter().cloned());
        if self.args.json {
            self.console.print_json(&Line::Mailbox(report));
        } else if !self.args.quiet {
            self.console.print(self.report_text(report));
        }
    }

    fn failed(&self, why: &str, follow_up: Option<&FollowUp>) {
        self.console.say(why);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.summary.out_of_step += 1;
        told.follow_up.extend(follow_up.cloned());
    }
}

fn message_text(message: &MessageReport, dry_run: bool) -> String {
    let MessageReport { guid, source_uid, class, messages, note, .. } = message;
    let uid = message.uid.map(|uid| uid.to_string()).unwrap_or_default();
    let was = if source_uid.0 == 0 { String::new() } else { format!(", was uid {source_uid}") };
    let shown = match message.state {
        DeliveryState::Intended if dry_run && message.uid.is_none() => {
            format!("+ {guid} would be delivered")
        }
        DeliveryState::Intended if dry_run => format!("+ {guid} would get uid {uid}"),
        DeliveryState::Intended => format!("! {guid} is on its way"),
        DeliveryState::Delivered | DeliveryState::Verified => format!("+ {guid} has uid {uid}"),
        DeliveryState::Found => format!("  {guid} is known there as uid {uid}"),
        DeliveryState::Held | DeliveryState::Undone if guid.is_null() => {
            format!("! its {messages} messages: {note}")
        }
        DeliveryState::Held | DeliveryState::Undone => format!("! {guid}: {note}"),
    };
    format!("{shown} ({class}{was})")
}

fn counts_text(summary: &Summary) -> String {
    let mut parts = Vec::new();
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(summary.intended, "would be delivered");
    add(summary.delivered, "delivered");
    add(summary.found, "were there");
    add(summary.held, "held");
    if parts.is_empty() { "nothing to deliver".to_owned() } else { parts.join(", ") }
}

fn summary_text(summary: &Summary) -> String {
    let (mailboxes, bytes) = (summary.mailboxes, HumanBytes(summary.bytes));
    let mut text = format!("{mailboxes} mailboxes; {} ({bytes})\n", counts_text(summary));
    if summary.failed > 0 {
        let _ = writeln!(text, "{} mailboxes could not be worked on", summary.failed);
    }
    if summary.stopped > 0 {
        let stopped = summary.stopped;
        let _ = writeln!(
            text,
            "told to stop: {stopped} mailboxes are not done; the same command goes on"
        );
    }
    if let Some(run) = &summary.run {
        let _ = writeln!(text, "run {run}: redeliver undo {run} takes back what it delivered");
    }
    text
}

/// The day, for people.
pub(super) fn day(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.0));
    time.map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}
