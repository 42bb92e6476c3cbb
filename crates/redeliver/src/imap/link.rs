//! A connection that is made anew where it breaks, so often and no oftener.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use imap_client::{Error, Session};
use mailstore::stop::Stop;

use super::access::Access;
use super::delivery::{Delivery, Halt};
use super::place::Place;

/// So often in a row, without a message getting through in between, a connection is made anew.
const TRIES: u32 = 6;
/// How long is waited before the second try; before each later one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// After so many mailboxes in a row whose server could not be reached no other is tried.
const UNREACHABLE: u32 = 3;

/// What the connections of a run know of the server together.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Mailboxes in a row for which nobody got in.
    shut_out: AtomicU32,
    /// Somebody got in once: then who does not is an odd one.
    is_open: AtomicBool,
}

impl Health {
    fn got_in(&self) {
        self.shut_out.store(0, Ordering::Relaxed);
        self.is_open.store(true, Ordering::Relaxed);
    }

    fn is_hopeless(&self) -> bool {
        self.shut_out.load(Ordering::Relaxed) >= UNREACHABLE
    }

    /// Nobody gets in for a mailbox.
    fn shut_out(&self, error: &Error) {
        let is_of_the_server = match error {
            Error::Connect { .. } => true,
            _ => !self.is_open.load(Ordering::Relaxed),
        };
        if is_of_the_server {
            self.shut_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One connection at a time.
pub(super) struct Link<'a> {
    access: &'a Access,
    stop: &'a Stop,
    health: &'a Health,
    /// Whose it is.
    session: Option<(Option<String>, Session)>,
}

impl<'a> Link<'a> {
    pub(super) fn new(access: &'a Access, stop: &'a Stop, health: &'a Health) -> Self {
        Self { access, stop, health, session: None }
    }

    /// Brings a delivery to its end, over as many connections as that takes.
    pub(super) fn deliver(
        &mut self,
        place: &Place<'_>,
        delivery: &mut Delivery<'_>,
    ) -> Result<(), Halt> {
        if self.health.is_hopeless() {
            return Err(Halt::Failed(
                "the server lets nobody in: it was not tried again".to_owned(),
            ));
        }
        let (mut failures, mut wait) = (0, FIRST_WAIT);
        loop {
            let before = delivery.progress();
            let error = match self.once(place, delivery) {
                Err(Halt::Connection(error)) => error,
                other => return other,
            };
            // Nobody knows what this connection is in the midst of.
            self.session = None;
            if delivery.progress() > before {
                (failures, wait) = (0, FIRST_WAIT);
            }
            failures += 1;
            if failures >= TRIES {
                self.health.shut_out(&error);
                return Err(Halt::Failed(format!("{error} (tried {failures} times)")));
            }
            if self.stop.is_asked() {
                return Err(Halt::Stopped);
            }
            self.stop.sleep(wait);
            wait *= 2;
        }
    }

    /// Logs out.
    pub(super) fn end(self) {
        if let Some((_, session)) = self.session {
            session.log_out();
        }
    }

    fn once(&mut self, place: &Place<'_>, delivery: &mut Delivery<'_>) -> Result<(), Halt> {
        let user = place.user();
        let held = self.session.take_if(|(of, _)| of.as_deref() == user);
        if let Some((_, other)) = self.session.take() {
            other.log_out();
        }
        let session = match held {
            Some((_, session)) => session,
            None => self.open(user)?,
        };
        let (_, session) = self.session.insert((user.map(str::to_owned), session));
        let done = delivery.go_on(session);
        if matches!(done, Err(Halt::Failed(_))) {
            self.session = None;
        }
        done
    }

    fn open(&self, user: Option<&str>) -> Result<Session, Halt> {
        let login = self.access.credentials.login(user).map_err(Halt::Held)?;
        match Session::open(&self.access.server, &login) {
            Ok(session) => {
                self.health.got_in();
                Ok(session)
            }
            Err(error) => {
                if !error.is_of_the_connection() {
                    self.health.shut_out(&error);
                }
                Err(error.into())
            }
        }
    }
}
