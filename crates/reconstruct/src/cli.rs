//! What the command does with its arguments. Everything that matters is in the library.

mod args;
mod output;
mod plans;
mod store;
mod triage;
mod undo;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use command_line::new_run_name;
use incident::{Incident, RunStart, StoreBinding};
use mailstore::config::ImapdConf;
use mailstore::identity::StoreAccount;
use mailstore::replace::FileOps;
use mailstore::store::Selection;
use mailstore::sync_log::SyncLog;
use reconstruct::{
    Aftercare, MailboxReport, Memory, Observer, Progress, RECOVERY_DIRECTORY, Run, ServerTools,
    Site, Summary, Target, Workshop,
};

pub(crate) use args::Args;
use args::Command;
use output::Output;

/// The umask where no configuration tells one.
const DEFAULT_UMASK: u32 = 0o077;

/// Does what was asked for. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        None => reconstruct(args),
        Some(Command::Triage(args)) => triage::run(args),
        Some(Command::Undo(args)) => undo::run(args),
    }
}

fn reconstruct(args: &Args) -> Result<u8> {
    let output = Output::new(args.output, args.dry_run);
    // Before the process becomes the server's account: the files are the operator's.
    let new_plans = args.plan.as_deref().map(plans::create).transpose()?;
    let saved = args.apply.as_deref().map(plans::read).transpose()?;
    let mut work = match &args.path {
        Some(directory) => Work::on_directory(args, directory)?,
        None => Work::on_store(args, saved.is_some(), &output)?,
    };
    let mut options = args.options();
    if let Some(saved) = &saved {
        options = saved.options(&options);
        plans::choose(saved, args, &mut work)?;
    }
    let name = args.resume.clone().unwrap_or_else(new_run_name);
    let incident = args.incident.as_deref().map(Incident::open).transpose()?;
    let dumps = work.dumps(incident.as_ref(), &name)?;
    let tools = work.conf.as_ref();
    let tools = tools.map(|conf| ServerTools::new(conf, args.cyrus_bin.clone(), dumps));
    let run = Run::new(&options, &work.site, &output);
    let mut summary = if let Some(file) = new_plans {
        plans::save(file, args, &options, &run, &work)?
    } else if saved.is_none() && (args.dry_run || (args.path.is_some() && !args.offline)) {
        run.survey(&work.targets)
    } else {
        let start = begun("reconstruct", &name);
        let mut run = run.with_aftercare(work.aftercare(args, tools.clone())?);
        if let (Some(incident), Some(conf)) = (incident, &work.conf) {
            let store = StoreBinding::of(conf)?;
            run = run.with_memory(Memory::begin(incident, &store, &start)?);
        }
        let run = run.with_start(start);
        match &saved {
            Some(saved) => {
                let workshop = Workshop::new(FileOps::new(), name, work.umask);
                run.apply(&work.targets, saved, &workshop)
            }
            None => repair(args, &run, &work, &output, name)?,
        }
    };
    for report in &work.misplaced {
        output.finished(report);
        summary.add(report);
    }
    summary.list_damage = work.list_damage;
    output.summary(&summary, tools.as_ref());
    output.finish()?;
    Ok(summary.exit_status())
}

/// What there is to work on.
struct Work {
    site: Site,
    /// Where each mailbox of the store would have its `cyrus.expunge`; asked only by the server's
    /// tools.
    expunge_files: Vec<PathBuf>,
    /// The server's configuration, where there is a server.
    conf: Option<ImapdConf>,
    targets: Vec<Target>,
    /// Mailboxes of which nothing tells where they lie.
    misplaced: Vec<MailboxReport>,
    umask: u32,
    /// Faults in mailboxes.db.
    list_damage: u64,
    /// The partition, the default one where there is one, at whose root the run keeps its list of finished mailboxes.
    root: PathBuf,
}

impl Work {
    fn on_directory(args: &Args, directory: &Path) -> Result<Self> {
        if directory.is_dir() && !args.dry_run && !args.offline {
            bail!(
                "{} is only written with --offline, which says that no server runs on it; \
                 use -n to look at it",
                directory.display()
            );
        }
        let directory = own_directory(directory, args.dry_run)?;
        let target = Target::in_directory(&directory);
        let root = target.recovery.clone();
        Ok(Self {
            site: Site::none(),
            expunge_files: Vec::new(),
            conf: None,
            targets: vec![target],
            misplaced: Vec::new(),
            umask: DEFAULT_UMASK,
            list_damage: 0,
            root,
        })
    }

    fn on_store(args: &Args, every_mailbox: bool, output: &Output) -> Result<Self> {
        let store = store::open(&args.server, &mut |wait| output.waiting_for_database(wait))?;
        let umask = store.conf().umask();
        output.list_damage(store.list_damage());
        let mut selection = Selection::from(&args.selection);
        selection.all |= every_mailbox;
        let (targets, misplaced) = store::targets(&store, &selection)?;
        let root = store.conf().default_partition();
        let root = root.and_then(|name| store.conf().partition(&name)).map(|found| found.data);
        let first = || targets.first().map(|target| target.recovery.clone());
        let root = root.or_else(first).unwrap_or_default();
        let list_damage = u64::try_from(store.list_damage().len()).unwrap_or(u64::MAX);
        let (site, conf) = (Site::of(&store), Some(store.conf().clone()));
        let (site, expunge_files) = match &args.cyrus_bin {
            Some(bin) => (site.asking_tools(bin), store.expunge_files()),
            None => (site, Vec::new()),
        };
        Ok(Self { site, expunge_files, conf, targets, misplaced, umask, list_damage, root })
    }

    /// Where databases are dumped before they are rebuilt: in the incident, else in the run's folder.
    fn dumps(&self, incident: Option<&Incident>, run: &str) -> Result<PathBuf> {
        Ok(match incident {
            Some(incident) => incident.files()?.join(run),
            None => self.root.join(RECOVERY_DIRECTORY).join(run).join("conversations"),
        })
    }

    fn aftercare(&self, args: &Args, tools: Option<ServerTools>) -> Result<Aftercare> {
        let (Some(conf), Some(tools)) = (&self.conf, tools) else { return Ok(Aftercare::none()) };
        let logs = args.sync_log.iter();
        let logs = logs.map(|channel| SyncLog::of(conf.config_directory(), channel));
        let timeout = args.options().lock_timeout;
        let aftercare = Aftercare::new(tools, logs.collect::<Result<_, _>>()?, timeout);
        Ok(aftercare.held_back_by(self.expunge_files.clone()))
    }
}

/// The mailbox directory that was named. To write there, the process becomes its owner's.
fn own_directory(directory: &Path, only_to_look: bool) -> Result<PathBuf> {
    if !directory.is_dir() {
        bail!("{} is no directory: name a mailbox's directory", directory.display());
    }
    if !only_to_look {
        StoreAccount::owner_of(directory)?.become_account()?;
    }
    directory.canonicalize().with_context(|| format!("cannot use {}", directory.display()))
}

fn repair(
    args: &Args,
    run: &Run<'_>,
    work: &Work,
    output: &Output,
    name: String,
) -> Result<Summary> {
    let progress = match &args.resume {
        None => Progress::new(&work.root),
        Some(name) => {
            Progress::resume(&work.root, name).map_err(|_| no_such_run(name, &work.root))?
        }
    };
    if work.targets.len() > 1 {
        output.run_begins(&name);
    }
    let workshop = Workshop::new(FileOps::new(), name, work.umask);
    Ok(run.repair(&work.targets, &workshop, &progress))
}

fn no_such_run(name: &str, root: &Path) -> anyhow::Error {
    let root_shown = root.display();
    match Progress::resumable(root).as_slice() {
        [] => anyhow!("no run under {root_shown} can be resumed: begin anew, without --resume"),
        [.., last] => anyhow!(
            "there is no run '{name}' to resume under {root_shown}; the last one there is {last}"
        ),
    }
}

/// How the run of this name begins.
fn begun(tool: &str, name: &str) -> RunStart {
    let arguments = command_line::arguments();
    RunStart::now(name.to_owned(), tool, env!("CARGO_PKG_VERSION"), arguments)
}
