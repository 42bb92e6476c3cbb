//! What the command does with its arguments. Everything that matters is in the library.

mod close;
mod export;
mod new;
mod purge;
mod rebuild;
mod show;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use incident::{INCIDENT_VARIABLE, Incident};
use mailstore::identity::StoreAccount;

/// The memory of an outage: what was run, what is wanted, what was found and put away.
///
/// An incident is a directory with one SQLite database. Tools that are given it (--incident DIR, or
/// $MAILSTORE_INCIDENT) remember there what they did and what they missed, for the tools that come
/// after them. Make one before you begin.
#[derive(Debug, Parser)]
#[command(name = "incident", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Show(show::Show),
    Export(export::Export),
    Rebuild(rebuild::Rebuild),
    Close(close::Close),
    Purge(purge::Purge),
}

const AFTER_HELP: &str = "\
Examples:
  incident new /srv/outage --note 'controller of slot 3 died'
  export MAILSTORE_INCIDENT=/srv/outage
  incident show
  incident export --json > outage.jsonl
  incident close && incident purge /srv/outage --older-than 90d --yes

Exit status:
  0  done
  1  done in part: purge without --yes, or with files that are not its own; rebuild with lines or
     places that could not be read
  2  could not do it: usage, no such incident, a store that is not its own, an I/O error";

/// Which incident.
#[derive(Debug, clap::Args)]
struct Which {
    /// The incident's directory [default: $MAILSTORE_INCIDENT]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Does what was asked for. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        Command::New(new) => new.run(),
        Command::Show(show) => show.run(),
        Command::Export(export) => export.run(),
        Command::Rebuild(rebuild) => rebuild.run(),
        Command::Close(close) => close.run(),
        Command::Purge(purge) => purge.run(),
    }
}

impl Which {
    fn directory(&self) -> Result<PathBuf> {
        let named = self.directory.clone().or_else(|| {
            let variable = std::env::var_os(INCIDENT_VARIABLE)?;
            (!variable.is_empty()).then(|| PathBuf::from(variable))
        });
        named.with_context(|| format!("name the incident's directory, or set ${INCIDENT_VARIABLE}"))
    }

    /// Opens it, as its owner.
    fn open(&self) -> Result<Incident> {
        let directory = self.directory()?;
        become_owner(&directory)?;
        Ok(Incident::open(&directory)?)
    }
}

/// Makes this process the owner of the directory, where it is root. Whoever else it is, the library
/// will refuse what is not theirs.
fn become_owner(directory: &Path) -> Result<()> {
    let is_directory = directory.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    if is_directory && rustix::process::geteuid().is_root() {
        StoreAccount::owner_of(directory)?.become_account()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
