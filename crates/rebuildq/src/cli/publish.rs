//! `rebuildq status` and `serve`

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use command_line::text::time;
use command_line::{Console, duration_of, stop_on_signals};
use jiff::tz::TimeZone;
use rebuildq::board::Board;
use rebuildq::clock::now;
use rebuildq::pages::{Directory, Site, serve};
use rebuildq::status::{Count, Phase, Status as Told};

use super::desk::{Desk, DeskArgs};

/// How often the pages are written: they tell their readers so.
const EVERY: Duration = Duration::from_secs(30);

/// What the pages are about.
#[derive(Debug, clap::Args)]
struct SiteArgs {
    /// What stands above the pages, such as 'Mail at example.org'
    #[arg(long, value_name = "NAME", default_value = "Mail")]
    name: String,

    /// The time zone in which times are told [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = zone_of)]
    zone: Option<TimeZone>,

    /// Warn when the runner has not reported for so long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration_of)]
    silent_after: Duration,
}

/// Say how far it is; with --html, write it into pages for any web server, again and again
///
/// The pages are rewritten every 30 seconds until interrupted, each at once as a whole.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    desk: DeskArgs,

    /// Write the pages into this directory
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,

    /// With --html: write them once
    #[arg(long, requires = "html")]
    once: bool,

    #[command(flatten)]
    site: SiteArgs,
}

/// Serve the same pages live, until interrupted
///
/// For a web server in front of it, or for a network that you trust: it speaks no TLS.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    desk: DeskArgs,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    #[command(flatten)]
    site: SiteArgs,
}

impl SiteArgs {
    fn site(&self) -> Site {
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        Site { name: self.name.clone(), zone }
    }

    fn board(&self, desk: &Desk) -> Board {
        Board::new(Arc::clone(&desk.incident), desk.store).silent_after(self.silent_after)
    }
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| format!("'{name}' is no time zone, such as Europe/Vienna or UTC"))
}

impl Status {
    pub(super) fn run(&self) -> Result<u8> {
        // Before there is another thread.
        let stop = stop_on_signals()?;
        let desk = self.desk.open()?;
        let board = self.site.board(&desk);
        let Some(path) = &self.html else {
            print!("{}", text_of(&board.at(now())?));
            return Ok(0);
        };
        let console = Console::new("rebuildq", false);
        let mut directory = Directory::new(path, self.site.site());
        directory.write(&board)?;
        while !self.once && !stop.is_asked() {
            stop.sleep(EVERY);
            // A disk that is full now may not be in a while; the page tells its readers its age.
            if let Err(error) = directory.write(&board) {
                console.say(&error.to_string());
            }
        }
        console.finish()?;
        Ok(0)
    }
}

impl Serve {
    pub(super) fn run(&self) -> Result<u8> {
        let stop = stop_on_signals()?;
        let listener = TcpListener::bind(self.listen)
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let desk = self.desk.open()?;
        eprintln!("rebuildq: http://{}/", listener.local_addr()?);
        let board = Arc::new(self.site.board(&desk));
        serve(listener, board, self.site.site(), &|| stop.is_asked())?;
        Ok(0)
    }
}

/// How far it is, for a terminal.
fn text_of(status: &Told) -> String {
    let phase = match status.phase {
        Phase::Empty => "the queue is empty".to_owned(),
        Phase::NotBegun => "nobody works on it yet: rebuildq run".to_owned(),
        Phase::Running => "mailboxes are rebuilt".to_owned(),
        Phase::Paused { since } => format!("paused since {}: rebuildq resume", time(since)),
        Phase::Silent => "THE RUNNER IS SILENT: rebuildq doctor".to_owned(),
        Phase::Stopped => "the runners have ended: rebuildq run".to_owned(),
        Phase::Done { since } => format!("done since {}", time(since)),
    };
    let count = |of: &str, Count { done, total }: Count| format!("{of}: {done} of {total}\n");
    let mut text = phase + "\n";
    text.push_str(&count("users", status.users));
    text.push_str(&count("mailboxes", status.mailboxes));
    text.push_str(&count("messages", status.messages));
    if status.set_aside > 0 {
        let _ = writeln!(text, "set aside: {} (rebuildq list --state set-aside)", status.set_aside);
    }
    if let Some(rate) = status.rate {
        let _ = writeln!(text, "rate: {:.0} users/h, {:.0} messages/s", rate.users, rate.messages);
    }
    if let Some(estimate) = status.estimate {
        let (earliest, latest) = (time(estimate.earliest), time(estimate.latest));
        let _ = writeln!(text, "all will be done between {earliest} and {latest}");
    }
    if let Some(reported) = status.reported {
        let _ = writeln!(text, "last report: {}", time(reported));
    }
    text
}
