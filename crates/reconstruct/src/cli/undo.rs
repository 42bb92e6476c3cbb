//! `reconstruct undo`: the mailboxes of a run as they were before it.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use incident::{INCIDENT_VARIABLE, Incident, StoreBinding};
use mailstore::config::ImapdConf;
use mailstore::replace::FileOps;
use mailstore::store::Selection;
use reconstruct::undo::{IfChanged, runs_of};
use reconstruct::{MailboxReport, Memory, Observer as _, Options, Run, Site, Target, Workshop};

use super::args::{OutputArgs, SelectionArgs, ServerArgs};
use super::output::Output;
use super::{DEFAULT_UMASK, store};

/// Put back what a run did: every name it changed belongs again to what had it, with the same
/// bytes and times.
///
/// A mailbox that was changed since is refused: messages came, flags were set, another run repaired
/// it. Nothing is deleted: what the run had made stays in its folder under .mailstore-recovery/.
/// Safe beside a running server; safe to interrupt; the same command finishes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reconstruct undo 20261121T081405Z-32562 -n      what would be undone?
  reconstruct undo 20261121T081405Z-32562         every mailbox of that run
  reconstruct undo 20261121T081405Z-32562 --user alice
  reconstruct undo 20261121T081405Z-32562 --merge  also where mail came since

Exit status:
  0  every mailbox of the run is as it was before
  1  some were changed since, and were left as they are; or a dry run
  2  could not run: usage, configuration, a lock, an I/O error")]
pub(crate) struct UndoArgs {
    /// The run: it is named where it ends, and is a directory under .mailstore-recovery/
    #[arg(value_name = "RUN")]
    run: String,

    #[command(flatten)]
    selection: SelectionArgs,

    /// One mailbox directory, without any server configuration, on which no server runs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mailbox", "user", "all"])]
    path: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArgs,

    /// Where a mailbox was changed since, undo what nobody touched and keep all that came; that is a
    /// run of its own, which can be undone
    #[arg(long)]
    merge: bool,

    /// Say what would be done; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// The directory of the incident that remembers the run
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE, conflicts_with = "path")]
    incident: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &UndoArgs) -> Result<u8> {
    let output = Output::new(args.output, args.dry_run).of_undo();
    if args.run.is_empty() || args.run.contains('/') || args.run.starts_with('.') {
        bail!("'{}' is no run's name", args.run);
    }
    let Chosen { targets, misplaced, site, conf, umask } = chosen(args, &output)?;
    let changed: Vec<Target> = Run::changed_by(&targets, &args.run).into_iter().cloned().collect();
    if changed.is_empty() {
        return Err(no_such_run(&args.run, &targets));
    }
    let options = Options { lock_timeout: args.server.lock_timeout(), ..Options::default() };
    let mut run = Run::new(&options, &site, &output);
    if let (Some(directory), Some(conf)) = (&args.incident, &conf) {
        let incident = Incident::open(directory)?;
        let memory = Memory::of_run(incident, &StoreBinding::of(conf)?, &args.run)?;
        run = memory.into_iter().fold(run, Run::with_memory);
    }
    let if_changed = if args.merge { IfChanged::Merge } else { IfChanged::Refuse };
    let mut summary = if args.dry_run {
        run.survey_undo(&changed, &args.run, if_changed)
    } else {
        let name = command_line::new_run_name();
        let run = run.with_start(super::begun("reconstruct undo", &name));
        let workshop = Workshop::new(FileOps::new(), name, umask);
        run.undo(&changed, &args.run, if_changed, &workshop)
    };
    for report in &misplaced {
        output.finished(report);
        summary.add(report);
    }
    output.summary(&summary, None);
    output.finish()?;
    Ok(summary.exit_status())
}

/// The mailboxes among which those of the run are.
struct Chosen {
    targets: Vec<Target>,
    misplaced: Vec<MailboxReport>,
    site: Site,
    conf: Option<ImapdConf>,
    umask: u32,
}

fn chosen(args: &UndoArgs, output: &Output) -> Result<Chosen> {
    if let Some(directory) = &args.path {
        let directory = super::own_directory(directory, args.dry_run)?;
        let targets = vec![Target::in_directory(&directory)];
        let (misplaced, site) = (Vec::new(), Site::none());
        return Ok(Chosen { targets, misplaced, site, conf: None, umask: DEFAULT_UMASK });
    }
    let store = store::open(&args.server, &mut |wait| output.waiting_for_database(wait))?;
    let mut selection = Selection::from(&args.selection);
    selection.all |= selection.mailboxes.is_empty() && selection.users.is_empty();
    let (targets, misplaced) = store::targets(&store, &selection)?;
    let (site, conf) = (Site::of(&store), store.conf().clone());
    let umask = conf.umask();
    Ok(Chosen { targets, misplaced, site, conf: Some(conf), umask })
}

fn no_such_run(name: &str, targets: &[Target]) -> anyhow::Error {
    match runs_of(targets).as_slice() {
        [] => anyhow!("no run left anything about these mailboxes: there is nothing to undo"),
        [.., last] => {
            anyhow!("run '{name}' changed none of these mailboxes; the last one there is {last}")
        }
    }
}
