//! The queue of rebuilds in the export. Tokens of links are not in it: who has one sees an account.

use std::io::Write;

use serde::Serialize;

use super::{Export, nanos};
use crate::error::Error;
use crate::incident::Incident;
use crate::pages::Pages;
use crate::queue::{
    Chronicle as _, Event, Job, JobMailbox, QueueNote, RebuildRequest, Roster as _,
};

/// A line of the export. Fields and types of lines are only ever added.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Job {
        job: i64,
        store: i64,
        user: &'a str,
        state: &'static str,
        access: &'static str,
        priority: i64,
        attempts: u32,
        why: Option<&'a str>,
        mailboxes: u64,
        messages: u64,
        to_read: u64,
        bytes_to_read: u64,
        added: i64,
        claimed: Option<i64>,
        ended: Option<i64>,
    },
    JobMailbox {
        job: i64,
        uniqueid: &'a str,
        mailbox: &'a str,
        messages: u64,
        to_read: u64,
        bytes_to_read: u64,
        outcome: Option<&'a str>,
        seconds: Option<f64>,
        ended: Option<i64>,
    },
    QueueEvent {
        event: i64,
        at: i64,
        job: Option<i64>,
        kind: &'static str,
        detail: &'a str,
    },
    QueueNote {
        at: i64,
        text: &'a str,
    },
    QueueRequest {
        at: i64,
        sender: &'a str,
        user: Option<&'a str>,
        why: Option<&'a str>,
        subject: Option<&'a str>,
        text: Option<&'a str>,
    },
}

pub(super) fn write<W: Write>(
    incident: &Incident,
    export: &mut Export<'_, W>,
) -> Result<(), Error> {
    for job in incident.all_jobs() {
        let job = job?;
        export.line(&of_job(&job));
        for mailbox in incident.mailboxes_of(job.id)? {
            export.line(&of_mailbox(&job, &mailbox));
        }
    }
    let events = Pages::new(&incident.database, |connection, after: &i64, limit| {
        let events = crate::queue::events_after(connection, *after, limit)?;
        Ok(events.into_iter().map(|event| (event.id, event)).collect())
    });
    for event in events {
        export.line(&of_event(&event?));
    }
    for note in incident.notes(u32::MAX)?.iter().rev() {
        export.line(&of_note(note));
    }
    for request in incident.requests(u32::MAX)?.iter().rev() {
        export.line(&of_request(request));
    }
    Ok(())
}

fn of_job(job: &Job) -> Line<'_> {
    Line::Job {
        job: job.id.number(),
        store: job.store.0,
        user: &job.user,
        state: job.state.as_str(),
        access: job.access.as_str(),
        priority: job.priority,
        attempts: job.attempts,
        why: job.why.as_deref(),
        mailboxes: job.size.mailboxes,
        messages: job.size.messages,
        to_read: job.size.to_read,
        bytes_to_read: job.size.bytes_to_read,
        added: job.added.0,
        claimed: nanos(job.claimed),
        ended: nanos(job.ended),
    }
}

fn of_mailbox<'a>(job: &Job, mailbox: &'a JobMailbox) -> Line<'a> {
    let end = mailbox.end.as_ref();
    Line::JobMailbox {
        job: job.id.number(),
        uniqueid: &mailbox.mailbox.uniqueid,
        mailbox: &mailbox.mailbox.name,
        messages: mailbox.size.messages,
        to_read: mailbox.size.to_read,
        bytes_to_read: mailbox.size.bytes_to_read,
        outcome: end.and_then(|end| end.outcome.as_deref()),
        seconds: end.map(|end| end.seconds),
        ended: end.map(|end| end.at.0),
    }
}

fn of_event(event: &Event) -> Line<'_> {
    Line::QueueEvent {
        event: event.id,
        at: event.at.0,
        job: event.job.as_ref().map(|(job, _)| job.number()),
        kind: event.kind.as_str(),
        detail: &event.detail,
    }
}

fn of_note(note: &QueueNote) -> Line<'_> {
    Line::QueueNote { at: note.at.0, text: &note.text }
}

fn of_request(request: &RebuildRequest) -> Line<'_> {
    let RebuildRequest { at, sender, user, why, subject, text } = request;
    Line::QueueRequest {
        at: at.0,
        sender,
        user: user.as_deref(),
        why: why.as_deref(),
        subject: subject.as_deref(),
        text: text.as_deref(),
    }
}
