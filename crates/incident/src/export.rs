//! Everything an incident holds, as JSON lines (`docs/incident.md`).

mod queue;

use std::io::{self, Write};
use std::path::Path;

use mailstore_format::Timestamp;
use serde::{Serialize, Serializer};

use crate::deliveries::RecordedDelivery;
use crate::error::Error;
use crate::gaps::RecordedGap;
use crate::incident::Incident;
use crate::journal::{AnnotationLine, path_bytes};
use crate::mailboxes::MailboxOutcome;
use crate::quarantine::RecordedFile;
use crate::runs::Run;
use crate::stores::BoundStore;
use crate::wanted::Wanted;
use crate::{About, RecordedFinding};

/// A line of the export. Fields and types of lines are only ever added.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Incident {
        created: i64,
        closed: Option<i64>,
        note: &'a str,
    },
    Store {
        store: i64,
        #[serde(with = "path_bytes")]
        config_directory: &'a Path,
        #[serde(with = "path_bytes")]
        imapd_conf: &'a Path,
        bound: i64,
    },
    Run {
        run: i64,
        store: i64,
        name: &'a str,
        tool: &'a str,
        version: &'a str,
        arguments: &'a [String],
        started: i64,
        ended: Option<i64>,
        status: &'static str,
        mailboxes: u64,
        messages: u64,
        bytes_read: u64,
        seconds: f64,
        undone: Option<i64>,
    },
    Outcome {
        run: i64,
        uniqueid: &'a str,
        mailbox: &'a str,
        state: &'a str,
        messages: u64,
        messages_read: u64,
        bytes_read: u64,
        error: Option<&'a str>,
        undone: Option<i64>,
    },
    Finding {
        run: i64,
        uniqueid: Option<&'a str>,
        mailbox: Option<&'a str>,
        uid: Option<u32>,
        code: &'a str,
        remedy: &'a str,
        detail: &'a str,
    },
    Wanted {
        wanted: i64,
        store: i64,
        uniqueid: &'a str,
        mailbox: &'a str,
        uid: u32,
        guid: String,
        size: u64,
        system_flags: u16,
        internal_flags: u32,
        keywords: &'a [String],
        internaldate: i64,
        savedate: i64,
        sentdate: i64,
        modseq: u64,
        createdmodseq: u64,
        thread_id: String,
        annotations: Vec<AnnotationLine>,
        why: &'static str,
        run: i64,
        first_seen: i64,
        last_seen: i64,
        found_at: Option<i64>,
    },
    Quarantine {
        run: i64,
        uniqueid: &'a str,
        mailbox: &'a str,
        #[serde(with = "path_bytes")]
        origin: &'a Path,
        #[serde(with = "path_bytes")]
        now: &'a Path,
        reason: &'a str,
        guid: Option<String>,
        mtime: Option<i64>,
        restored: Option<i64>,
    },
    Gap {
        store: i64,
        uniqueid: &'a str,
        mailbox: &'a str,
        uid: u32,
        copy: u32,
        guid: String,
        class: &'a str,
        restore: bool,
        evidence: &'a str,
        messages: u64,
        bytes: u64,
        system_flags: u16,
        keywords: &'a [String],
        internaldate: i64,
        savedate: i64,
        thread_id: String,
        origin: PathIfAny<'a>,
        staged: PathIfAny<'a>,
        wanted: Option<i64>,
        run: i64,
        first_seen: i64,
        last_seen: i64,
        closed: Option<i64>,
        closed_by: Option<i64>,
        annotations: Vec<AnnotationLine>,
        seen_by: &'a [String],
    },
    Delivery {
        uniqueid: &'a str,
        mailbox: &'a str,
        guid: String,
        source_uid: u32,
        copy: u32,
        state: &'static str,
        uid: Option<u32>,
        note: &'a str,
        via: &'a str,
        run: i64,
        at: i64,
        uidvalidity: Option<u32>,
        uidnext: Option<u32>,
        folder: Option<&'a str>,
    },
}

impl Incident {
    /// Writes everything the incident holds to `out`, one JSON object a line. What other processes
    /// write meanwhile may or may not be in it. An error of `out` is returned as it is.
    pub fn export(&self, out: &mut impl Write) -> Result<io::Result<()>, Error> {
        let mut export = Export { out, result: Ok(()) };
        export.line(&of_incident(&self.about()?));
        self.stores()?.iter().for_each(|store| export.line(&of_store(store)));
        export.rows(self.runs(), of_run)?;
        export.rows(self.outcomes(), of_outcome)?;
        export.rows(self.findings(), of_finding)?;
        export.rows(self.wanted(), of_wanted)?;
        export.rows(self.quarantined(), of_quarantined)?;
        export.rows(self.gaps(), of_gap)?;
        export.rows(self.deliveries(), of_delivery)?;
        queue::write(self, &mut export)?;
        Ok(export.result)
    }
}

struct Export<'w, W> {
    out: &'w mut W,
    result: io::Result<()>,
}

impl<W: Write> Export<'_, W> {
    fn rows<T>(
        &mut self,
        rows: impl Iterator<Item = Result<T, Error>>,
        line: impl Fn(&T) -> Line<'_>,
    ) -> Result<(), Error> {
        for row in rows {
            if self.result.is_err() {
                break;
            }
            self.line(&line(&row?));
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) {
        if self.result.is_ok() {
            let written = serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from);
            self.result = written.and_then(|()| self.out.write_all(b"\n"));
        }
    }
}

fn nanos(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

fn of_incident(about: &About) -> Line<'_> {
    Line::Incident { created: about.created.0, closed: nanos(about.closed), note: &about.note }
}

fn of_store(store: &BoundStore) -> Line<'_> {
    Line::Store {
        store: store.id.0,
        config_directory: &store.binding.config_directory,
        imapd_conf: &store.binding.imapd_conf,
        bound: store.bound.0,
    }
}

fn of_run(run: &Run) -> Line<'_> {
    Line::Run {
        run: run.id.0,
        store: run.store.0,
        name: &run.start.name,
        tool: &run.start.tool,
        version: &run.start.version,
        arguments: &run.start.arguments,
        started: run.start.started.0,
        ended: nanos(run.ended),
        status: run.end.status.as_str(),
        mailboxes: run.end.mailboxes,
        messages: run.end.messages,
        bytes_read: run.end.bytes_read,
        seconds: run.end.seconds,
        undone: nanos(run.undone),
    }
}

fn of_outcome(recorded: &MailboxOutcome) -> Line<'_> {
    Line::Outcome {
        run: recorded.run.0,
        uniqueid: &recorded.mailbox.uniqueid,
        mailbox: &recorded.mailbox.name,
        state: &recorded.outcome.state,
        messages: recorded.outcome.messages,
        messages_read: recorded.outcome.messages_read,
        bytes_read: recorded.outcome.bytes_read,
        error: recorded.outcome.error.as_deref(),
        undone: nanos(recorded.undone),
    }
}

fn of_finding(recorded: &RecordedFinding) -> Line<'_> {
    Line::Finding {
        run: recorded.run.0,
        uniqueid: recorded.mailbox.as_ref().map(|mailbox| mailbox.uniqueid.as_str()),
        mailbox: recorded.mailbox.as_ref().map(|mailbox| mailbox.name.as_str()),
        uid: recorded.finding.uid.map(|uid| uid.0),
        code: &recorded.finding.code,
        remedy: &recorded.finding.remedy,
        detail: &recorded.finding.detail,
    }
}

fn of_wanted(wanted: &Wanted) -> Line<'_> {
    let message = &wanted.message;
    Line::Wanted {
        wanted: wanted.id.0,
        store: wanted.store.0,
        uniqueid: &wanted.mailbox.uniqueid,
        mailbox: &wanted.mailbox.name,
        uid: message.uid.0,
        guid: message.guid.to_string(),
        size: message.size,
        system_flags: message.system_flags.0,
        internal_flags: message.internal_flags.0,
        keywords: &message.keywords,
        internaldate: message.internaldate.0,
        savedate: message.savedate.0,
        sentdate: message.sentdate.0,
        modseq: message.modseq.0,
        createdmodseq: message.createdmodseq.0,
        thread_id: message.thread_id.to_string(),
        annotations: message.annotations.iter().map(AnnotationLine::from).collect(),
        why: message.why.as_str(),
        run: wanted.run.0,
        first_seen: wanted.first_seen.0,
        last_seen: wanted.last_seen.0,
        found_at: nanos(wanted.found_at),
    }
}

fn of_quarantined(recorded: &RecordedFile) -> Line<'_> {
    Line::Quarantine {
        run: recorded.run.0,
        uniqueid: &recorded.mailbox.uniqueid,
        mailbox: &recorded.mailbox.name,
        origin: &recorded.file.origin,
        now: &recorded.file.now,
        reason: &recorded.file.reason,
        guid: recorded.file.guid.map(|guid| guid.to_string()),
        mtime: nanos(recorded.file.mtime),
        restored: nanos(recorded.restored),
    }
}

fn of_gap(recorded: &RecordedGap) -> Line<'_> {
    let gap = &recorded.gap;
    Line::Gap {
        store: recorded.store.0,
        uniqueid: &recorded.mailbox.uniqueid,
        mailbox: &recorded.mailbox.name,
        uid: gap.uid.0,
        copy: gap.copy,
        guid: gap.guid.to_string(),
        class: &gap.class,
        restore: gap.restore,
        evidence: &gap.evidence,
        messages: gap.messages,
        bytes: gap.bytes,
        system_flags: gap.system_flags.0,
        keywords: &gap.keywords,
        internaldate: gap.internaldate.0,
        savedate: gap.savedate.0,
        thread_id: gap.thread_id.to_string(),
        origin: PathIfAny(gap.origin.as_deref()),
        staged: PathIfAny(gap.staged.as_deref()),
        wanted: gap.wanted.map(|wanted| wanted.0),
        run: recorded.run.0,
        first_seen: recorded.first_seen.0,
        last_seen: recorded.last_seen.0,
        closed: recorded.closed.map(|(at, _)| at.0),
        closed_by: recorded.closed.map(|(_, run)| run.0),
        annotations: gap.annotations.iter().map(AnnotationLine::from).collect(),
        seen_by: &gap.seen_by,
    }
}

fn of_delivery(recorded: &RecordedDelivery) -> Line<'_> {
    let delivery = &recorded.delivery;
    Line::Delivery {
        uniqueid: &recorded.mailbox.uniqueid,
        mailbox: &recorded.mailbox.name,
        guid: recorded.guid.to_string(),
        source_uid: recorded.source_uid.0,
        copy: recorded.copy,
        state: delivery.state.as_str(),
        uid: delivery.uid.map(|uid| uid.0),
        note: &delivery.note,
        via: &recorded.via,
        run: recorded.run.0,
        at: recorded.at.0,
        uidvalidity: recorded.unconfirmed.map(|above| above.uidvalidity.0),
        uidnext: recorded.unconfirmed.map(|above| above.uidnext.0),
        folder: recorded.folder.as_deref(),
    }
}

/// A path that there need not be: as [`path_bytes`] has it, or null.
struct PathIfAny<'a>(Option<&'a Path>);

impl Serialize for PathIfAny<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(path) => path_bytes::serialize(path, serializer),
            None => serializer.serialize_none(),
        }
    }
}
