//! `rebuildq doctor`

use anyhow::Result;
use command_line::text::{count, printable, time};
use incident::queue::{JobState, Roster as _, Work as _};
use rebuildq::access::Difference;
use rebuildq::clock::now;
use rebuildq::status::{SILENT_AFTER, is_silent};

use super::desk::{AccessArgs, Desk, DeskArgs};

/// Say whether queue and server agree on who is denied, and what needs an operator
///
/// Nobody is ever let in whom an operator had denied: an entry of the deny database is the queue's
/// only where its message ends with the queue's mark.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    desk: DeskArgs,

    #[command(flatten)]
    access: AccessArgs,

    /// Let in who was left denied, deny who is to be
    #[arg(long)]
    mend: bool,
}

impl Doctor {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let doorkeeper = desk.doorkeeper(&self.access)?;
        let differences = doorkeeper.differences()?;
        for difference in &differences {
            let told = told(difference);
            if self.mend {
                doorkeeper.mend(difference)?;
                println!("{told}: mended");
            } else {
                println!("{told}");
            }
        }
        let left = if self.mend { doorkeeper.differences()?.len() } else { differences.len() };
        if left > 0 && !self.mend {
            println!("next: rebuildq doctor --mend");
        }
        let needed = needed(&desk)?;
        if left == 0 && !needed {
            println!("all is in order");
        }
        Ok(u8::from(left > 0 || needed))
    }
}

fn told(difference: &Difference) -> String {
    match difference {
        Difference::LeftDenied { user } => {
            format!("{} is denied by this queue and has no job in it", printable(user))
        }
        Difference::NotYetDenied { user, .. } => {
            format!("{} is to be denied and is not yet", printable(user))
        }
        Difference::ChangedByHand { user, is_denied, .. } => {
            let now = if *is_denied { "denied anew" } else { "let in" };
            format!("{} was {now} by somebody else", printable(user))
        }
    }
}

/// Tells what else needs an operator; whether anything does.
fn needed(desk: &Desk) -> Result<bool> {
    let totals = desk.incident.totals(desk.store)?;
    let of = |state| totals.iter().filter(move |total| total.state == state);
    let aside: u64 = of(JobState::SetAside).map(|total| total.jobs).sum();
    if aside > 0 {
        println!(
            "{} set aside: rebuildq list --state set-aside, then rebuildq retry",
            count(aside, "job was", "jobs were")
        );
    }
    let to_do = of(JobState::Waiting).chain(of(JobState::Running)).count() > 0;
    let runners = desk.incident.runners()?;
    let last = runners.iter().map(|runner| runner.reported).max();
    let lives = runners
        .iter()
        .any(|runner| runner.ended.is_none() && !is_silent(runner.reported, now(), SILENT_AFTER));
    if to_do && !lives && desk.incident.settings()?.paused.is_none() {
        match last {
            Some(last) => println!("no runner has reported since {}: rebuildq run", time(last)),
            None => println!("jobs wait, and no runner works on them: rebuildq run"),
        }
        return Ok(true);
    }
    Ok(aside > 0)
}
