//! What the command does with its arguments. Everything that matters is in the library.

mod args;
mod deliver;
mod output;
mod snapshot;
mod stores;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use gapfill::{Devices, LiveStore, Memory, Options, Run, Source, Stage};
use incident::{Incident, RunStart};
use rayon::prelude::*;

pub(crate) use args::Args;
use args::Command;
use output::Output;

/// Does what was asked for. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        None => compare(args),
        Some(Command::Snapshot(args)) => snapshot::run(args),
    }
}

fn compare(args: &Args) -> Result<u8> {
    let output = Output::new(args.output, args.by_user);
    let named = stores::named(&args.to, args.stores.as_deref())?;
    if args.deliver {
        deliver::check(&named)?;
    }
    stores::become_account(&named)?;
    let open =
        |named| stores::open(named, args.lock_timeout(), &mut |wait| output.waiting_for(wait));
    let lives = named.into_iter().map(open).collect::<Result<Vec<_>>>()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads(args)).build();
    let pool = pool.context("cannot start threads")?;
    let sources = pool.install(|| open_sources(args, &lives))?;
    for source in &sources {
        output.source(source);
    }
    let options = options(args, &lives);
    let stage = args.stage.as_deref().map(Stage::open).transpose()?;
    let incident = args.incident.as_deref().map(Incident::open).transpose()?;
    let memory = incident.map(|incident| Memory::begin(incident, &lives, &begin())).transpose()?;
    let started = Instant::now();
    let mut run = Run::new(&sources, &lives, &options, &output);
    if let Some(memory) = &memory {
        run = run.remembered_by(memory);
    }
    if let Some(stage) = &stage {
        run = run.staged_in(stage);
    }
    let summary = pool.install(|| run.compare());
    output.end();
    let summary = summary?;
    if let Some(memory) = &memory {
        memory.end(&summary, started.elapsed())?;
    }
    output.summary(&summary, memory.is_some());
    output.finish()?;
    let status = summary.exit_status();
    match args.incident.as_deref().filter(|_| args.deliver) {
        Some(incident) => deliver::hand_over(args, incident, status),
        None => Ok(status),
    }
}

/// As many as may read at a time, of all devices together.
fn threads(args: &Args) -> usize {
    let device = |path: &PathBuf| Some(path.metadata().ok()?.dev());
    let devices: BTreeSet<u64> = args.from.iter().filter_map(device).collect();
    args.jobs().get().saturating_mul(devices.len().max(1))
}

fn open_sources(args: &Args, lives: &[LiveStore]) -> Result<Vec<Source>> {
    let prefix = lives.first().map_or(&b"DELETED"[..], |live| live.namespace().deleted_prefix());
    let devices = Devices::new(args.jobs(), command_line::rate_of(&args.rate));
    let open = |path: &PathBuf| {
        let path = path.canonicalize().with_context(|| format!("no source {}", path.display()))?;
        let source = Source::open(&path, prefix, &devices)
            .map_err(|source| gapfill::Error::Source { path: path.clone(), source })?;
        Ok(source)
    };
    args.from.par_iter().map(open).collect()
}

fn options(args: &Args, lives: &[LiveStore]) -> Options {
    let owner = |user: &String| {
        let namespace = lives.first().map(LiveStore::namespace);
        namespace.map_or_else(|| user.clone().into_bytes(), |names| names.parse_userid(user))
    };
    Options {
        paranoid: args.paranoid,
        ambiguous: args.ambiguous.into(),
        retry_bad: args.retry_bad,
        owners: args.user.iter().map(owner).collect(),
    }
}

/// How the run begins.
fn begin() -> RunStart {
    let (name, arguments) = (command_line::new_run_name(), command_line::arguments());
    RunStart::now(name, "gapfill", env!("CARGO_PKG_VERSION"), arguments)
}
