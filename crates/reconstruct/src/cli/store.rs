//! The store that a command works on: opened as the server's account, its mailboxes chosen.

use anyhow::{Result, anyhow};
use mailstore::config::ImapdConf;
use mailstore::identity::{StoreAccount, adopt_umask};
use mailstore::lock::LockWait;
use mailstore::store::{Selection, Store};
use reconstruct::{MailboxReport, Target};

use super::args::ServerArgs;

/// Becomes the server's account and reads its list of mailboxes.
pub(super) fn open(server: &ServerArgs, on_wait: &mut dyn FnMut(&LockWait)) -> Result<Store> {
    let conf = ImapdConf::load(&server.config)
        .map_err(|error| anyhow!("{error}; correct it, or name the server's with -C"))?;
    StoreAccount::of_server(&conf, &command_line::account_hints())?.become_account()?;
    adopt_umask(&conf);
    Store::open_with(conf, server.lock_timeout(), on_wait)
        .map_err(|error| anyhow!("{error}; is it the right configuration (-C), is all mounted?"))
}

/// The mailboxes chosen, and reports of those of which nothing tells where they lie.
pub(super) fn targets(
    store: &Store,
    selection: &Selection,
) -> Result<(Vec<Target>, Vec<MailboxReport>)> {
    let (mut targets, mut misplaced) = (Vec::new(), Vec::new());
    let selected = store
        .select(selection)
        .map_err(|error| anyhow!("{error}; -n -vv --all lists what there is"))?;
    for entry in selected {
        match Target::listed(store, entry) {
            Ok(target) => targets.push(target),
            Err(error) => {
                let name = store.namespace().display(&entry.name);
                let error = format!("{error}; correct that, or name another with -C");
                misplaced.push(MailboxReport::failed(&name, error));
            }
        }
    }
    Ok((targets, misplaced))
}
