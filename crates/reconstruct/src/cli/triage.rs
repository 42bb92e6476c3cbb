//! `reconstruct triage`: who is hit, how badly, how long a repair will take, and what to type next.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use command_line::{Console, held_by};
use incident::{INCIDENT_VARIABLE, Incident};
use mailstore::store::Selection;
use reconstruct::triage::{MailboxTriage, Rate, Severity, StoreTriage, Witness, triage};
use reconstruct::{Options, Site};
use serde::Serialize;

use super::args::{SelectionArgs, ServerArgs};
use super::store;

/// What a spinning disk under load gives: no run has measured this store yet.
const ASSUMED: Rate = Rate { messages: 1_000.0, bytes: 50e6 };
/// Over so many of the latest runs the rate is measured.
const RUNS: u32 = 10;
/// So many mailboxes are listed, the worst first, unless all are asked for.
const LISTED: usize = 20;
/// A command that names more users than this is written with `--all`.
const NAMED: usize = 8;

/// Look over a store without opening a single message: who is hit, how badly, what evidence is
/// left, how long a repair will take.
///
/// Reads indexes and directories only, takes no locks, changes nothing. Sizes and cache records are
/// sampled, so that counts of these are estimates.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reconstruct triage                     the whole store
  reconstruct triage --user alice --json
  reconstruct triage --all --rate 2500   with what the disks have been measured to give

Exit status:
  0  nothing is wrong that metadata would show
  1  mailboxes are hit
  2  could not run")]
pub(crate) struct TriageArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    server: ServerArgs,

    /// Mailboxes that are looked at together [default: twice the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: Option<u16>,

    /// Messages a second that a repair reads, for the estimate
    #[arg(long, value_name = "MESSAGES", value_parser = positive)]
    rate: Option<f64>,

    /// The directory of the incident whose runs tell how fast repairs are
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE)]
    incident: Option<PathBuf>,

    /// One JSON object a line on stdout (docs/json.md)
    #[arg(long)]
    json: bool,

    /// List every mailbox that is hit
    #[arg(short, long)]
    verbose: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0".to_owned()),
    }
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &TriageArgs) -> Result<u8> {
    let console = Console::new("reconstruct", false);
    let waiting = &mut |wait: &_| console.say(&format!("waiting: {}", held_by(wait)));
    let store = store::open(&args.server, waiting)?;
    let mut selection = Selection::from(&args.selection);
    selection.all |= selection.mailboxes.is_empty() && selection.users.is_empty();
    let (targets, misplaced) = store::targets(&store, &selection)?;
    for report in &misplaced {
        let why = report.error.as_deref().unwrap_or_default();
        console.say(&format!("{}: {why}", report.mailbox));
    }
    let jobs = args.jobs.map_or(Options::default().jobs.saturating_mul(2), usize::from);
    let hit = Mutex::new(Vec::new());
    let tell = |mailbox: &MailboxTriage| {
        if args.json {
            console.print_json(&Line::Triage(mailbox));
        } else if mailbox.severity != Severity::Sound
            && let Ok(mut hit) = hit.lock()
        {
            hit.push(mailbox.clone());
        }
    };
    let seen = triage(&Site::of(&store), &targets, jobs, &tell);
    let pace = Pace::of(args)?;
    if args.json {
        let seconds = pace.rate.time_for(seen.to_read, seen.bytes_to_read).as_secs();
        console.print_json(&Line::TriageSummary { seen: &seen, estimated_seconds: seconds });
    } else {
        let mut hit = hit.into_inner().unwrap_or_default();
        hit.sort_by(|one, other| {
            (other.severity, other.messages, &one.mailbox).cmp(&(
                one.severity,
                one.messages,
                &other.mailbox,
            ))
        });
        console.print(told(args, &seen, &hit, &pace));
    }
    console.finish()?;
    let all_sound = seen.users_hit.is_empty() && misplaced.is_empty();
    Ok(u8::from(!all_sound))
}

/// How fast a repair will be, and who says so.
struct Pace {
    rate: Rate,
    source: String,
}

impl Pace {
    fn of(args: &TriageArgs) -> Result<Self> {
        if let Some(messages) = args.rate {
            let rate = Rate { messages, bytes: f64::INFINITY };
            return Ok(Self { rate, source: "as given".to_owned() });
        }
        let incident = args.incident.as_deref().map(Incident::open).transpose()?;
        let measured = incident.map(|incident| incident.measured_rate("reconstruct", RUNS));
        Ok(match measured.transpose()?.flatten() {
            Some(measured) => Self {
                rate: Rate {
                    messages: measured.messages_per_second,
                    bytes: measured.bytes_per_second,
                },
                source: format!("measured over {} runs", measured.runs),
            },
            None => Self {
                rate: ASSUMED,
                source: "assumed: no run has measured it; --rate tells it".to_owned(),
            },
        })
    }
}

/// An object of the JSON output (docs/json.md).
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Triage(&'a MailboxTriage),
    TriageSummary {
        #[serde(flatten)]
        seen: &'a StoreTriage,
        estimated_seconds: u64,
    },
}

fn told(args: &TriageArgs, seen: &StoreTriage, hit: &[MailboxTriage], pace: &Pace) -> String {
    let mailboxes: u64 = seen.mailboxes.iter().sum();
    let counts = Severity::WORST_FIRST.map(|severity| {
        let count = seen.count(severity);
        (count > 0).then(|| format!("{count} {}", word(severity)))
    });
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let mut text =
        format!("{mailboxes} mailboxes, {} messages: {}\n", seen.messages, counts.join(", "));
    let shown = if args.verbose { hit.len() } else { LISTED };
    for mailbox in hit.iter().take(shown) {
        let _ = writeln!(text, "  {}", line_of(mailbox));
    }
    if let Some(more) = hit.len().checked_sub(shown).filter(|&more| more > 0) {
        let _ = writeln!(text, "  … {more} more (-v lists them)");
    }
    if !hit.is_empty() {
        text.push_str(&estimate(seen, pace));
        text.push_str(&next_command(args, seen));
    }
    text
}

fn line_of(mailbox: &MailboxTriage) -> String {
    let MailboxTriage { mailbox: name, severity, messages, .. } = mailbox;
    let mut line = format!("{:11} {name}: ", word(*severity));
    if let Some(why) = &mailbox.unavailable {
        line.push_str(why);
        return line;
    }
    let damage = mailbox.damage.iter().map(|damage| match damage.count {
        1 => damage.code.to_string(),
        count => format!("{} {count}", damage.code),
    });
    let damage: Vec<_> = damage.collect();
    let left: Vec<_> = mailbox.left.iter().map(|witness| named(*witness)).collect();
    let _ = write!(line, "{messages} messages; {}; left: {}", damage.join(", "), left.join(", "));
    line
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Sound => "sound",
        Severity::Blemished => "blemished",
        Severity::Damaged => "damaged",
        Severity::Lost => "lost",
        Severity::Unavailable => "unavailable",
    }
}

fn named(witness: Witness) -> &'static str {
    match witness {
        Witness::IndexRecords => "index records",
        Witness::IndexHeader => "index header",
        Witness::HeaderFile => "cyrus.header",
        Witness::MailboxList => "mailboxes.db",
        Witness::Conversations => "conversations",
        Witness::Counters => "counters",
        Witness::Messages => "messages",
    }
}

fn estimate(seen: &StoreTriage, pace: &Pace) -> String {
    let time = rounded(pace.rate.time_for(seen.to_read, seen.bytes_to_read));
    format!(
        "to repair: about {} messages ({}) have to be read: {time} at {:.0} messages/s ({})\n",
        seen.to_read,
        indicatif::HumanBytes(seen.bytes_to_read),
        pace.rate.messages,
        pace.source,
    )
}

/// No estimate is good to the second.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        0..=59 => "less than a minute".to_owned(),
        seconds @ 60..=7_199 => format!("about {} minutes", seconds.div_ceil(60)),
        seconds => format!("about {} hours", seconds.div_ceil(3_600)),
    }
}

fn next_command(args: &TriageArgs, seen: &StoreTriage) -> String {
    let users: Vec<_> = seen.users_hit.iter().filter(|user| !user.is_empty()).collect();
    let whole = users.len() > NAMED || users.len() < seen.users_hit.len();
    let whom = if whole {
        " --all".to_owned()
    } else {
        users.iter().fold(String::new(), |whom, user| whom + " --user " + user)
    };
    let config = args.server.config.display();
    format!("next, to see what would be done:\n  reconstruct -n -C {config}{whom}\n")
}
