//! `incident show`

use std::collections::{BTreeSet, VecDeque};

use anyhow::Result;
use incident::queue::{Roster as _, StateTotal};
use incident::{About, BoundStore, Incident, Rate, Run, Summary};
use serde::Serialize;

use super::Which;
use command_line::text::{bytes, count, printable, time};

/// So many of the latest runs are listed, and so many of a tool's give its rate.
const LATEST: u32 = 10;

/// Say what an incident holds
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,

    /// As one JSON object (docs/incident.md)
    #[arg(long)]
    json: bool,
}

/// The JSON object.
#[derive(Serialize)]
struct Object<'a> {
    r#type: &'static str,
    directory: String,
    created: i64,
    closed: Option<i64>,
    note: &'a str,
    stores: Vec<String>,
    #[serde(flatten)]
    summary: &'a Summary,
    rates: Vec<RateObject<'a>>,
}

#[derive(Serialize)]
struct RateObject<'a> {
    tool: &'a str,
    runs: u32,
    messages_per_second: f64,
    bytes_per_second: f64,
}

/// What is shown.
struct Contents {
    about: About,
    stores: Vec<BoundStore>,
    latest: VecDeque<Run>,
    rates: Vec<(String, Rate)>,
    /// Of each store, the jobs of its queue.
    queue: Vec<StateTotal>,
    summary: Summary,
}

impl Show {
    pub(super) fn run(&self) -> Result<u8> {
        let incident = self.which.open()?;
        let contents = Contents::of(&incident)?;
        if self.json {
            println!("{}", contents.json(&incident)?);
        } else {
            print!("{}", contents.text(&incident));
        }
        Ok(0)
    }
}

impl Contents {
    fn of(incident: &Incident) -> Result<Self> {
        let mut latest = VecDeque::new();
        let mut tools = BTreeSet::new();
        for run in incident.runs() {
            let run = run?;
            tools.insert(run.start.tool.clone());
            latest.push_back(run);
            if latest.len() > LATEST as usize {
                latest.pop_front();
            }
        }
        let mut rates = Vec::new();
        for tool in tools {
            rates.extend(incident.measured_rate(&tool, LATEST)?.map(|rate| (tool, rate)));
        }
        let (about, stores) = (incident.about()?, incident.stores()?);
        let mut queue = Vec::new();
        for store in &stores {
            queue.extend(incident.totals(store.id)?);
        }
        Ok(Self { about, stores, latest, rates, queue, summary: incident.summary()? })
    }

    fn json(&self, incident: &Incident) -> serde_json::Result<String> {
        serde_json::to_string(&Object {
            r#type: "summary",
            directory: incident.directory().display().to_string(),
            created: self.about.created.0,
            closed: self.about.closed.map(|closed| closed.0),
            note: &self.about.note,
            stores: self.stores.iter().map(conf_of).collect(),
            summary: &self.summary,
            rates: self.rates.iter().map(|(tool, rate)| RateObject::of(tool, rate)).collect(),
        })
    }

    fn text(&self, incident: &Incident) -> String {
        let mut lines = vec![self.head(incident)];
        if !self.about.note.is_empty() {
            lines.push(format!("note: {}", printable(&self.about.note)));
        }
        for store in &self.stores {
            let directory = store.binding.config_directory.display();
            lines.push(format!("store: {} (configdirectory {directory})", conf_of(store)));
        }
        lines.extend(self.runs());
        lines.extend(self.queue());
        lines.extend(self.wanted());
        lines.extend(self.findings());
        for kept in &self.summary.kept {
            let files = count(kept.files, "file", "files");
            lines.push(format!("kept: {} ({files})", printable(&kept.directory.display())));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn head(&self, incident: &Incident) -> String {
        let state = match self.about.closed {
            Some(closed) => format!("closed {}", time(closed)),
            None => "open".to_owned(),
        };
        let directory = incident.directory().display();
        format!("incident {directory}, made {}, {state}", time(self.about.created))
    }

    fn runs(&self) -> Vec<String> {
        let mailboxes = count(self.summary.mailboxes, "mailbox", "mailboxes");
        let mut lines = vec![format!("runs: {}, on {mailboxes}", self.summary.runs)];
        let shown = u64::try_from(self.latest.len()).unwrap_or(u64::MAX);
        if shown < self.summary.runs {
            lines.push(format!("  … {} earlier", self.summary.runs.saturating_sub(shown)));
        }
        lines.extend(self.latest.iter().map(run_line));
        for (tool, rate) in &self.rates {
            let (messages, read) = (rate.messages_per_second, bytes(rate.bytes_per_second));
            let tool = printable(tool);
            lines.push(format!("rate of {tool}: {messages:.0} messages/s, {read}/s"));
        }
        lines
    }

    fn queue(&self) -> Option<String> {
        let of = |total: &StateTotal| format!("{} {}", total.jobs, total.state.as_str());
        let states: Vec<String> = self.queue.iter().map(of).collect();
        (!states.is_empty()).then(|| format!("jobs of rebuildq: {}", states.join(", ")))
    }

    fn wanted(&self) -> Vec<String> {
        let wanted = &self.summary.wanted;
        let total = wanted.iter().map(|count| count.wanted).sum();
        let mut lines = vec![format!("wanted: {}", count(total, "message", "messages"))];
        for part in wanted {
            let found = match part.found {
                0 => String::new(),
                found => format!(", {found} found"),
            };
            lines.push(format!("  {} {}{found}", part.wanted, printable(&part.why)));
        }
        lines
    }

    fn findings(&self) -> Vec<String> {
        if self.summary.findings.is_empty() {
            return Vec::new();
        }
        let mut lines = vec!["findings of each mailbox's latest run:".to_owned()];
        for found in &self.summary.findings {
            let (code, remedy) = (printable(&found.code), printable(&found.remedy));
            let mailboxes = count(found.mailboxes, "mailbox", "mailboxes");
            lines.push(format!("  {} {code} ({remedy}) in {mailboxes}", found.count));
        }
        lines
    }
}

impl<'a> RateObject<'a> {
    fn of(tool: &'a str, rate: &Rate) -> Self {
        Self {
            tool,
            runs: rate.runs,
            messages_per_second: rate.messages_per_second,
            bytes_per_second: rate.bytes_per_second,
        }
    }
}

fn conf_of(store: &BoundStore) -> String {
    store.binding.imapd_conf.display().to_string()
}

fn run_line(run: &Run) -> String {
    let (name, start) = (printable(&run.start.name), &run.start);
    let tool = match start.tool.as_str() {
        "" => "an unknown tool".to_owned(),
        tool => format!("{} {}", printable(tool), printable(&start.version)),
    };
    let mailboxes = count(run.end.mailboxes, "mailbox", "mailboxes");
    let messages = count(run.end.messages, "message", "messages");
    let undone = if run.undone.is_some() { ", undone" } else { "" };
    let status = run.end.status.as_str();
    format!("  {name}: {tool}, {mailboxes}, {messages}, {status}{undone}")
}
