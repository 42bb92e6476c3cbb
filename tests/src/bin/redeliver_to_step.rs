//! Delivers as `redeliver` does, through the public library alone, up to a chosen step of
//! [`mailstore::replace::FileOps`], where it kills itself or lets the step fail.
//!
//! `redeliver_to_step IMAPD_CONF INCIDENT MAILBOX RUN END`, where END is as that of `repair_to_step`
//! ([`End::parse`]). Prints each step that it comes to, and the mailbox's report as JSON in the last
//! line.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use incident::{Incident, RunStart, StoreBinding};
use mailstore::config::ImapdConf;
use mailstore::identity::{AccountHints, StoreAccount, adopt_umask};
use mailstore::store::{Selection, Store};
use mailstore_tests::interruption::{End, hooked};
use reconstruct::{FollowUp, Memory, Options, Site, Target};
use redeliver::{
    Choice, Desk, Listener, MailboxReport, Manners, Spool, SpoolSettings, Transport as _,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [conf, incident, mailbox, run, end] = arguments.as_slice() else {
        bail!("usage: redeliver_to_step IMAPD_CONF INCIDENT MAILBOX RUN END");
    };
    let conf = ImapdConf::load(&PathBuf::from(conf))?;
    let hints = AccountHints {
        environment_user: std::env::var("CYRUS_USER").ok(),
        environment_group: None,
    };
    StoreAccount::of_server(&conf, &hints)?.become_account()?;
    adopt_umask(&conf);
    let (umask, binding) = (conf.umask(), StoreBinding::of(&conf)?);
    let store = Store::open_with(conf, Duration::from_secs(30), &mut |_| {})?;
    let selection = Selection { mailboxes: vec![mailbox.clone()], ..Selection::default() };
    let targets = store.select(&selection)?.into_iter().map(|entry| Target::listed(&store, entry));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let incident = Arc::new(Incident::open(&PathBuf::from(incident))?);
    let mut mailboxes = incident.mailboxes_with_gaps(incident.store(&binding)?, &[])?;
    mailboxes.retain(|with_gaps| with_gaps.mailbox.name == *mailbox);
    let start = RunStart::now(run.clone(), "redeliver", "0", Vec::new());
    let memory = Memory::begin(Arc::clone(&incident), &binding, &start)?;
    let choice = Choice::default();
    let desk = Desk::of_run(&incident, &choice, Spool::NAME, memory.run());
    let options = Options { jobs: 1, ..Options::default() };
    // In two portions: what is cut short between them is a case of its own.
    let at_once = NonZeroUsize::new(3).context("no number")?;
    let (site, manners) = (Site::of(&store), Manners::default());
    let quotas = None;
    let settings = SpoolSettings { options, site, targets, umask, at_once, manners, quotas };
    let ops = hooked(End::parse(end)?, true);
    Spool::new(settings).as_run(start, memory, ops).deliver(&desk, &mailboxes, &PrintReport);
    Ok(())
}

struct PrintReport;

impl Listener for PrintReport {
    fn finished(&self, report: &MailboxReport) {
        match serde_json::to_string(report) {
            Ok(report) => println!("{report}"),
            Err(error) => println!("no report: {error}"),
        }
    }

    fn failed(&self, _: &str, _: Option<&FollowUp>) {}
}
