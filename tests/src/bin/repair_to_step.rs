//! Repairs one mailbox as `reconstruct` does, or undoes a run, through the public library alone, up
//! to a chosen step of [`mailstore::replace::FileOps`], where it kills itself or lets the step fail.
//!
//! `repair_to_step IMAPD_CONF MAILBOX RUN keep|prune|undo=RUN|merge=RUN END`, where END is one of
//!
//! - `count`: goes through to the end;
//! - `kill:N`: ends with SIGKILL before step N, counted from 0;
//! - `tear:N`: the same, with the write that is step N - 1 only half done;
//! - `fail:N:EIO`, `fail:N:ENOSPC` and `fail:N:EDQUOT`: step N fails, and all goes on as it may;
//! - `unsupported:END`: any of these on a file system that exchanges no entries.
//!
//! Prints each step that it comes to, and the mailbox's report as JSON in the last line.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mailstore::config::ImapdConf;
use mailstore::identity::{AccountHints, StoreAccount, adopt_umask};
use mailstore::store::{Selection, Store};
use mailstore_tests::interruption::{End, hooked};
use reconstruct::undo::IfChanged;
use reconstruct::{
    MailboxReport, Observer, Options, Progress, PrunePolicy, Run, Site, Target, Workshop,
};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [conf, mailbox, run, work, end] = arguments.as_slice() else {
        bail!("usage: repair_to_step IMAPD_CONF MAILBOX RUN WORK END");
    };
    let conf = ImapdConf::load(&PathBuf::from(conf))?;
    let hints = AccountHints {
        environment_user: std::env::var("CYRUS_USER").ok(),
        environment_group: None,
    };
    StoreAccount::of_server(&conf, &hints)?.become_account()?;
    adopt_umask(&conf);
    let umask = conf.umask();
    let store = Store::open_with(conf, Duration::from_secs(30), &mut |_| {})?;
    let selection = Selection { mailboxes: vec![mailbox.clone()], ..Selection::default() };
    let entries = store.select(&selection)?;
    let targets =
        entries.into_iter().map(|entry| Target::listed(&store, entry)).collect::<Result<_, _>>();
    let targets: Vec<Target> = targets?;
    let root = targets.first().context("no such mailbox")?.recovery.clone();
    let options = Options {
        prune: (work == "prune").then(PrunePolicy::default),
        jobs: 1,
        ..Options::default()
    };
    let site = Site::of(&store);
    let exchanges = end.strip_prefix("unsupported:").is_none();
    let end = End::parse(end.strip_prefix("unsupported:").unwrap_or(end))?;
    let workshop = Workshop::new(hooked(end, exchanges), run, umask);
    let run = Run::new(&options, &site, &PrintReport);
    let summary = match work.split_once('=') {
        Some(("undo", earlier)) => run.undo(&targets, earlier, IfChanged::Refuse, &workshop),
        Some(("merge", earlier)) => run.undo(&targets, earlier, IfChanged::Merge, &workshop),
        _ => run.repair(&targets, &workshop, &Progress::new(&root)),
    };
    Ok(ExitCode::from(summary.exit_status()))
}

struct PrintReport;

impl Observer for PrintReport {
    fn finished(&self, report: &MailboxReport) {
        match serde_json::to_string(report) {
            Ok(report) => println!("{report}"),
            Err(error) => println!("no report: {error}"),
        }
    }
}
