//! The store that is delivered into: opened as the server's account, its mailboxes chosen.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, anyhow};
use command_line::store_configuration;
use incident::{Incident, MailboxId, MailboxWithGaps};
use mailstore::config::ImapdConf;
use mailstore::identity::{StoreAccount, adopt_umask};
use mailstore::name::InternalName;
use mailstore::store::{Selection, Store};
use mailstore::sync_log::SyncLog;
use reconstruct::{Aftercare, Options, ServerTools, Site, Target};

use super::args::{AftercareArgs, StoreArgs};
use super::output::Output;

/// An open store.
pub(super) struct Opened {
    pub(super) store: Store,
    /// The mailboxes that were chosen.
    pub(super) targets: Vec<Target>,
    pub(super) site: Site,
    pub(super) settings: Options,
}

/// Becomes the server's account, reads its list of mailboxes, and chooses of them.
pub(super) fn open(args: &StoreArgs, output: &Output) -> Result<Opened> {
    let configuration = store_configuration(&args.to, args.stores.as_deref())?;
    let conf = ImapdConf::load(&configuration)
        .map_err(|error| anyhow!("{error}; correct it, or name the server's with --to"))?;
    StoreAccount::of_server(&conf, &command_line::account_hints())?.become_account()?;
    adopt_umask(&conf);
    let mut on_wait = |wait: &mailstore::lock::LockWait| output.waiting_for_database(wait);
    let store = Store::open_with(conf, args.lock_timeout(), &mut on_wait)
        .map_err(|error| anyhow!("{error}; is it the right configuration (--to)?"))?;
    let selection = Selection {
        mailboxes: args.mailbox.clone(),
        users: args.user.clone(),
        all: args.names_none(),
        recursive: false,
    };
    let selected = store.select(&selection)?.into_iter();
    // Into a deleted mailbox nothing comes: nobody would see it.
    let is_deleted = |name: &InternalName| store.namespace().parts(name).deleted.is_some();
    let mut targets = Vec::new();
    for entry in selected.filter(|entry| !is_deleted(&entry.name)) {
        match Target::listed(&store, entry) {
            Ok(target) => targets.push(target),
            Err(error) => output.misplaced(&store.namespace().display(&entry.name), &error),
        }
    }
    let defaults = Options::default();
    let jobs = args.jobs.map_or(defaults.jobs, usize::from);
    let settings = Options { jobs, lock_timeout: args.lock_timeout(), ..defaults };
    let site = Site::of(&store);
    Ok(Opened { store, targets, site, settings })
}

/// The server's own tools, as far as they are at hand.
pub(super) fn tools(
    store: &Store,
    args: &AftercareArgs,
    incident: &Incident,
) -> Result<ServerTools> {
    Ok(ServerTools::new(store.conf(), args.cyrus_bin.clone(), incident.files()?))
}

/// What is to be brought in step with the mailboxes.
pub(super) fn aftercare(
    store: &Store,
    args: &AftercareArgs,
    tools: &ServerTools,
    patience: Duration,
) -> Result<Aftercare> {
    let directory = store.conf().config_directory();
    let logs = args.sync_log.iter().map(|channel| SyncLog::of(directory, channel));
    let logs = logs.collect::<Result<_, _>>()?;
    let aftercare = Aftercare::new(tools.clone(), logs, patience);
    Ok(aftercare.held_back_by(store.expunge_files()))
}

/// Those of `mailboxes` that were chosen. Where any may be meant, also those that the store lacks.
pub(super) fn chosen(
    mailboxes: Vec<MailboxWithGaps>,
    targets: &[Target],
    args: &StoreArgs,
) -> Vec<MailboxWithGaps> {
    if args.names_none() {
        return mailboxes;
    }
    let ids: Vec<MailboxId> = targets.iter().map(Target::id).collect();
    let uniqueids: HashSet<&str> = ids.iter().map(|id| id.uniqueid.as_str()).collect();
    let names: HashSet<&str> = ids.iter().map(|id| id.name.as_str()).collect();
    let is_chosen = |with_gaps: &MailboxWithGaps| {
        let MailboxId { uniqueid, name } = &with_gaps.mailbox;
        uniqueids.contains(uniqueid.as_str()) || names.contains(name.as_str())
    };
    mailboxes.into_iter().filter(is_chosen).collect()
}
