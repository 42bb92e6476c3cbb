//! What is printed: the result on stdout, everything else on stderr.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;

use gapfill::compare::Counts;
use gapfill::{Class, MailboxReport, Observer, Source, Summary};
use incident::Gap;
use indicatif::HumanBytes;
use mailstore::lock::LockWait;
use serde_json::{Map, Value, json};

use super::args::OutputArgs;
use super::progress::ProgressDisplay;

/// Prints.
pub(crate) struct Output {
    args: OutputArgs,
    by_user: bool,
    progress: ProgressDisplay,
    /// Lines of several threads do not mix.
    printing: Mutex<()>,
}

impl Output {
    pub(crate) fn new(args: OutputArgs, by_user: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !args.quiet;
        let progress = ProgressDisplay::new(terminal, args.quiet);
        Self { args, by_user, progress, printing: Mutex::new(()) }
    }

    /// Says what a source was recognised as.
    pub(crate) fn source(&self, source: &Source) {
        if self.args.quiet {
            return;
        }
        let unreadable = source.skipped.iter().filter(|skipped| skipped.hides_mail()).count();
        eprintln!(
            "gapfill: {} is {}: {} mailboxes, {} loose files, {} entries passed over, {unreadable} \
             not readable",
            source.path.display(),
            source.kind,
            source.mailboxes.len(),
            source.loose_files(),
            source.skipped.len() - unreadable,
        );
        for skipped in source.skipped.iter().filter(|s| self.args.verbose > 0 || s.hides_mail()) {
            eprintln!("gapfill: {skipped}");
        }
    }

    pub(crate) fn waiting_for(&self, wait: &LockWait) {
        let print =
            || eprintln!("gapfill: waiting for {} ({:?})", wait.path.display(), wait.waited);
        if !self.args.quiet {
            self.progress.above(print);
        }
    }

    /// Takes the progress away.
    pub(crate) fn end(&self) {
        self.progress.end();
    }

    /// Says what a run found in all.
    pub(crate) fn summary(&self, summary: &Summary, remembered: bool) {
        if self.args.json {
            if self.by_user {
                for (user, counts) in &summary.by_user {
                    print_json(&json!({"type": "user", "user": user, "classes": classes(counts)}));
                }
            }
            print_json(&json!({
                "type": "summary",
                "mailboxes": summary.mailboxes,
                "failed": summary.failed,
                "classes": classes(&summary.counts),
                "gaps": summary.gaps(),
                "unreadable": summary.unreadable,
                "passed_over": summary.passed_over,
                "files_read": summary.files_read,
                "bytes_read": summary.bytes_read,
            }));
        } else if !self.args.quiet {
            self.table(summary, remembered);
        }
    }

    fn table(&self, summary: &Summary, remembered: bool) {
        if self.by_user {
            for (user, counts) in &summary.by_user {
                let user = if user.is_empty() { "(nobody's)" } else { user };
                let told: Vec<_> = told(counts).map(|(c, n, _)| format!("{n} {c}")).collect();
                print(&format!("{user}: {}", told.join(", ")));
            }
            print("");
        }
        print(&format!("{:<14} {:>10} {:>12}", "class", "messages", "bytes"));
        for (class, messages, bytes) in told(&summary.counts) {
            print(&format!("{class:<14} {messages:>10} {:>12}", HumanBytes(bytes).to_string()));
        }
        print(&format!(
            "{} mailboxes compared, {} files ({}) read",
            summary.mailboxes,
            summary.files_read,
            HumanBytes(summary.bytes_read)
        ));
        if summary.failed > 0 {
            print(&format!("{} live mailboxes could not be compared", summary.failed));
        }
        if summary.unreadable > 0 {
            print(&format!(
                "{} entries of the sources could not be read: run again with --retry-bad, or on a \
                 copy of the volume",
                summary.unreadable
            ));
        }
        if summary.gaps() > 0 && !remembered {
            print("nobody remembers the gaps: give --incident DIR to have them delivered");
        }
    }

    fn report(&self, report: &MailboxReport) {
        let mailbox = report.mailbox.as_ref();
        let name = mailbox.map_or("(no mailbox)", |mailbox| mailbox.name.as_str());
        if self.args.json {
            print_json(&json!({
                "type": "mailbox",
                "mailbox": mailbox.map(|mailbox| &mailbox.name),
                "uniqueid": mailbox.map(|mailbox| &mailbox.uniqueid),
                "user": report.owner,
                "classes": classes(&report.counts),
                "unreadable": report.unreadable,
                "error": report.error,
            }));
            report.gaps.iter().for_each(|gap| print_json(&gap_line(name, gap)));
            return;
        }
        for gap in report.gaps.iter().filter(|_| self.args.verbose > 0) {
            let what = if gap.guid.is_null() && gap.messages != 1 {
                format!("{} messages", gap.messages)
            } else {
                format!("uid {} {}", gap.uid, gap.guid)
            };
            print(&format!("{name}: {} {what}: {}", gap.class, gap.evidence));
        }
    }
}

fn print(line: &str) {
    // Whoever closes the pipe does not want the rest.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn print_json(value: &Value) {
    print(&value.to_string());
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
        self.progress.start(mailboxes, messages);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.progress.advance(messages, bytes);
    }

    fn waiting(&self, wait: &LockWait) {
        self.waiting_for(wait);
    }

    fn finished(&self, report: &MailboxReport) {
        let name = report.mailbox.as_ref().map_or("(no mailbox)", |mailbox| &mailbox.name);
        self.progress.mailbox_done();
        let _printing = self.printing.lock();
        self.progress.above(|| {
            for unreadable in report.unreadable.iter().filter(|_| !self.args.quiet) {
                eprintln!("gapfill: {name}: {unreadable}");
            }
            if let Some(error) = &report.error {
                eprintln!("gapfill: {name}: {error}");
            }
            if !self.args.quiet || self.args.json {
                self.report(report);
            }
        });
    }
}
