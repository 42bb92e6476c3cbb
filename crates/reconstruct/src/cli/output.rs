//! What the command prints: results on stdout, everything else on stderr.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;

use anyhow::Result;
use command_line::{Console, held_by};
use mailstore::lock::LockWait;
use mailstore_format::db::DbDamage;
use reconstruct::{
    Code, Failure, Finding, FollowUp, MailboxReport, Observer, Remedy, ServerTools, State, Summary,
};
use serde::Serialize;

use super::args::OutputArgs;

/// Where more findings of one kind than this are counted instead of listed.
const LISTED: usize = 3;

/// Prints for people or for programs.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: u8,
    dry_run: bool,
    /// What a dry run says of a mailbox that would change.
    planned: &'static str,
    console: Console,
    /// What the repaired mailboxes leave to do.
    follow_up: Mutex<BTreeSet<FollowUp>>,
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
        Self {
            json: args.json,
            quiet: args.quiet,
            verbose: args.verbose,
            dry_run,
            planned: "would be repaired",
            console: Console::new("reconstruct", !args.quiet),
            follow_up: Mutex::default(),
        }
    }

    /// Of a run that undoes another.
    pub(crate) fn of_undo(self) -> Self {
        Self { planned: "would be put back", ..self }
    }

    pub(crate) fn waiting_for_database(&self, wait: &LockWait) {
        self.console.say(&format!("waiting for the list of mailboxes: {}", held_by(wait)));
    }

    /// Tells by what name a run over many mailboxes can be gone on with, before it may be cut short.
    pub(crate) fn run_begins(&self, name: &str) {
        if !self.quiet {
            self.console.say(&format!("run {name}; if interrupted, go on with --resume {name}"));
        }
    }

    /// Tells of damage in mailboxes.db: mailboxes may be missing from the list.
    pub(crate) fn list_damage(&self, damage: &[DbDamage]) {
        for fault in damage {
            let code = Code::MailboxListDamaged;
            let (offset, what) = (fault.offset, &fault.fault);
            self.console.say(&format!("mailboxes.db: {code}: at byte {offset}: {what}"));
        }
    }

    pub(crate) fn summary(&self, summary: &Summary, tools: Option<&ServerTools>) {
        self.console.work_ended();
        for Failure { why, follow_up } in &summary.aftercare_failures {
            self.console.say(why);
            if let Ok(mut left) = self.follow_up.lock() {
                left.extend(follow_up.clone());
            }
        }
        if self.json {
            self.console.print_json(&Line::Summary(summary));
        } else if !self.quiet {
            self.console.print(summary_text(summary, self.dry_run, self.planned));
            if let Ok(follow_up) = self.follow_up.lock() {
                let text = tools.map(|tools| tools.typed(&follow_up)).unwrap_or_default();
                self.console.print(text);
            }
        }
    }

    /// Waits until all is written to stdout; the last thing that a command does.
    pub(crate) fn finish(&self) -> Result<()> {
        self.console.finish()
    }

    fn report_text(&self, report: &MailboxReport) -> String {
        let name = &report.mailbox;
        let mut text = match report.state {
            State::Repaired => format!("{name}: repaired\n"),
            State::Delivered => format!("{name}: messages came in\n"),
            State::Planned => format!("{name}: {}\n", self.planned),
            State::Resumed | State::Sound if self.verbose < 2 && report.findings.is_empty() => {
                return String::new();
            }
            State::Resumed => format!("{name}: was done by the run that is resumed\n"),
            State::Left => format!("{name}: damage left\n"),
            State::Sound if self.verbose == 0 => return String::new(),
            State::Sound => format!("{name}: sound\n"),
            State::Undone => format!("{name}: as it was before the run\n"),
            State::Failed | State::Refused => String::new(),
        };
        let mut findings: Vec<&Finding> = report.findings.iter().collect();
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.remedy), finding.code));
        for group in findings.chunk_by(|one, next| one.code == next.code) {
            self.add_group(&mut text, group);
        }
        text
    }

    fn add_group(&self, text: &mut String, group: &[&Finding]) {
        let Some(first) = group.first() else { return };
        if first.remedy == Remedy::Note && self.verbose == 0 && first.uid.is_some() {
            return;
        }
        let shown = if self.verbose > 0 { group.len() } else { LISTED };
        for finding in group.iter().take(shown) {
            let mark = match finding.remedy {
                Remedy::Note => ' ',
                Remedy::Repair => '+',
                Remedy::Left => '!',
            };
            let _ = writeln!(text, "  {mark} {finding}");
        }
        if group.len() > shown {
            let rest = group.len() - shown;
            let _ = writeln!(text, "    … {rest} more {} (-v lists them)", first.code);
        }
    }
}

impl Observer for Output {
    fn started(&self, mailboxes: usize, messages: u64) {
        self.console.expect(mailboxes, messages);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.console.advance(messages, bytes);
    }

    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        if !self.quiet {
            self.console.say(&format!("{mailbox}: waiting: {}", held_by(wait)));
        }
    }

    fn finished(&self, report: &MailboxReport) {
        self.console.mailbox_done();
        if let Some(error) = &report.error {
            self.console.say(&format!("{}: {error}", report.mailbox));
        }
        if matches!(report.state, State::Repaired | State::Undone)
            && let Ok(mut follow_up) = self.follow_up.lock()
        {
            follow_up.extend(report.follow_up.iter().cloned());
        }
        if self.json {
            self.console.print_json(&Line::Mailbox(report));
        } else if !self.quiet {
            self.console.print(self.report_text(report));
        }
    }
}

fn summary_text(summary: &Summary, dry_run: bool, planned: &str) -> String {
    let mut parts = vec![format!("{} mailboxes", summary.mailboxes)];
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(summary.sound, "sound");
    add(summary.left, "left with damage");
    add(summary.repaired, "repaired");
    add(summary.planned, planned);
    add(summary.resumed, "done before");
    add(summary.undone, "put back");
    add(summary.refused, "refused");
    add(summary.failed, "could not be worked on");
    if !dry_run {
        let partly = summary.damage_left.saturating_sub(summary.left);
        add(partly, "of the repaired with some damage left");
    }
    let (messages, read) = (summary.messages, summary.messages_read);
    let bytes = indicatif::HumanBytes(summary.bytes_read);
    let mut text = format!("{}; {messages} messages, {read} read ({bytes})\n", parts.join(", "));
    if summary.wanted > 0 {
        let whether = if summary.remembered {
            "the incident remembers them with their flags"
        } else {
            "nobody remembers them for gapfill (--incident DIR)"
        };
        let _ = writeln!(text, "{} messages are wanted: {whether}", summary.wanted);
    }
    if let Some(run) = &summary.run {
        let _ = writeln!(
            text,
            "run {run}: what was replaced is under .mailstore-recovery/{run}/ of each partition"
        );
    }
    text
}
