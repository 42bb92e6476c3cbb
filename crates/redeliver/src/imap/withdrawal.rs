//! Taking back what a run delivered over IMAP and nobody has touched since.

mod folder;

use std::collections::HashMap;

use imap_client::{Error, Session};
use incident::{Incident, MailboxWithGaps, RunId, Sent};
use mailstore::namespace::Namespace;
use reconstruct::{MailboxReport, Observer, State, Summary, Target};

use super::Imap;
use super::access::Access;
use super::place::Place;
use crate::spool::Matched;
use folder::Failure;

/// So often a connection is made anew for a folder.
const TRIES: u32 = 3;

/// What a withdrawal needs to know.
#[derive(Debug)]
pub struct Withdrawal<'a> {
    /// What knows of the deliveries.
    pub incident: &'a Incident,
    /// The server, and how one gets in.
    pub access: &'a Access,
    /// The mailboxes of the store and how it names them; none where this machine has no store.
    pub store: Option<(Vec<Target>, Namespace)>,
    /// Nothing is changed, only said.
    pub dry_run: bool,
}

/// What a run delivered into one folder.
#[derive(Debug)]
struct Batch {
    mailbox: MailboxWithGaps,
    /// What the server calls it, where it is not the mailbox itself.
    folder: Option<String>,
    sent: Vec<Sent>,
}

impl Withdrawal<'_> {
    /// Takes back what `run` delivered and nobody has touched since, of those mailboxes that `chosen`
    /// lets through. What stays is told to `observer`.
    ///
    /// # Errors
    /// Where the incident cannot be read. All else is in the reports.
    pub fn take_back(
        &self,
        run: RunId,
        chosen: &dyn Fn(&MailboxWithGaps) -> bool,
        observer: &dyn Observer,
    ) -> Result<Summary, crate::Error> {
        let mut batches: Vec<Batch> = Vec::new();
        for sent in self.incident.sent_by(run, Imap::NAME)? {
            match batches.last_mut() {
                Some(last) if last.mailbox == sent.mailbox && last.folder == sent.folder => {
                    last.sent.push(sent);
                }
                _ => batches.push(Batch {
                    mailbox: sent.mailbox.clone(),
                    folder: sent.folder.clone(),
                    sent: vec![sent],
                }),
            }
        }
        batches.retain(|batch| chosen(&batch.mailbox));
        observer.started(batches.len(), 0);
        let mailboxes: Vec<MailboxWithGaps> =
            batches.iter().map(|batch| batch.mailbox.clone()).collect();
        let places = self.places(&mailboxes);
        let (mut summary, mut session) = (Summary::default(), None);
        for batch in batches {
            let place = places.get(batch.mailbox.mailbox.uniqueid.as_str());
            let report = match place {
                Some(Ok(place)) => self.of_folder(run, &mut session, place, batch),
                Some(Err(why)) => MailboxReport::failed(&batch.mailbox.mailbox.name, why.as_str()),
                None => MailboxReport::failed(&batch.mailbox.mailbox.name, "it has no name"),
            };
            summary.add(&report);
            observer.finished(&report);
        }
        if let Some((_, session)) = session {
            session.log_out();
        }
        Ok(summary)
    }

    /// What each of the mailboxes is on the server, by its unique id; why not, where it is nothing.
    fn places<'a>(
        &self,
        mailboxes: &'a [MailboxWithGaps],
    ) -> HashMap<&'a str, Result<Place<'a>, String>> {
        let id = |with_gaps: &'a MailboxWithGaps| with_gaps.mailbox.uniqueid.as_str();
        let recorded = |with_gaps| (id(with_gaps), Place::recorded(with_gaps));
        let Some((targets, namespace)) = &self.store else {
            return mailboxes.iter().map(recorded).collect();
        };
        let matched = Matched::of(targets, mailboxes);
        let mut places: HashMap<_, _> = matched.missing.iter().copied().map(recorded).collect();
        for target in &matched.targets {
            if let Some(with_gaps) = matched.by_name.get(&target.name).copied() {
                places.insert(id(with_gaps), Ok(Place::listed(with_gaps, target, namespace)));
            }
        }
        places
    }

    /// Takes back what went into a folder; the same over again, where a connection breaks.
    fn of_folder(
        &self,
        run: RunId,
        session: &mut Option<(Option<String>, Session)>,
        place: &Place<'_>,
        batch: Batch,
    ) -> MailboxReport {
        let (mut batch, mut tries) = (batch, 0);
        loop {
            let mut report = MailboxReport::new(&place.name, State::Sound);
            let opened = self.session_of(session, place.user()).map_err(Failure::Server);
            let done =
                opened.and_then(|session| self.withdraw(session, place, &batch, &mut report));
            let error = match done {
                Ok(()) => return report,
                Err(Failure::Incident(error)) => {
                    return MailboxReport::failed(&place.name, error.to_string());
                }
                Err(Failure::Server(error)) => error,
            };
            // Nobody knows what this connection is in the midst of.
            *session = None;
            tries += 1;
            if !error.is_of_the_connection() || tries >= TRIES {
                return MailboxReport::failed(&place.name, error.to_string());
            }
            batch = match self.noted(run, batch) {
                Ok(batch) => batch,
                Err(error) => return MailboxReport::failed(&place.name, error.to_string()),
            };
        }
    }

    /// How far the incident knows by now that it came.
    fn noted(&self, run: RunId, batch: Batch) -> Result<Batch, crate::Error> {
        let mut sent = self.incident.sent_by(run, Imap::NAME)?;
        sent.retain(|sent| sent.mailbox == batch.mailbox && sent.folder == batch.folder);
        Ok(Batch { sent, ..batch })
    }

    fn session_of<'s>(
        &self,
        session: &'s mut Option<(Option<String>, Session)>,
        user: Option<&str>,
    ) -> Result<&'s mut Session, Error> {
        let held = session.take_if(|(of, _)| of.as_deref() == user);
        if let Some((_, other)) = session.take() {
            other.log_out();
        }
        let opened = held.map_or_else(|| self.open(user), |(_, session)| Ok(session))?;
        Ok(&mut session.insert((user.map(str::to_owned), opened)).1)
    }

    fn open(&self, user: Option<&str>) -> Result<Session, Error> {
        let login = self.access.credentials.login(user);
        let login = login.map_err(|said| {
            let user = user.unwrap_or_default().to_owned();
            Error::LoginRefused { user, said }
        })?;
        Session::open(&self.access.server, &login)
    }
}
