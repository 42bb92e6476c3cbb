//! `rebuildq requests`

use std::fmt::Write as _;

use anyhow::Result;
use command_line::Console;
use command_line::text::{printable, time};
use incident::queue::{Chronicle as _, RebuildRequest};
use serde::Serialize;

use super::desk::DeskArgs;

/// List the mails that asked for a rebuild, the latest first; those that were not clear with their
/// text
#[derive(Debug, clap::Args)]
pub(super) struct Requests {
    #[command(flatten)]
    desk: DeskArgs,

    /// Only those that were not clear
    #[arg(long)]
    unclear: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    last: u32,

    /// One JSON object a line (docs/rebuildq.md)
    #[arg(long)]
    json: bool,
}

/// A request in JSON.
#[derive(Serialize)]
struct RequestLine<'a> {
    r#type: &'static str,
    at: i64,
    sender: &'a str,
    user: Option<&'a str>,
    why: Option<&'a str>,
    subject: Option<&'a str>,
    text: Option<&'a str>,
}

impl Requests {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let console = Console::new("rebuildq", false);
        let requests = desk.incident.requests(self.last)?;
        let is_wanted = |request: &&RebuildRequest| !self.unclear || request.why.is_some();
        for request in requests.iter().filter(is_wanted) {
            if self.json {
                console.print_json(&line_of(request));
            } else {
                console.print(text_of(request));
            }
        }
        console.finish()?;
        Ok(0)
    }
}

fn line_of(request: &RebuildRequest) -> RequestLine<'_> {
    RequestLine {
        r#type: "request",
        at: request.at.0,
        sender: &request.sender,
        user: request.user.as_deref(),
        why: request.why.as_deref(),
        subject: request.subject.as_deref(),
        text: request.text.as_deref(),
    }
}

fn text_of(request: &RebuildRequest) -> String {
    let mut text = format!("{} {}", time(request.at), printable(&request.sender));
    if let Some(user) = &request.user {
        let _ = write!(text, ": {} was raised", printable(user));
    }
    if let Some(why) = &request.why {
        let _ = write!(text, ": {}", printable(why));
    }
    text.push('\n');
    if let Some(subject) = &request.subject {
        let _ = writeln!(text, "  {}", printable(subject));
    }
    for line in request.text.iter().flat_map(|text| text.lines()) {
        let _ = writeln!(text, "  | {}", printable(line));
    }
    text
}
