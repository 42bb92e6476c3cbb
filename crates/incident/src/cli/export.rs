//! `incident export`

use std::io::{BufWriter, ErrorKind, Write as _};

use anyhow::{Context as _, Result};

use super::Which;

/// Write everything an incident holds to stdout, one JSON object a line (docs/incident.md)
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,

    /// As JSON lines: the only format there is
    #[arg(long, required = true)]
    json: bool,
}

impl Export {
    pub(super) fn run(&self) -> Result<u8> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let written = self.which.open()?.export(&mut out)?.and_then(|()| out.flush());
        match written {
            // A reader that went away has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
            written => written.map(|()| 0).context("cannot write to stdout"),
        }
    }
}
