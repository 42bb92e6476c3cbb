//! What is printed: the result on stdout, everything else on stderr.

use std::fmt::Write as _;

use anyhow::Result;
use command_line::{Console, held_by};
use gapfill::compare::Counts;
use gapfill::{Class, MailboxReport, Observer, Source, Summary};
use incident::Gap;
use indicatif::HumanBytes;
use mailstore::lock::LockWait;
use serde_json::{Map, Value, json};

use super::args::OutputArgs;

/// Prints.
pub(crate) struct Output {
    args: OutputArgs,
    by_user: bool,
    console: Console,
}

impl Output {
    pub(crate) fn new(args: OutputArgs, by_user: bool) -> Self {
        Self { args, by_user, console: Console::new("gapfill", !args.quiet) }
    }

    /// Says what a source was recognised as.
    pub(crate) fn source(&self, source: &Source) {
        if self.args.quiet {
            return;
        }
        let unreadable = source.skipped.iter().filter(|skipped| skipped.hides_mail()).count();
        self.console.say(&format!(
            "{} is {}: {} mailboxes, {} loose files, {} entries passed over, {unreadable} \
             not readable",
            source.path.display(),
            source.kind,
            source.mailboxes.len(),
            source.loose_files(),
            source.skipped.len() - unreadable,
        ));
        for skipped in source.skipped.iter().filter(|s| self.args.verbose > 0 || s.hides_mail()) {
            self.console.say(&skipped.to_string());
        }
    }

    pub(crate) fn waiting_for(&self, wait: &LockWait) {
        if !self.args.quiet {
            self.console.say(&format!("waiting: {}", held_by(wait)));
        }
    }

    /// Takes the progress away.
    pub(crate) fn end(&self) {
        self.console.work_ended();
    }

    /// Says what a run found in all.
    pub(crate) fn summary(&self, summary: &Summary, remembered: bool) {
        if self.args.json {
            if self.by_user {
                for (user, counts) in &summary.by_user {
                    self.console.print_json(
                        &json!({"type": "user", "user": user, "classes": classes(counts)}),
                    );
                }
            }
            self.console.print_json(&json!({
                "type": "summary",
                "mailboxes": summary.mailboxes,
                "failed": summary.failed,
                "classes": classes(&summary.counts),
                "gaps": summary.gaps(),
                "unreadable": summary.unreadable,
                "passed_over": summary.passed_over,
                "closed": summary.closed,
                "files_read": summary.files_read,
                "bytes_read": summary.bytes_read,
            }));
        } else if !self.args.quiet {
            self.console.print(self.table(summary, remembered));
        }
    }

    /// Waits until all is written to stdout; the last thing that a command does.
    pub(crate) fn finish(&self) -> Result<()> {
        self.console.finish()
    }

    fn table(&self, summary: &Summary, remembered: bool) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        if self.by_user {
            for (user, counts) in &summary.by_user {
                let user = if user.is_empty() { "(nobody's)" } else { user };
                let told: Vec<_> = told(counts).map(|(c, n, _)| format!("{n} {c}")).collect();
                line(&format!("{user}: {}", told.join(", ")));
            }
            line("");
        }
        line(&format!("{:<14} {:>10} {:>12}", "class", "messages", "bytes"));
        for (class, messages, bytes) in told(&summary.counts) {
            line(&format!("{class:<14} {messages:>10} {:>12}", HumanBytes(bytes).to_string()));
        }
        line(&format!(
            "{} mailboxes compared, {} files ({}) read",
            summary.mailboxes,
            summary.files_read,
            HumanBytes(summary.bytes_read)
        ));
        if summary.failed > 0 {
            line(&format!("{} live mailboxes could not be compared", summary.failed));
        }
        if summary.unreadable > 0 {
            line(&format!(
                "{} entries of the sources could not be read: run again with --retry-bad, or on a \
                 copy of the volume",
                summary.unreadable
            ));
        }
        if summary.closed > 0 {
            line(&format!("{} gaps of earlier runs are closed", summary.closed));
        }
        if summary.gaps() > 0 && !remembered {
            line("nobody remembers the gaps: give --incident DIR to have them delivered");
        }
        text
    }

    fn report(&self, report: &MailboxReport) {
        let mailbox = report.mailbox.as_ref();
        let name = mailbox.map_or("(no mailbox)", |mailbox| mailbox.name.as_str());
        if self.args.json {
            self.console.print_json(&json!({
                "type": "mailbox",
                "mailbox": mailbox.map(|mailbox| &mailbox.name),
                "uniqueid": mailbox.map(|mailbox| &mailbox.uniqueid),
                "user": report.owner,
                "classes": classes(&report.counts),
                "unreadable": report.unreadable,
                "closed": report.closed.len(),
                "error": report.error,
            }));
            report.gaps.iter().for_each(|gap| self.console.print_json(&gap_line(name, gap)));
            return;
        }
        let mut text = String::new();
        for gap in report.gaps.iter().filter(|_| self.args.verbose > 0) {
            let what = if gap.guid.is_null() && gap.messages != 1 {
                format!("{} messages", gap.messages)
            } else {
                format!("uid {} {}", gap.uid, gap.guid)
            };
            let _ = writeln!(text, "{name}: {} {what}: {}", gap.class, gap.evidence);
        }
        self.console.print(text);
    }
}

/// The classes that have any messages, in their order.
fn told(counts: &Counts) -> impl Iterator<Item = (Class, u64, u64)> + '_ {
    let counted = Class::ALL.into_iter().map(|class| (class, counts.of(class)));
    counted.filter(|(_, n)| n.messages > 0).map(|(class, n)| (class, n.messages, n.bytes))
}

fn classes(counts: &Counts) -> Value {
    let each = told(counts).map(|(class, messages, bytes)| {
        (class.to_string(), json!({"messages": messages, "bytes": bytes}))
    });
    Value::Object(each.collect::<Map<_, _>>())
}

fn gap_line(mailbox: &str, gap: &Gap) -> Value {
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| path.to_string_lossy().into_owned())
    };
    json!({
        "type": "gap",
        "mailbox": mailbox,
        "class": gap.class,
        "uid": gap.uid.0,
        "guid": gap.guid.to_string(),
        "restore": gap.restore,
        "evidence": gap.evidence,
        "messages": gap.messages,
        "bytes": gap.bytes,
        "origin": path(&gap.origin),
        "staged": path(&gap.staged),
    })
}

impl Observer for Output {
    fn started(&self, mailboxes: usize, messages: u64) {
        self.console.expect(mailboxes, messages);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.console.advance(messages, bytes);
    }

    fn waiting(&self, wait: &LockWait) {
        self.waiting_for(wait);
    }

    fn finished(&self, report: &MailboxReport) {
        let name = report.mailbox.as_ref().map_or("(no mailbox)", |mailbox| &mailbox.name);
        self.console.mailbox_done();
        for unreadable in report.unreadable.iter().filter(|_| !self.args.quiet) {
            self.console.say(&format!("{name}: {unreadable}"));
        }
        if let Some(error) = &report.error {
            self.console.say(&format!("{name}: {error}"));
        }
        if !self.args.quiet || self.args.json {
            self.report(report);
        }
    }
}
