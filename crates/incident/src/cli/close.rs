//! `incident close`

use anyhow::Result;
use incident::queue::Roster as _;
use incident::{Incident, RunStatus};

use super::Which;
use command_line::text::{count, printable, time};

/// Close an incident: no run is begun in it any more
///
/// Nothing is removed; closing it again is no error.
#[derive(Debug, clap::Args)]
pub(super) struct Close {
    #[command(flatten)]
    which: Which,
}

impl Close {
    pub(super) fn run(&self) -> Result<u8> {
        let incident = self.which.open()?;
        let closed = incident.close()?;
        println!("{} is closed since {}", incident.directory().display(), time(closed));
        warn_of_loose_ends(&incident)?;
        Ok(0)
    }
}

/// Tells what was not brought to an end.
fn warn_of_loose_ends(incident: &Incident) -> Result<()> {
    let wanted = incident.summary()?.wanted.iter().map(|count| count.wanted).sum::<u64>();
    if wanted > 0 {
        println!("{} still wanted", count(wanted, "message is", "messages are"));
    }
    for run in incident.runs() {
        let run = run?;
        if run.end.status == RunStatus::Running {
            println!("run {} goes on, or was interrupted", printable(&run.start.name));
        }
    }
    for store in incident.stores()? {
        let totals = incident.totals(store.id)?.into_iter();
        let left = totals.filter(|total| !total.state.is_over()).map(|total| total.jobs).sum();
        if left > 0 {
            let conf = store.binding.imapd_conf.display();
            let jobs = count(left, "job is", "jobs are");
            println!("{jobs} not over, their users may be denied: rebuildq doctor -C {conf}");
        }
    }
    Ok(())
}
