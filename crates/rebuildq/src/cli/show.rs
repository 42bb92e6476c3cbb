//! `rebuildq show`

use anyhow::Result;
use command_line::Console;
use command_line::text::{printable, time};
use incident::queue::{Chronicle as _, JobMailbox, Roster as _};
use rebuildq::board::Board;
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;

use super::desk::{DeskArgs, named};
use super::events::{EventLine, line_of};
use super::list::JobLine;

/// Show one user's job: its place, its mailboxes, what happened to it
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    desk: DeskArgs,

    /// The user; '' is the job of the mailboxes that are nobody's
    #[arg(value_name = "USER")]
    user: String,

    /// One JSON object a line (docs/rebuildq.md)
    #[arg(long)]
    json: bool,
}

/// A mailbox in JSON.
#[derive(Serialize)]
struct MailboxLine<'a> {
    r#type: &'static str,
    mailbox: &'a str,
    uniqueid: &'a str,
    messages: u64,
    to_read: u64,
    bytes_to_read: u64,
    state: &'a str,
    seconds: Option<f64>,
    ended: Option<i64>,
}

impl Show {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let job = desk.job_of(&self.user)?;
        let mailboxes = desk.incident.mailboxes_of(job.id)?;
        let events = desk.incident.events_of(job.id)?;
        let console = Console::new("rebuildq", false);
        if self.json {
            console.print_json(&JobLine::from(&job));
            for mailbox in &mailboxes {
                console.print_json(&MailboxLine::from(mailbox));
            }
            for event in &events {
                console.print_json(&EventLine::from(event));
            }
        } else {
            let (user, state) = (printable(named(&job.user)), job.state.as_str());
            let mut text = format!("{user}: {state}, priority {}\n", job.priority);
            if let Some(place) = desk.incident.place_of(job.id)? {
                let _ = writeln!(text, "{} before it", place.before);
            }
            let board = Board::new(Arc::clone(&desk.incident), desk.store);
            if let Some(estimate) = board.estimate_of(&job)? {
                let (earliest, latest) = (time(estimate.earliest), time(estimate.latest));
                let _ = writeln!(text, "expected to be done between {earliest} and {latest}");
            }
            if let Some(why) = &job.why {
                let _ = writeln!(text, "why: {}", printable(why));
            }
            for mailbox in &mailboxes {
                text.push_str(&mailbox_text(mailbox));
            }
            for event in &events {
                text.push_str(&line_of(event));
            }
            console.print(text);
        }
        console.finish()?;
        Ok(0)
    }
}

impl<'a> From<&'a JobMailbox> for MailboxLine<'a> {
    fn from(mailbox: &'a JobMailbox) -> Self {
        Self {
            r#type: "mailbox",
            mailbox: &mailbox.mailbox.name,
            uniqueid: &mailbox.mailbox.uniqueid,
            messages: mailbox.size.messages,
            to_read: mailbox.size.to_read,
            bytes_to_read: mailbox.size.bytes_to_read,
            state: state_of(mailbox),
            seconds: mailbox.end.as_ref().map(|end| end.seconds),
            ended: mailbox.end.as_ref().map(|end| end.at.0),
        }
    }
}

fn state_of(mailbox: &JobMailbox) -> &str {
    match &mailbox.end {
        None => "waiting",
        Some(end) => end.outcome.as_deref().unwrap_or("gone"),
    }
}

fn mailbox_text(mailbox: &JobMailbox) -> String {
    let (name, state) = (printable(&mailbox.mailbox.name), state_of(mailbox));
    let mut line = format!("  {name}: {state}, {} messages", mailbox.size.messages);
    if let Some(end) = &mailbox.end {
        let _ = write!(line, ", {:.1} s, {}", end.seconds, time(end.at));
    }
    line + "\n"
}
