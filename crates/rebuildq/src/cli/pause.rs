//! `rebuildq pause` and `resume`

use anyhow::Result;
use incident::queue::Roster as _;

use super::desk::DeskArgs;

/// Let no runner begin another job; those that are worked on are brought to their end
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    desk: DeskArgs,
}

/// Let runners begin jobs again
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    desk: DeskArgs,
}

impl Pause {
    pub(super) fn run(&self) -> Result<u8> {
        self.desk.open()?.incident.set_paused(true)?;
        println!("no job is begun until `rebuildq resume`");
        Ok(0)
    }
}

impl Resume {
    pub(super) fn run(&self) -> Result<u8> {
        self.desk.open()?.incident.set_paused(false)?;
        println!("jobs are begun again");
        Ok(0)
    }
}
