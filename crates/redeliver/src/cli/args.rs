//! The command line: what clap reads, and its translation into validated values.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use command_line::{Limit, NamedStore, duration_of, rate_of};
use incident::INCIDENT_VARIABLE;
use mailstore::config::{ImapdConf, Partition};
use mailstore::latency;
use mailstore::quota::Quotas;
use mailstore::stop::Stop;
use mailstore_format::header_file::remains::is_atom;
use redeliver::{Choice, DEFAULT_MARK, Manners, MissingMailbox, NearDuplicates, Tree};

use super::imap_args::ImapArgs;
use super::raise::RaiseArgs;
use super::report::ReportArgs;
use super::undo::UndoArgs;

/// Put recovered messages back into the mailboxes they were in, once, with new UIDs.
///
/// What is delivered are the gaps that gapfill wrote into the incident: same bytes, flags, keywords
/// and date. A message is never delivered twice, whatever interrupts a run: the same command again
/// finishes it. Safe beside a running server.
#[derive(Debug, Parser)]
#[command(name = "redeliver", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) deliver: DeliverArgs,
}

/// What else the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Undo(UndoArgs),
    Report(ReportArgs),
    RaiseUidnext(RaiseArgs),
}

/// A delivery.
#[derive(Debug, clap::Args)]
pub(crate) struct DeliverArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// The way into the store [default: spool; where its configuration is not on this machine
    /// and a server is named, imap]
    #[arg(long, value_enum, value_name = "WAY")]
    pub(crate) via: Option<Via>,

    /// Only gaps of this class, as gapfill names them; repeatable [default: all that are to be
    /// restored]
    #[arg(long, value_enum, value_name = "CLASS")]
    pub(crate) class: Vec<ClassArg>,

    /// Messages that come into a mailbox under one lock; the server waits for it meanwhile
    #[arg(long, value_name = "N", default_value = "5000")]
    pub(crate) at_once: NonZeroUsize,

    #[command(flatten)]
    manners: MannersArgs,

    /// Deliver again what was delivered before, is missed again and left no trace in its mailbox: its
    /// owner may have deleted it, so it gets the mark
    #[arg(long)]
    pub(crate) again: bool,

    /// What becomes of messages that differ from one that is there only in the trace of their way:
    /// flag delivers them with a keyword by which they can be told
    #[arg(long, value_enum, default_value_t = NearDuplicatesArg::Skip, value_name = "WHAT")]
    pub(crate) near_duplicates: NearDuplicatesArg,

    /// What becomes of messages that are over their owner's quota: allow delivers them all the same
    /// (over IMAP the server decides) [default: allow; over IMAP hold]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) over_quota: Option<OverQuotaArg>,

    /// What becomes of messages whose mailbox the store does not have [default: over IMAP create;
    /// else skip, as the spool cannot make mailboxes]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) missing_mailbox: Option<MissingMailboxArg>,

    /// Over IMAP: put everything under this tree of its owner instead of where it was, as in
    /// 'Recovered/{date}/{folder}': {folder} is the folder's own name, {date} the incident's day
    #[arg(long, value_name = "TREE", value_parser = Tree::parse)]
    pub(crate) into: Option<Tree>,

    /// The keyword that messages get whose owner may have deleted them; '' is none
    #[arg(long, value_name = "KEYWORD", default_value = DEFAULT_MARK, value_parser = keyword)]
    pub(crate) mark: String,

    /// Say what would be delivered; change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) after: AftercareArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    // Last: what follows would stand under its heading.
    #[command(flatten)]
    pub(crate) imap: ImapArgs,
}

/// The store, and which of its mailboxes.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The directory of the incident that has the gaps
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE)]
    incident: Option<PathBuf>,

    /// The live store: a server's configuration, or a name of the stores file
    #[arg(long, value_name = "STORE", default_value = "/etc/imapd.conf")]
    pub(crate) to: PathBuf,

    /// The file that names the stores [default: /etc/mailstore-recovery/stores.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) stores: Option<PathBuf>,

    /// Only the mailboxes of this user; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) user: Vec<String>,

    /// Only this mailbox; repeatable; * and % are wildcards
    #[arg(long, value_name = "NAME")]
    pub(crate) mailbox: Vec<String>,

    /// Threads [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,

    /// Seconds to wait for the locks of a mailbox or a database
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    lock_timeout: u64,
}

/// How considerate of the live server a delivery is.
#[derive(Debug, Clone, clap::Args)]
struct MannersArgs {
    /// Deliver no more than so many messages (50/s) or bytes (5MB/s) a second; repeatable, for both;
    /// by the spool what comes under one lock comes at once, and then nothing for as long as it takes
    #[arg(long, value_name = "RATE")]
    rate: Vec<Limit>,

    /// Wait while the server is slow: while it, or by the spool its disk, takes longer than this for
    /// next to nothing (500ms, 2s)
    #[arg(long, value_name = "TIME", value_parser = duration_of)]
    max_latency: Option<Duration>,
}

/// What is brought in step with the mailboxes.
#[derive(Debug, clap::Args)]
pub(crate) struct AftercareArgs {
    /// The directory of Cyrus's own tools: they bring quotas, conversations and the status cache in
    /// step afterwards; without it the commands are printed
    #[arg(long, value_name = "DIR")]
    pub(crate) cyrus_bin: Option<PathBuf>,

    /// Tell this channel of the sync log of every mailbox that was changed (replication; the search
    /// indexer's is squatter); repeatable; '' is the channel without a name
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) sync_log: Vec<String>,
}

/// How much is told, and how.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// One JSON object a line on stdout (docs/json.md)
    #[arg(long)]
    pub(crate) json: bool,

    /// Tell of every message
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Only errors and the exit status
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// A way into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Straight into its mailboxes, under its server's locks, whether that runs or not
    Spool,
    /// Over IMAP, into a server that runs
    Imap,
}

/// What becomes of near-duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NearDuplicatesArg {
    /// They are not delivered
    Skip,
    /// They are, as all others
    Deliver,
    /// They are, and can be told
    Flag,
}

/// What becomes of messages that are over quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverQuotaArg {
    /// They are delivered all the same
    Allow,
    /// They wait until there is room
    Hold,
}

/// What becomes of messages whose mailbox the store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingMailboxArg {
    /// It is made again, over IMAP, and they come into it
    Create,
    /// They come into its owner's INBOX, over IMAP
    Inbox,
    /// They are held
    Skip,
}

/// A class of gaps that are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassArg {
    /// It came after the live store's last state, or a disk lost it
    Missing,
    /// An earlier run missed it
    Wanted,
    /// Its owner may have deleted it
    Ambiguous,
    /// The live store gave its UID to another message
    UidTaken,
    /// It belongs to a mailbox that the live store does not have
    MailboxGone,
}

const AFTER_HELP: &str = "\
Examples:
  redeliver --incident /srv/outage -n                 what would be delivered, and into what?
  redeliver --incident /srv/outage --user alice       everything of alice's
  redeliver --incident /srv/outage --to store7 --class missing --class wanted
  redeliver --incident /srv/outage --to store7 --max-latency 200ms --at-once 200
  redeliver raise-uidnext --incident /srv/outage      on the store's host, before the next:
  redeliver --incident /srv/outage --to store7 --via imap --rate 200/s
  redeliver --incident /srv/outage --to store7 --via imap --into 'Recovered/{date}/{folder}'
  redeliver undo 20261121T081405Z-32562 --incident /srv/outage
  redeliver report --incident /srv/outage --letters /srv/letters

Exit status:
  0  everything that was asked for is there
  1  something is not: a dry run, messages that are held, tools that failed
  2  could not run, or not on some mailbox: usage, configuration, a lock, an I/O error, a server
     out of reach; or told to stop (SIGINT, SIGTERM): the same command goes on";

fn keyword(text: &str) -> Result<String, String> {
    let may_be = text.is_empty() || is_atom(text.as_bytes());
    if may_be { Ok(text.to_owned()) } else { Err("no IMAP keyword".to_owned()) }
}

impl DeliverArgs {
    /// The way into the store.
    pub(crate) fn via(&self, store: &NamedStore) -> Via {
        let is_elsewhere = !store.config.exists();
        let has_server = self.imap.server.imap.is_some() || store.imap.imap.is_some();
        let usual = if is_elsewhere && has_server { Via::Imap } else { Via::Spool };
        self.via.unwrap_or(usual)
    }

    /// How considerate the run is; `stop` tells it to stop.
    pub(crate) fn manners(&self, stop: Stop) -> Manners {
        let MannersArgs { rate, max_latency } = &self.manners;
        Manners { rate: rate_of(rate), max_latency: *max_latency, stop }
    }

    /// Fails where it is to be seen how slow a disk is and that cannot be tried: the run would hold
    /// back for nothing, or never.
    pub(crate) fn require_latency_can_be_told(&self, conf: &ImapdConf) -> Result<()> {
        if self.manners.max_latency.is_none() {
            return Ok(());
        }
        for Partition { data, .. } in conf.partitions() {
            latency::of_disk(&data).with_context(|| {
                let data = data.display();
                format!("--max-latency: how slow the disk of {data} is cannot be tried; use --rate")
            })?;
        }
        Ok(())
    }

    /// The quotas that are kept to.
    pub(crate) fn quotas(&self, conf: &ImapdConf) -> Result<Option<Quotas>> {
        if self.over_quota != Some(OverQuotaArg::Hold) {
            return Ok(None);
        }
        ensure!(
            !conf.quota_uses_conversations(),
            "--over-quota hold: with quota_use_conversations only the server knows what is used; \
             deliver --via imap"
        );
        Ok(Some(Quotas::open(conf, self.store.lock_timeout())?))
    }

    /// Says why not, where anything is asked for that the spool cannot do.
    pub(crate) fn require_no_other_folders(&self) -> Result<()> {
        let makes = [Some(MissingMailboxArg::Create), Some(MissingMailboxArg::Inbox)];
        ensure!(
            !makes.contains(&self.missing_mailbox),
            "the spool cannot make mailboxes, nor deliver into another one: --missing-mailbox create \
             and inbox need --via imap"
        );
        ensure!(
            self.into.is_none(),
            "the spool delivers where messages were: --into needs --via imap"
        );
        Ok(())
    }

    /// Which gaps, and how.
    pub(crate) fn choice(&self, via: Via) -> Choice {
        let names = self.class.iter().filter_map(ValueEnum::to_possible_value);
        Choice {
            classes: names.map(|value| value.get_name().to_owned()).collect(),
            again: self.again,
            near_duplicates: match self.near_duplicates {
                NearDuplicatesArg::Skip => NearDuplicates::Skip,
                NearDuplicatesArg::Deliver => NearDuplicates::Deliver,
                NearDuplicatesArg::Flag => NearDuplicates::Flag,
            },
            missing_mailbox: match (self.missing_mailbox, via) {
                (Some(MissingMailboxArg::Create), _) | (None, Via::Imap) => MissingMailbox::Create,
                (Some(MissingMailboxArg::Inbox), _) => MissingMailbox::Inbox,
                (Some(MissingMailboxArg::Skip), _) | (None, Via::Spool) => MissingMailbox::Skip,
            },
            mark: Some(self.mark.clone()).filter(|mark| !mark.is_empty()),
        }
    }
}

impl StoreArgs {
    /// The incident's directory.
    pub(crate) fn incident(&self) -> Result<&Path> {
        let unnamed = || format!("no incident: name it with --incident or ${INCIDENT_VARIABLE}");
        self.incident.as_deref().with_context(unnamed)
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }

    /// Whether all mailboxes are meant.
    pub(crate) fn names_none(&self) -> bool {
        self.user.is_empty() && self.mailbox.is_empty()
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
    fn classes_are_named_as_gapfill_does_and_the_mark_can_be_left_out() {
        let args = ["redeliver", "--incident", "d", "--class", "uid-taken", "--mark", ""];
        let args = Args::try_parse_from(args).unwrap().deliver;
        let choice = args.choice(Via::Spool);
        assert_eq!((choice.classes, choice.mark), (vec!["uid-taken".to_owned()], None));
        assert_eq!(choice.missing_mailbox, MissingMailbox::Skip);
        assert_eq!(args.choice(Via::Imap).missing_mailbox, MissingMailbox::Create);
        assert!(Args::try_parse_from(["redeliver", "--class", "deleted"]).is_err());
        assert!(Args::try_parse_from(["redeliver", "--into", "Recovered"]).is_err());
        assert!(Args::try_parse_from(["redeliver", "--mark", "a b"]).is_err());
    }
}
