//! What the command does with its arguments. Everything that matters is in the library.

mod args;
mod imap;
mod imap_args;
mod output;
mod raise;
mod report;
mod store;
mod undo;
mod watch;

use std::sync::Arc;

use anyhow::{Result, ensure};
use command_line::{named_store, stop_on_signals};
use incident::{Incident, RunStart, StoreBinding};
use mailstore::replace::FileOps;
use mailstore::stop::Stop;
use reconstruct::Memory;
use redeliver::{Desk, Spool, SpoolSettings, Transport as _};

pub(crate) use args::Args;
use args::{Command, DeliverArgs, Via};
use output::Output;
use store::Opened;

/// Does what was asked for. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        None => deliver(&args.deliver),
        Some(Command::Undo(args)) => undo::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::RaiseUidnext(args)) => raise::run(args),
    }
}

fn deliver(args: &DeliverArgs) -> Result<u8> {
    let named = named_store(&args.store.to, args.store.stores.as_deref())?;
    if args.via(&named) == Via::Imap {
        return imap::deliver(args, &named);
    }
    args.require_no_other_folders()?;
    ensure!(!args.imap.is_named(), "options of a delivery over IMAP are named, but not --via imap");
    // Before there is another thread. A dry run can be cut off anywhere.
    let stop = if args.dry_run { Stop::default() } else { stop_on_signals()? };
    let output = Output::new(args.output, args.dry_run);
    let Opened { store, targets, site, settings } = store::open(&args.store, &output)?;
    let conf = store.conf().clone();
    args.require_latency_can_be_told(&conf)?;
    let incident = Arc::new(Incident::open(args.store.incident()?)?);
    let binding = StoreBinding::of(&conf)?;
    let choice = args.choice(Via::Spool);
    let beyond = choice.beyond_restored();
    let mailboxes = incident.mailboxes_with_gaps(incident.store(&binding)?, beyond)?;
    let mailboxes = store::chosen(mailboxes, &targets, &args.store);
    let umask = conf.umask();
    let tools = store::tools(&store, &args.after, &incident)?;
    let spool = Spool::new(SpoolSettings {
        options: settings,
        site,
        targets,
        umask,
        at_once: args.at_once,
        manners: args.manners(stop),
        quotas: args.quotas(&conf)?,
    });
    if args.dry_run {
        let desk = Desk::dry(&incident, &choice, spool.name());
        spool.survey(&desk, &mailboxes, &output);
        return output.end(None, Some(&tools));
    }
    let start = begun("redeliver");
    let aftercare = store::aftercare(&store, &args.after, &tools, args.store.lock_timeout())?;
    let memory = Memory::begin(Arc::clone(&incident), &binding, &start)?;
    let desk = Desk::of_run(&incident, &choice, spool.name(), memory.run());
    let spool = spool.with_aftercare(aftercare).as_run(start, memory, FileOps::new());
    let run = spool.deliver(&desk, &mailboxes, &output);
    output.end(run, Some(&tools))
}

/// How a run begins.
fn begun(tool: &str) -> RunStart {
    let (name, arguments) = (command_line::new_run_name(), command_line::arguments());
    RunStart::now(name, tool, env!("CARGO_PKG_VERSION"), arguments)
}
