//! `incident rebuild`

use std::path::PathBuf;

use anyhow::{Result, bail};
use incident::{Incident, Rebuilt, StoreBinding};
use mailstore::config::ImapdConf;

use super::new::{bindings, load};
use super::{Which, become_owner};
use command_line::text::{count, printable};

/// Fill the tables from the journals that lie beside the mail
///
/// The database is an index of them. A damaged one is set aside and made anew; in a sound one,
/// nothing that it knows is lost, and doing it again changes nothing. Runs that record at the same
/// time are not disturbed.
#[derive(Debug, clap::Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    which: Which,

    /// The configuration of a store; repeatable [default: those the incident is about]
    #[arg(short = 'C', long, value_name = "IMAPD.CONF")]
    config: Vec<PathBuf>,
}

impl Rebuild {
    pub(super) fn run(&self) -> Result<u8> {
        let directory = self.which.directory()?;
        become_owner(&directory)?;
        let confs = load(&self.config)?;
        let stores = bindings(&confs)?;
        let incident = if stores.is_empty() {
            Incident::open(&directory)?
        } else {
            open_or_replace(&directory, &stores)?
        };
        let confs = if confs.is_empty() { confs_of(&incident)? } else { confs };
        let mut partial = false;
        for conf in &confs {
            let store = incident.bind(&StoreBinding::of(conf)?)?;
            let rebuilt = incident.rebuild(store, conf)?;
            tell(conf, &rebuilt);
            partial |= rebuilt.is_partial();
        }
        Ok(u8::from(partial))
    }
}

fn open_or_replace(directory: &std::path::Path, stores: &[StoreBinding]) -> Result<Incident> {
    let (incident, set_aside) = Incident::open_or_replace(directory, stores)?;
    if let Some(set_aside) = set_aside {
        println!("the damaged database is now {}", set_aside.display());
    }
    Ok(incident)
}

/// The configurations of the stores that the incident is about.
fn confs_of(incident: &Incident) -> Result<Vec<ImapdConf>> {
    let stores = incident.stores()?;
    if stores.is_empty() {
        bail!("the incident is about no store: name one with -C");
    }
    let paths: Vec<_> = stores.into_iter().map(|store| store.binding.imapd_conf).collect();
    load(&paths)
}

fn tell(conf: &ImapdConf, rebuilt: &Rebuilt) {
    let lines = count(rebuilt.lines, "line was", "lines were");
    let folders = count(rebuilt.folders, "folder", "folders");
    println!("{}: {lines} taken over from {folders}", conf.path().display());
    if rebuilt.passed_over > 0 {
        let lines = count(rebuilt.passed_over, "line was", "lines were");
        println!("{lines} cut, too long or not understood, and passed over");
    }
    if rebuilt.foreign > 0 {
        println!("{} no tool's, and left alone", count(rebuilt.foreign, "entry is", "entries are"));
    }
    for (path, error) in &rebuilt.unreadable {
        eprintln!("incident: cannot read {}: {error}", printable(&path.display()));
    }
}
