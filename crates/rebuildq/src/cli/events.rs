//! `rebuildq events`

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use command_line::text::{printable, time};
use command_line::{Console, stop_on_signals};
use incident::queue::{Chronicle as _, Event};
use serde::Serialize;

use super::desk::{DeskArgs, named};

/// Events read at once.
const PAGE: u32 = 1000;
/// How often is looked for new ones.
const LOOK: Duration = Duration::from_millis(500);

/// Tell what happened, in its order
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    #[command(flatten)]
    desk: DeskArgs,

    /// Go on telling what happens, until interrupted
    #[arg(short, long)]
    follow: bool,

    /// One JSON object a line (docs/rebuildq.md)
    #[arg(long)]
    json: bool,
}

/// An event in JSON.
#[derive(Serialize)]
pub(super) struct EventLine<'a> {
    r#type: &'static str,
    event: i64,
    at: i64,
    job: Option<i64>,
    user: Option<&'a str>,
    kind: &'static str,
    detail: &'a str,
}

impl<'a> From<&'a Event> for EventLine<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            r#type: "event",
            event: event.id,
            at: event.at.0,
            job: event.job.as_ref().map(|(job, _)| job.number()),
            user: event.job.as_ref().map(|(_, user)| user.as_str()),
            kind: event.kind.as_str(),
            detail: &event.detail,
        }
    }
}

impl Events {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let stop = stop_on_signals()?;
        let console = Console::new("rebuildq", false);
        let mut after = 0;
        loop {
            let events = desk.incident.events(after, PAGE)?;
            for event in &events {
                after = event.id;
                if self.json {
                    console.print_json(&EventLine::from(event));
                } else {
                    console.print(line_of(event));
                }
            }
            if events.is_empty() {
                if !self.follow || stop.is_asked() {
                    break;
                }
                stop.sleep(LOOK);
            }
        }
        console.finish()?;
        Ok(0)
    }
}

pub(super) fn line_of(event: &Event) -> String {
    let mut line = format!("{} {}", time(event.at), event.kind.as_str());
    if let Some((_, user)) = &event.job {
        let _ = write!(line, " {}", printable(named(user)));
    }
    if !event.detail.is_empty() {
        let _ = write!(line, ": {}", printable(&event.detail));
    }
    line + "\n"
}
