//! What is printed of work that `reconstruct`'s own reports tell of: undos, raised numbers.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use command_line::{Console, held_by};
use mailstore::lock::LockWait;
use reconstruct::{FollowUp, MailboxReport, Observer, ServerTools, Summary};
use serde::Serialize;

use super::args::OutputArgs;
use super::output::Output;

/// An object of the JSON output (docs/json.md): those of `reconstruct`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Mailbox(&'a MailboxReport),
    Summary(&'a Summary),
}

/// Prints what becomes of each mailbox.
pub(super) struct Watch {
    pub(super) args: OutputArgs,
    pub(super) dry_run: bool,
    console: Console,
    told: fn(&Self, &MailboxReport) -> String,
    /// What the mailboxes leave to do.
    follow_up: Mutex<BTreeSet<FollowUp>>,
}

impl Watch {
    /// Goes on where `opening` printed; `told` is what people are told of a mailbox.
    pub(super) fn new(
        args: OutputArgs,
        dry_run: bool,
        opening: Output,
        told: fn(&Self, &MailboxReport) -> String,
    ) -> Self {
        let console = opening.into_console();
        Self { args, dry_run, console, told, follow_up: Mutex::default() }
    }

    /// Sums up, for people in these words, and waits until all is written.
    pub(super) fn end(
        &self,
        summary: &Summary,
        words: &str,
        tools: Option<&ServerTools>,
    ) -> Result<()> {
        self.console.work_ended();
        for failure in &summary.aftercare_failures {
            self.console.say(&failure.why);
        }
        if self.args.json {
            self.console.print_json(&Line::Summary(summary));
        } else if !self.args.quiet {
            let follow_up = self.follow_up.lock().unwrap_or_else(PoisonError::into_inner);
            let typed = tools.map(|tools| tools.typed(&follow_up)).unwrap_or_default();
            self.console.print(format!("{words}\n{typed}"));
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
            self.console.print((self.told)(self, report));
        }
    }
}
