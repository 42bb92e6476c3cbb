//! The command line: what clap reads, and its translation into validated values.

use std::path::PathBuf;
use std::time::Duration;

use super::triage::TriageArgs;
use super::undo::UndoArgs;
use clap::{ArgAction, ArgGroup, Parser, Subcommand, ValueEnum};
use incident::INCIDENT_VARIABLE;
use mailstore::store::Selection;
use reconstruct::{Check, DialectChoice, Options, PrunePolicy};

/// Rebuild the index and cache of Cyrus IMAP mailboxes from their message files.
///
/// Nothing that is known is lost: UIDs, flags, keywords, dates and modseqs of every intact record
/// stay, no message file is deleted, and what is replaced is kept under .mailstore-recovery/ at the
/// root of the same partition. Safe beside a running server; safe to interrupt; a second run
/// finishes what the first began.
#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(name = "reconstruct", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group(ArgGroup::new("mailboxes").required(true).args(["mailbox", "user", "all", "path", "apply"]).multiple(false)))]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// One mailbox directory, without any server configuration; writes only with --offline
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,

    /// With --path: no server runs on this directory, it may be written
    #[arg(long, requires = "path", conflicts_with_all = ["mailbox", "user", "all"])]
    pub(crate) offline: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Say what would be done; change nothing, create no file
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// With -n: save the plans to this new file, to be reviewed and applied (docs/json.md)
    #[arg(long, value_name = "FILE", requires = "dry_run", conflicts_with = "path")]
    pub(crate) plan: Option<PathBuf>,

    /// Apply saved plans, each mailbox only where it is still what it was; lines of mailboxes may be
    /// taken out of the file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check", "cache_dialect", "prune", "resume"])]
    pub(crate) apply: Option<PathBuf>,

    /// How closely to look: stat believes a record whose CRC, cache CRC and file size agree; full
    /// reads every message
    #[arg(long, value_enum, default_value_t = CheckArg::Stat, value_name = "LEVEL")]
    pub(crate) check: CheckArg,

    /// As which release's server to make new cache records; auto: as the store's own server does,
    /// which its records tell
    #[arg(long, value_enum, default_value_t = CacheDialectArg::Auto, value_name = "RELEASE")]
    pub(crate) cache_dialect: CacheDialectArg,

    /// Threads that read messages [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,

    /// Expunge records whose message is proved absent; each is first written whole to the run's
    /// journal and comes back when its file does
    #[arg(long)]
    pub(crate) prune: bool,

    /// Refuse to prune more than this share of a mailbox, and of all mailboxes together
    /// [default: 1 of a mailbox, but 10 messages are always allowed; 0.1 of all, but 100 are]
    #[arg(long, value_name = "PERCENT", requires = "prune", value_parser = percent)]
    pub(crate) max_prune: Option<f64>,

    /// Prune although the store is replicated: the prune will travel to the replica
    #[arg(long, requires = "prune")]
    pub(crate) even_on_replica: bool,

    /// Go on with an interrupted run; mailboxes it had finished are not done again
    #[arg(long, value_name = "RUN", conflicts_with = "dry_run")]
    pub(crate) resume: Option<String>,

    /// The directory of Cyrus's own tools: after repairs they bring quotas, conversations and the
    /// status cache in step; without it the commands are printed
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    pub(crate) cyrus_bin: Option<PathBuf>,

    /// Tell this channel of the sync log of every repaired mailbox (replication; the search
    /// indexer's is squatter); repeatable; '' is the channel without a name
    #[arg(long, value_name = "CHANNEL", conflicts_with = "path")]
    pub(crate) sync_log: Vec<String>,

    /// The directory of the incident that remembers what this run finds, keeps and misses
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE, conflicts_with = "path")]
    pub(crate) incident: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How much is told, and how.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// One JSON object a line on stdout (docs/json.md)
    #[arg(long)]
    pub(crate) json: bool,

    /// Tell every finding and note; twice: every mailbox too
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Only errors and the exit status
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// What else the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Triage(TriageArgs),
    Undo(UndoArgs),
}

/// Which mailboxes of a store.
#[derive(Debug, clap::Args)]
pub(crate) struct SelectionArgs {
    /// Mailbox to work on, as user.alice, user/alice or user/alice@example.com; repeatable;
    /// * and % are wildcards
    #[arg(long, value_name = "NAME")]
    pub(crate) mailbox: Vec<String>,

    /// Every mailbox of this user; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) user: Vec<String>,

    /// Every mailbox of the store
    #[arg(long)]
    pub(crate) all: bool,

    /// Also the mailboxes below those named
    #[arg(short, long, requires = "mailbox")]
    pub(crate) recursive: bool,
}

/// The server whose store it is.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server's configuration
    #[arg(short = 'C', long, value_name = "FILE", default_value = "/etc/imapd.conf")]
    pub(crate) config: PathBuf,

    /// Seconds to wait for the locks of a mailbox or a database
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) lock_timeout: u64,
}

const AFTER_HELP: &str = "\
Examples:
  reconstruct -n --user alice              what is wrong with alice's mailboxes?
  reconstruct --mailbox user.alice -r      repair her INBOX and everything below it
  reconstruct --all --check full --json    read every message of the store
  reconstruct -n --path /mnt/rescued/a/user/alice
  reconstruct triage --all                 who is hit, how badly, how long will it take?
  reconstruct -n --all --plan plans.jsonl  what would be done? to be reviewed, and then
  reconstruct --apply plans.jsonl          done, where nothing has changed since
  reconstruct undo 20261121T081405Z-32562  put back what that run did

Exit status:
  0  every mailbox is now sound
  1  damage was found and is left: a dry run, missing messages, things not repairable
  2  could not run: usage, configuration, a lock, an I/O error";

/// How closely messages are looked at.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CheckArg {
    Stat,
    Full,
}

/// As which server new cache records are made.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CacheDialectArg {
    Auto,
    #[value(name = "3.6")]
    Cyrus36,
    #[value(name = "3.13")]
    Cyrus313,
}

impl From<CacheDialectArg> for DialectChoice {
    fn from(argument: CacheDialectArg) -> Self {
        match argument {
            CacheDialectArg::Auto => Self::Auto,
            CacheDialectArg::Cyrus36 => Self::Cyrus36,
            CacheDialectArg::Cyrus313 => Self::Cyrus313,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("a share between 0 and 100".to_owned()),
    }
}

impl Args {
    fn prune_policy(&self) -> PrunePolicy {
        let defaults = PrunePolicy::default();
        PrunePolicy {
            max_percent: self.max_prune.unwrap_or(defaults.max_percent),
            max_percent_of_run: self.max_prune.unwrap_or(defaults.max_percent_of_run),
            even_on_replica: self.even_on_replica,
        }
    }

    /// The settings of the run.
    pub(crate) fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            check: match self.check {
                CheckArg::Stat => Check::Stat,
                CheckArg::Full => Check::Full,
            },
            prune: self.prune.then(|| self.prune_policy()),
            cache_dialect: self.cache_dialect.into(),
            lock_timeout: self.server.lock_timeout(),
            jobs: self.jobs.map_or(defaults.jobs, usize::from),
        }
    }
}

impl ServerArgs {
    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }
}

impl From<&SelectionArgs> for Selection {
    fn from(args: &SelectionArgs) -> Self {
        Self {
            mailboxes: args.mailbox.clone(),
            users: args.user.clone(),
            all: args.all,
            recursive: args.recursive,
        }
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
    fn one_selection_is_needed_and_only_one() {
        assert!(Args::try_parse_from(["reconstruct"]).is_err());
        assert!(Args::try_parse_from(["reconstruct", "--all", "--user", "alice"]).is_err());
        let args = ["reconstruct", "--mailbox", "user.a", "--mailbox", "user.b", "-n"];
        assert_eq!(Args::try_parse_from(args).unwrap().selection.mailbox.len(), 2);
    }
}
