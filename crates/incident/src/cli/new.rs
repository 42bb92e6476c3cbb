//! `incident new`

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use incident::{Incident, StoreBinding};
use mailstore::config::ImapdConf;
use mailstore::identity::StoreAccount;

/// Make an incident
///
/// The directory must not exist yet, or be empty. It belongs to the server's account, which the
/// tools work as, and nobody else can look into it; keep it on a local disk other than the damaged
/// ones.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The directory to make
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The configuration of the server whose store it is about; repeatable
    #[arg(short = 'C', long, value_name = "IMAPD.CONF", default_value = "/etc/imapd.conf")]
    config: Vec<PathBuf>,

    /// A note for whoever looks at it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

impl New {
    pub(super) fn run(&self) -> Result<u8> {
        let confs = load(&self.config)?;
        let account = account_of(&confs)?;
        if rustix::process::geteuid().is_root() {
            incident::make_for(&self.directory, &account)?;
        }
        account.become_account()?;
        let stores = bindings(&confs)?;
        let incident =
            Incident::create(&self.directory, &stores, &self.note).map_err(
                |error| match error {
                    incident::Error::Io { source, path, .. }
                        if source.kind() == std::io::ErrorKind::PermissionDenied =>
                    {
                        let path = path.display();
                        anyhow!("{account} cannot get at {path}: name a place where it can")
                    }
                    other => other.into(),
                },
            )?;
        let directory = incident.directory().display();
        println!("{directory} is made; tell the tools of it:");
        println!("  export MAILSTORE_INCIDENT={directory}");
        Ok(0)
    }
}

/// Reads the configurations.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<ImapdConf>> {
    let load = |path: &PathBuf| {
        ImapdConf::load(path)
            .map_err(|error| anyhow!("{error}; correct it, or name the server's with -C"))
    };
    paths.iter().map(load).collect()
}

/// Which stores they describe.
pub(super) fn bindings(confs: &[ImapdConf]) -> Result<Vec<StoreBinding>> {
    confs.iter().map(|conf| Ok(StoreBinding::of(conf)?)).collect()
}

/// The account that all of the servers run as: one incident has one owner.
fn account_of(confs: &[ImapdConf]) -> Result<StoreAccount> {
    let hints = command_line::account_hints();
    let mut accounts = confs.iter().map(|conf| StoreAccount::of_server(conf, &hints));
    let first = accounts.next().context("no configuration was named")??;
    for account in accounts {
        let account = account?;
        if account.uid != first.uid {
            bail!("the stores belong to {first} and to {account}: make an incident for each");
        }
    }
    Ok(first)
}
