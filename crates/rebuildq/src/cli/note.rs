//! `rebuildq note`

use anyhow::{Result, ensure};
use incident::queue::Chronicle as _;

use super::desk::DeskArgs;

/// Tell everybody something on the status page, with the time
#[derive(Debug, clap::Args)]
pub(super) struct Note {
    #[command(flatten)]
    desk: DeskArgs,

    /// What
    #[arg(value_name = "TEXT")]
    text: String,
}

impl Note {
    pub(super) fn run(&self) -> Result<u8> {
        let text = self.text.trim();
        ensure!(!text.is_empty(), "an empty note tells nobody anything");
        self.desk.open()?.incident.note(text)?;
        Ok(0)
    }
}
