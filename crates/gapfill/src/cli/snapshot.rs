//! `gapfill snapshot`: what the store of this machine has, for a comparison on another one.

use std::io::{BufWriter, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::stores::{self, Named};

/// Write what this machine's store has to stdout, for gapfill --to on another machine
///
/// Names, unique ids and index records; no bodies. Live mailboxes are read under the server's own
/// locks.
#[derive(Debug, clap::Args)]
pub(crate) struct SnapshotArgs {
    /// The server's configuration
    #[arg(short = 'C', long, value_name = "FILE", default_value = "/etc/imapd.conf")]
    config: PathBuf,

    /// Seconds to wait for the locks of a mailbox or database
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    lock_timeout: u64,
}

pub(super) fn run(args: &SnapshotArgs) -> Result<u8> {
    if std::io::stdout().is_terminal() {
        bail!("a snapshot is no reading for people: redirect it into a file");
    }
    let named = Named::Configuration(Box::new(stores::load(&args.config)?));
    stores::become_account(std::slice::from_ref(&named))?;
    let live = stores::open(named, Duration::from_secs(args.lock_timeout), &mut |_| {})?;
    live.write_snapshot(&mut BufWriter::new(std::io::stdout().lock()), &mut |_| {})?;
    Ok(0)
}
