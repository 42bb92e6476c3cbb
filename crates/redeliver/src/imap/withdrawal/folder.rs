//! Taking messages out of one folder: those that are as they came, and no others.

use std::collections::{BTreeSet, HashMap};

use imap_client::{Deleted, Error, Examined, Fetched, Session};
use incident::{GapId, Sent, Withdrawal as Stage};
use mailstore_format::{Guid, Uid};
use reconstruct::{Code, Finding, MailboxReport, Remedy, State};

use super::{Batch, Withdrawal};
use crate::imap::place::Place;

/// What marks a message as one to be expunged.
const DELETED: &str = "\\deleted";
/// A flag of the session, which no message has by itself.
const RECENT: &str = "\\recent";

/// Why a folder could not be worked on.
#[derive(Debug)]
pub(super) enum Failure {
    Server(Error),
    Incident(crate::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<incident::Error> for Failure {
    fn from(error: incident::Error) -> Self {
        Self::Incident(error.into())
    }
}

/// A message that is as it came.
#[derive(Debug, Clone, Copy)]
struct Untouched<'a> {
    sent: &'a Sent,
    /// How many bytes the server says that it has.
    size: u64,
}

impl Withdrawal<'_> {
    /// Takes the messages of `batch` out of the folder they were sent to.
    pub(super) fn withdraw(
        &self,
        session: &mut Session,
        place: &Place<'_>,
        batch: &Batch,
        report: &mut MailboxReport,
    ) -> Result<(), Failure> {
        if !session.expunges_single_messages() {
            return Err(Error::Protocol(NO_UIDPLUS.to_owned()).into());
        }
        let own = || place.own_name_on(session.namespace());
        let folder = batch.folder.as_ref();
        let name = folder.map_or_else(own, |folder| Ok(folder.clone().into_bytes()));
        let name = name.map_err(|why| Error::Protocol(why.to_owned()))?;
        let opened = if self.dry_run { session.examine(&name) } else { session.select(&name) };
        let examined = match opened {
            Err(Error::Refused { said, .. }) => {
                leave_all(
                    report,
                    batch,
                    &format!("the server does not open its folder: it says {said}"),
                );
                return Ok(());
            }
            opened => opened?,
        };
        let known = known_of(&examined, batch, report);
        let (untouched, gone) = untouched_of(session, &known, report)?;
        if self.dry_run {
            tell_taken(report, &untouched, &gone, State::Planned);
            return Ok(());
        }
        self.incident.withdrawn(&ids(&gone))?;
        let taken = self.expunge(session, &untouched, report)?;
        tell_taken(report, &taken, &gone, State::Undone);
        Ok(())
    }

    /// Expunges them, but for those that somebody touches meanwhile; those that are gone.
    fn expunge<'b>(
        &self,
        session: &mut Session,
        untouched: &[Untouched<'b>],
        report: &mut MailboxReport,
    ) -> Result<Vec<Untouched<'b>>, Failure> {
        if untouched.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<&Sent> = untouched.iter().map(|it| it.sent).collect();
        self.incident.withdrawal_came_to(&ids(&all), Stage::Begun)?;
        session.mark_deleted(&uids_of(&all), Deleted::Set)?;
        let there = by_uid(session.flags(&uids_of(&all))?);
        let is_marked =
            |sent: &Sent| there.get(&sent.uid).is_some_and(|it| is_only_marked(sent, it));
        let (marked, touched): (Vec<&Sent>, Vec<&Sent>) =
            all.into_iter().partition(|it| is_marked(it));
        self.leave_touched(session, &touched, report)?;
        self.incident.withdrawal_came_to(&ids(&marked), Stage::Marked)?;
        session.expunge(&uids_of(&marked))?;
        let left = by_uid(session.flags(&uids_of(&marked))?);
        let (kept, taken): (Vec<&Sent>, Vec<&Sent>) =
            marked.into_iter().partition(|sent| left.contains_key(&sent.uid));
        for sent in kept {
            leave(report, sent, "the server keeps it although it was to be expunged");
        }
        self.incident.withdrawn(&ids(&taken))?;
        let taken: BTreeSet<Uid> = taken.iter().map(|sent| sent.uid).collect();
        Ok(untouched.iter().copied().filter(|it| taken.contains(&it.sent.uid)).collect())
    }

    /// Somebody touched them between the look and the mark, which is taken off again.
    fn leave_touched(
        &self,
        session: &mut Session,
        touched: &[&Sent],
        report: &mut MailboxReport,
    ) -> Result<(), Failure> {
        if touched.is_empty() {
            return Ok(());
        }
        let came_so = |sent: &&&Sent| flags_of(sent).contains(DELETED);
        let unmark: Vec<&Sent> = touched.iter().filter(|it| !came_so(it)).copied().collect();
        session.mark_deleted(&uids_of(&unmark), Deleted::Cleared)?;
        self.incident.withdrawal_given_up(&ids(touched))?;
        for sent in touched {
            leave(report, sent, "somebody has changed its flags since");
        }
        Ok(())
    }
}

/// Those whose UIDs mean something in the open folder.
fn known_of<'b>(
    examined: &Examined,
    batch: &'b Batch,
    report: &mut MailboxReport,
) -> Vec<&'b Sent> {
    let mut known = Vec::new();
    for sent in &batch.sent {
        match (sent.uidvalidity, &sent.flags) {
            (Some(uidvalidity), Some(_)) if Some(uidvalidity.0) == examined.uidvalidity => {
                known.push(sent);
            }
            (Some(_), Some(_)) => leave(report, sent, "its folder was made anew since"),
            _ => leave(
                report,
                sent,
                "it was delivered by an earlier release, which noted too little",
            ),
        }
    }
    known
}

/// Those that are as they came, and those that an earlier withdrawal has expunged. What its owner
/// has deleted is neither, and nothing is said of it.
fn untouched_of<'b>(
    session: &mut Session,
    known: &[&'b Sent],
    report: &mut MailboxReport,
) -> Result<(Vec<Untouched<'b>>, Vec<&'b Sent>), Failure> {
    let there = by_uid(session.flags(&uids_of(known))?);
    let (mut untouched, mut gone) = (Vec::new(), Vec::new());
    for &sent in known {
        match there.get(&sent.uid) {
            None if sent.withdrawal == Some(Stage::Marked) => gone.push(sent),
            None => {}
            Some(fetched) if is_as_it_came(sent, fetched) => {
                untouched.push(Untouched { sent, size: fetched.size().unwrap_or(0) });
            }
            Some(_) => leave(report, sent, "somebody has changed its flags since"),
        }
    }
    let largest = untouched.iter().map(|it| it.size).max().unwrap_or(0);
    let uids: Vec<u32> = untouched.iter().map(|it| it.sent.uid.0).collect();
    let mut guids = HashMap::new();
    session.bodies(&uids, largest, &mut |fetched| {
        if let Some(body) = fetched.body() {
            guids.insert(Uid(fetched.uid), Guid::of(body));
        }
    })?;
    untouched.retain(|it| {
        let is_same = guids.get(&it.sent.uid) == Some(&it.sent.guid);
        if !is_same {
            leave(report, it.sent, "it is not what was delivered");
        }
        is_same
    });
    Ok((untouched, gone))
}

/// Why nothing is taken back at all.
const NO_UIDPLUS: &str = "it has no UIDPLUS, and EXPUNGE without it would remove other messages as \
                          well: nothing is taken back";

/// Whether its flags are those with which it came; the mark of a withdrawal that was cut off is none.
fn is_as_it_came(sent: &Sent, fetched: &Fetched) -> bool {
    flags_in(fetched) == flags_of(sent)
        || sent.withdrawal.is_some() && is_only_marked(sent, fetched)
}

/// Whether its flags are those with which it came, and it is marked as deleted.
fn is_only_marked(sent: &Sent, fetched: &Fetched) -> bool {
    let mut marked = flags_of(sent);
    marked.insert(DELETED.to_owned());
    flags_in(fetched) == marked
}

fn flags_of(sent: &Sent) -> BTreeSet<String> {
    sent.flags.iter().flatten().map(|flag| flag.to_ascii_lowercase()).collect()
}

fn flags_in(fetched: &Fetched) -> BTreeSet<String> {
    let flags = fetched.flags().unwrap_or_default().into_iter();
    flags.map(|flag| flag.to_ascii_lowercase()).filter(|flag| flag != RECENT).collect()
}

fn by_uid(fetched: Vec<Fetched>) -> HashMap<Uid, Fetched> {
    fetched.into_iter().map(|fetched| (Uid(fetched.uid), fetched)).collect()
}

/// Ascending, as they are asked for.
fn uids_of(sent: &[&Sent]) -> Vec<u32> {
    let uids: BTreeSet<u32> = sent.iter().map(|sent| sent.uid.0).collect();
    uids.into_iter().collect()
}

fn ids(sent: &[&Sent]) -> Vec<GapId> {
    sent.iter().map(|sent| sent.gap).collect()
}

fn leave(report: &mut MailboxReport, sent: &Sent, why: &str) {
    let at = sent.folder.as_ref().map(|folder| format!(" in '{folder}'")).unwrap_or_default();
    let detail = format!("{}{at} stays: {why}", sent.guid);
    report.findings.push(Finding::new(Code::UndoLeft, Remedy::Left, detail).about(sent.uid));
    report.state = State::Left;
}

fn leave_all(report: &mut MailboxReport, batch: &Batch, why: &str) {
    batch.sent.iter().for_each(|sent| leave(report, sent, why));
}

fn tell_taken(report: &mut MailboxReport, taken: &[Untouched<'_>], gone: &[&Sent], state: State) {
    report.messages = u64::try_from(taken.len()).unwrap_or(u64::MAX);
    report.bytes_read = taken.iter().map(|it| it.size).sum();
    report.messages_read = report.messages;
    let all: Vec<&Sent> = taken.iter().map(|it| it.sent).chain(gone.iter().copied()).collect();
    for sent in &all {
        let at = sent.folder.as_ref().map(|folder| format!(" in '{folder}'")).unwrap_or_default();
        let detail = format!("{}{at} had come over IMAP", sent.guid);
        report.findings.push(Finding::new(Code::Undone, Remedy::Repair, detail).about(sent.uid));
    }
    if !all.is_empty() && (report.state == State::Sound || state == State::Planned) {
        report.state = state;
    }
}
