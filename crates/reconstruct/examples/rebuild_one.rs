//! Rebuilds one mailbox directory through the public API alone, as another tool would.
//!
//! ```sh
//! cargo run --example rebuild_one -- /var/spool/imap/a/user/alice
//! ```
//!
//! No server may run on the directory.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::path::PathBuf;
use std::process::ExitCode;

use mailstore::replace::FileOps;
use reconstruct::{MailboxReport, Observer, Options, Progress, Run, Site, Target, Workshop};

/// Prints each finding as it comes.
struct Printer;

impl Observer for Printer {
    fn finished(&self, report: &MailboxReport) {
        println!("{}: {:?}, {} messages", report.mailbox, report.state, report.messages);
        for finding in &report.findings {
            println!("  {finding}");
        }
        if let Some(error) = &report.error {
            println!("  {error}");
        }
    }
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        println!("usage: rebuild_one MAILBOX-DIRECTORY");
        return ExitCode::from(2);
    };
    let targets = [Target::in_directory(&directory)];
    let (options, site) = (Options::default(), Site::none());
    let run = Run::new(&options, &site, &Printer);

    // To look needs nothing but the mailbox ...
    let found = run.survey(&targets);
    println!("{} of {} mailboxes would be repaired", found.planned, found.mailboxes);

    // ... to change it needs a workshop, and a place to remember what is done.
    let workshop = Workshop::new(FileOps::new(), "example", 0o077);
    let progress = Progress::new(&targets[0].recovery);
    let repaired = run.repair(&targets, &workshop, &progress);
    ExitCode::from(repaired.exit_status())
}
