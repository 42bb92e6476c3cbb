//! The command line: what clap reads, and its translation into validated values.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::snapshot::SnapshotArgs;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use command_line::Limit;
use gapfill::Ambiguous;
use incident::INCIDENT_VARIABLE;

/// Find what a rescued volume, a replica or a backup has and the live store lacks.
///
/// Sources are only read: no file of theirs is changed, no link in them is followed. Live stores are
/// read under the server's own locks. What is missing goes into the incident, from where it can be
/// delivered; what is deleted stays deleted wherever any tombstone says so.
#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(name = "gapfill", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// A tree that may have mail: a server's, a spool, a mailbox directory, lost+found, a Maildir,
    /// plain files; repeatable
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) from: Vec<PathBuf>,

    /// The live store: a server's configuration, a name of the stores file, or a snapshot that was
    /// made on another machine; repeatable
    #[arg(long, value_name = "STORE", required = true)]
    pub(crate) to: Vec<PathBuf>,

    /// The file that names the stores [default: /etc/mailstore-recovery/stores.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) stores: Option<PathBuf>,

    /// Only the mailboxes of this user; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) user: Vec<String>,

    /// Read and hash every file of the sources, also those whose index record is intact
    #[arg(long)]
    pub(crate) paranoid: bool,

    /// Messages that may have been deleted and forgotten: restore them, marked; or only tell of them
    #[arg(long, value_enum, default_value_t = AmbiguousArg::Restore, value_name = "WHAT")]
    pub(crate) ambiguous: AmbiguousArg,

    /// Read once more, after the rest, what could not be read
    #[arg(long)]
    pub(crate) retry_bad: bool,

    /// Put a verified copy of each message that is to be restored into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) stage: Option<PathBuf>,

    /// The directory of the incident that remembers the gaps
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE)]
    pub(crate) incident: Option<PathBuf>,

    /// Have redeliver put back what is missing, from the staged copies, as soon as all is compared
    #[arg(long, requires = "incident", requires = "stage")]
    pub(crate) deliver: bool,

    /// So many read at a time of each device that sources lie on [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,

    /// Read no more of each device than so many files (50/s) or bytes (5MB/s) a second; repeatable,
    /// for both
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Vec<Limit>,

    /// Seconds to wait for the locks of a live mailbox or database
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) lock_timeout: u64,

    /// A line for each user
    #[arg(long)]
    pub(crate) by_user: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What else the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Snapshot(SnapshotArgs),
}

/// How much is told, and how.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// One JSON object a line on stdout (docs/json.md)
    #[arg(long)]
    pub(crate) json: bool,

    /// Tell every message that is missing, and every entry that was passed over
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Only errors and the exit status
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

const AFTER_HELP: &str = "\
Examples:
  gapfill --from /mnt/rescued --to /etc/imapd.conf
  gapfill --from /mnt/rescued --from /mnt/backup --to store7 --by-user
  gapfill --from /mnt/rescued/lost+found --to store7 --incident /srv/outage --stage /srv/stage
  gapfill --from /mnt/rescued --to store7 --incident /srv/outage --stage /srv/stage --deliver
  gapfill --from /mnt/dying --to store7 --jobs 1 --rate 50/s --rate 5MB/s --stage /srv/stage
  gapfill snapshot -C /etc/imapd.conf > store7.snapshot     on the machine of store7, and here
  gapfill --from /mnt/rescued --to store7.snapshot

Exit status:
  0  the live store lacks nothing, or nothing any more (--deliver)
  1  it lacks something
  2  could not run, or not on some live mailbox: usage, configuration, a lock
  3  finished, but some of the sources could not be read";

/// What becomes of messages that may have been deleted and forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AmbiguousArg {
    Skip,
    Restore,
}

impl From<AmbiguousArg> for Ambiguous {
    fn from(arg: AmbiguousArg) -> Self {
        match arg {
            AmbiguousArg::Skip => Self::Skip,
            AmbiguousArg::Restore => Self::Restore,
        }
    }
}

impl Args {
    /// How many read of one device at a time.
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        let given = self.jobs.and_then(|jobs| NonZeroUsize::new(jobs.into()));
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        given.unwrap_or_else(cores)
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_source_and_a_store_are_needed_and_there_may_be_several() {
        assert!(Args::try_parse_from(["gapfill", "--from", "a"]).is_err());
        assert!(Args::try_parse_from(["gapfill", "--to", "a"]).is_err());
        let args = ["gapfill", "--from", "a", "--from", "b", "--to", "c", "--to", "d"];
        let args = Args::try_parse_from(args).unwrap();
        assert_eq!((args.from.len(), args.to.len()), (2, 2));
    }
}
