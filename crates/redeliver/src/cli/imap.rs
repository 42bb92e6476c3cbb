//! A delivery over IMAP, with the store on this machine or without.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use command_line::{NamedStore, stop_on_signals};
use incident::{BoundStore, Incident, MailboxWithGaps, RunEnd, RunStatus, StoreBinding, StoreId};
use mailstore::identity::StoreAccount;
use redeliver::{Choice, Desk, Imap, ImapSettings, Transport as _};

use super::args::{DeliverArgs, OverQuotaArg, StoreArgs, Via};
use super::begun;
use super::output::{Output, day};
use super::store::{self, Opened};

pub(super) fn deliver(args: &DeliverArgs, named: &NamedStore) -> Result<u8> {
    ensure!(
        args.over_quota != Some(OverQuotaArg::Allow),
        "--over-quota allow: over IMAP the server decides; deliver --via spool"
    );
    // Before there is another thread, and before root is given up: it may own the passwords.
    let stop = stop_on_signals()?;
    let access = args.imap.server.access(&named.imap)?;
    let output = Output::new(args.output, args.dry_run);
    let choice = args.choice(Via::Imap);
    let beyond = choice.beyond_restored();
    let (incident, id, mailboxes, listed) = if named.config.exists() {
        let Opened { store, targets, .. } = store::open(&args.store, &output)?;
        let incident = Incident::open(args.store.incident()?)?;
        let id = incident.store(&StoreBinding::of(store.conf())?)?;
        let mailboxes = incident.mailboxes_with_gaps(id, beyond)?;
        let mailboxes = store::chosen(mailboxes, &targets, &args.store);
        (incident, id, mailboxes, Some((targets, store.namespace().clone())))
    } else {
        let incident = open_as_owner(args.store.incident()?)?;
        let id = bound_store(&incident.stores()?, &named.config)?;
        let mailboxes = chosen_by_name(incident.mailboxes_with_gaps(id, beyond)?, &args.store)?;
        (incident, id, mailboxes, None)
    };
    let begun_on = incident.about()?.created;
    let tree = args.into.as_ref().map(|tree| tree.dated(&day(begun_on)));
    let imap = Imap::new(ImapSettings {
        access,
        store: listed,
        connections: args.imap.connections(),
        manners: args.manners(stop),
        tree,
    });
    let incident = Arc::new(incident);
    if args.dry_run {
        let desk = Desk::dry(&incident, &choice, imap.name());
        imap.survey(&desk, &mailboxes, &output);
        return output.end(None, None);
    }
    deliver_as_run(&incident, id, imap, &choice, &mailboxes, &output)
}

fn deliver_as_run(
    incident: &Incident,
    store: StoreId,
    imap: Imap,
    choice: &Choice,
    mailboxes: &[MailboxWithGaps],
    output: &Output,
) -> Result<u8> {
    let begun_at = Instant::now();
    let start = begun("redeliver");
    let run = incident.begin_run(store, &start)?;
    let desk = Desk::of_run(incident, choice, imap.name(), run);
    imap.deliver(&desk, mailboxes, output);
    let summary = output.summary();
    let is_whole = summary.failed == 0 && summary.stopped == 0;
    let ended = RunEnd {
        status: if is_whole { RunStatus::Finished } else { RunStatus::Failed },
        mailboxes: summary.mailboxes,
        messages: summary.delivered,
        bytes_read: summary.bytes,
        seconds: begun_at.elapsed().as_secs_f64(),
    };
    incident.end_run(run, &ended)?;
    let delivered = incident.has_delivered(run, Imap::NAME)?;
    output.end(delivered.then_some(start.name), None)
}

/// Without the server's configuration nothing tells its account: the incident's owner is it.
pub(super) fn open_as_owner(directory: &Path) -> Result<Incident> {
    if directory.is_dir() && rustix::process::geteuid().is_root() {
        StoreAccount::owner_of(directory)?.become_account()?;
    }
    Ok(Incident::open(directory)?)
}

/// The store of this configuration, which lies on another machine; where the incident is about one
/// only, that one.
pub(super) fn bound_store(stores: &[BoundStore], config: &Path) -> Result<StoreId> {
    let named = stores.iter().find(|store| store.binding.imapd_conf == config);
    let only = || match stores {
        [only] => Some(only),
        _ => None,
    };
    if let Some(store) = named.or_else(only) {
        return Ok(store.id);
    }
    let known = stores.iter().map(|store| store.binding.imapd_conf.display().to_string());
    bail!(
        "{} is not on this machine, and the incident knows several stores: name one with --to: {}",
        config.display(),
        known.collect::<Vec<_>>().join(", ")
    )
}

/// Those that were named, by the names that the incident has.
pub(super) fn chosen_by_name(
    mailboxes: Vec<MailboxWithGaps>,
    args: &StoreArgs,
) -> Result<Vec<MailboxWithGaps>> {
    if args.names_none() {
        return Ok(mailboxes);
    }
    let is_of = |user: &str, name: &str| {
        let levels: Vec<&str> = name.split(['.', '/']).collect();
        matches!(levels.as_slice(), ["user", of, ..] if *of == user)
    };
    let is_chosen = |it: &MailboxWithGaps| {
        args.mailbox.contains(&it.mailbox.name)
            || args.user.iter().any(|user| is_of(user, &it.mailbox.name))
    };
    let chosen: Vec<_> = mailboxes.into_iter().filter(is_chosen).collect();
    let some = Some(chosen).filter(|chosen| !chosen.is_empty());
    some.context(
        "the incident has no mailbox of that name with gaps (without the store's \
                  configuration on this machine, names are those of `incident export`)",
    )
}
