//! The figures for programs. `docs/status.md` says what each field is.

use mailstore_format::Timestamp;
use serde::Serialize;

use super::words::rfc3339;
use crate::status::{Count, Estimate, Phase, Status};

/// The file's name, beside the public page.
pub(super) const FILE: &str = "status.json";

/// Changes when a field changes its meaning. Fields are added without.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Whole<'a> {
    version: u32,
    made: String,
    phase: &'static str,
    since: Option<String>,
    begun: Option<String>,
    reported: Option<String>,
    users: Counted,
    set_aside: u64,
    mailboxes: Counted,
    messages: Counted,
    users_per_hour: Option<f64>,
    messages_per_second: Option<f64>,
    estimate: Option<Range>,
    earlier: Vec<Range>,
    progress: Vec<Point>,
    notes: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Counted {
    done: u64,
    total: u64,
}

#[derive(Serialize)]
struct Range {
    made: String,
    earliest: String,
    latest: String,
}

#[derive(Serialize)]
struct Point {
    at: String,
    users: u64,
    messages: u64,
}

#[derive(Serialize)]
struct Said<'a> {
    at: String,
    text: &'a str,
}

impl From<Count> for Counted {
    fn from(Count { done, total }: Count) -> Self {
        Self { done, total }
    }
}

impl From<&Estimate> for Range {
    fn from(estimate: &Estimate) -> Self {
        let Estimate { made, earliest, latest } = *estimate;
        Self { made: rfc3339(made), earliest: rfc3339(earliest), latest: rfc3339(latest) }
    }
}

/// One JSON object, and a line end.
pub(super) fn document(status: &Status) -> Result<String, serde_json::Error> {
    let time = |time: Option<Timestamp>| time.map(rfc3339);
    let (phase, since) = phase(status.phase);
    let points = status.progress.iter().map(|sample| Point {
        at: rfc3339(sample.at),
        users: sample.users,
        messages: sample.messages,
    });
    let notes = status.notes.iter().map(|note| Said { at: rfc3339(note.at), text: &note.text });
    let whole = Whole {
        version: VERSION,
        made: rfc3339(status.made),
        phase,
        since: time(since),
        begun: time(status.begun),
        reported: time(status.reported),
        users: status.users.into(),
        set_aside: status.set_aside,
        mailboxes: status.mailboxes.into(),
        messages: status.messages.into(),
        users_per_hour: status.rate.map(|rate| rate.users),
        messages_per_second: status.rate.map(|rate| rate.messages),
        estimate: status.estimate.as_ref().map(Range::from),
        earlier: status.earlier.iter().map(Range::from).collect(),
        progress: points.collect(),
        notes: notes.collect(),
    };
    serde_json::to_string(&whole).map(|text| text + "\n")
}

/// A phase's name, and since when it is, where the phase tells.
fn phase(phase: Phase) -> (&'static str, Option<Timestamp>) {
    match phase {
        Phase::Empty => ("empty", None),
        Phase::NotBegun => ("not_begun", None),
        Phase::Running => ("running", None),
        Phase::Paused { since } => ("paused", Some(since)),
        Phase::Silent => ("silent", None),
        Phase::Stopped => ("stopped", None),
        Phase::Done { since } => ("done", Some(since)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, running};
    use super::*;
    use serde_json::Value;

    const DOCUMENT: &str = include_str!("../../../../docs/status.md");

    fn parsed(status: &Status) -> Value {
        serde_json::from_str(&document(status).unwrap()).unwrap()
    }

    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, member)| {
                found.push(key.clone());
                keys(member, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_figures_are_those_of_the_status_in_base_units() {
        let json = parsed(&running());
        assert_eq!(json["made"], "2026-11-21T11:58:00Z");
        assert_eq!(json["users"]["done"], 130);
        assert_eq!(json["messages"]["total"], 1_250_117);
        assert_eq!(json["users_per_hour"], 47.0);
        assert_eq!(json["estimate"]["latest"], "2026-11-21T13:54:40Z");
        assert_eq!(json["earlier"].as_array().unwrap().len(), 2);
        assert_eq!(json["progress"][299]["users"], 129);
        assert_eq!(json["notes"][0]["text"], "New disks are in.");
        let odd = Status {
            rate: Some(crate::status::Rate { users: f64::NAN, messages: 0.0 }),
            ..running()
        };
        assert_eq!(parsed(&odd)["users_per_hour"], Value::Null);
    }

    #[test]
    fn every_field_and_phase_is_documented() {
        let mut words = Vec::new();
        keys(&parsed(&running()), &mut words);
        let since = at(0);
        let phases = [Phase::Empty, Phase::NotBegun, Phase::Running, Phase::Silent, Phase::Stopped];
        for phase in phases.into_iter().chain([Phase::Paused { since }, Phase::Done { since }]) {
            let json = parsed(&Status { phase, ..running() });
            words.push(json["phase"].as_str().unwrap().to_owned());
        }
        for word in words {
            assert!(
                DOCUMENT.contains(&format!("`{word}`")),
                "docs/status.md does not tell of {word}"
            );
        }
    }
}
