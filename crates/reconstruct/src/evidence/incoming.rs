//! Messages that lie ready to come into the mailbox.

use std::path::PathBuf;

use super::{FileIdentity, Reading};
use crate::arrivals::{Arrival, Arrivals};

/// What is to come into a mailbox, as it lies ready.
#[derive(Debug)]
pub struct Incoming {
    /// All that was asked for.
    pub arrivals: Arrivals,
    /// What lies ready of each message, in their order; else why nothing does.
    pub ready: Vec<Result<Ready, String>>,
}

/// A message that lies ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where.
    pub path: PathBuf,
    /// Which file it is. Its modification time is its internal date.
    pub identity: FileIdentity,
    /// What its bytes yield; their SHA-1 is what was asked for.
    pub reading: Reading,
}

impl Incoming {
    /// Each message, with what lies ready of it.
    pub fn messages(&self) -> impl Iterator<Item = (&Arrival, Result<&Ready, &str>)> {
        let ready = self.ready.iter().map(|ready| ready.as_ref().map_err(String::as_str));
        self.arrivals.messages.iter().zip(ready)
    }
}
