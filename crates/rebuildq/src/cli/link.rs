//! `rebuildq link`

use anyhow::{Result, bail};
use incident::queue::{Chronicle as _, Roster as _};
use rebuildq::link::new_token;
use rebuildq::pages::path_of;

use super::desk::{DeskArgs, named};

/// Print the link by which a user sees how far their own mailboxes are
///
/// Whoever has the link sees it, so send it to nobody else. It stays the same until it is revoked.
#[derive(Debug, clap::Args)]
pub(super) struct Link {
    #[command(flatten)]
    desk: DeskArgs,

    /// The user
    #[arg(value_name = "USER")]
    user: String,

    /// Let the link lead nowhere any more
    #[arg(long)]
    revoke: bool,
}

impl Link {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let job = desk.job_of(&self.user)?;
        if self.revoke {
            if desk.incident.unlink(desk.store, &job.user)? {
                println!("the link of {} leads nowhere any more", named(&job.user));
                return Ok(0);
            }
            bail!("{} has no link", named(&job.user));
        }
        let token = desk.incident.link(desk.store, &job.user, &new_token()?)?;
        let path = path_of(&token).unwrap_or_default();
        match desk.incident.settings()?.status_url {
            Some(url) => println!("{}/{path}", url.trim_end_matches('/')),
            None => println!("{path}"),
        }
        Ok(0)
    }
}
