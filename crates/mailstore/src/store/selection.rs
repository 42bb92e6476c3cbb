//! Which mailboxes an operator means.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{MailboxEntry, Store};
use crate::namespace::NameError;

/// What an operator asked for. The parts add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Mailbox names as operators write them, `*` and `%` in them being wildcards.
    pub mailboxes: Vec<String>,
    /// Users, with all of their mailboxes, deleted ones included (as the server's
    /// `reconstruct -u` has it).
    pub users: Vec<String>,
    /// Every mailbox.
    pub all: bool,
    /// With each of [`Self::mailboxes`], those below it.
    pub recursive: bool,
}

/// Why a selection selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// What was written names no mailbox.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No mailbox has this name, or matches this pattern.
    #[error("there is no mailbox '{0}' in mailboxes.db")]
    NoSuchMailbox(String),
    /// This user has no mailbox.
    #[error("there is no mailbox of user '{0}' in mailboxes.db")]
    NoSuchUser(String),
}

impl Store {
    /// The mailboxes that `selection` means, each once, by name.
    ///
    /// What can be read in two ways ([`crate::namespace::Namespace::operator_readings`]) is read in
    /// the first way that matches anything.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&MailboxEntry>, SelectError> {
        let mut chosen = BTreeSet::new();
        if selection.all {
            chosen.extend(0..self.mailboxes.len());
        }
        for text in &selection.mailboxes {
            let pattern = self.namespace.pattern(text)?;
            let matching = (0..pattern.readings()).map(|reading| {
                self.positions(|entry| {
                    pattern.matches_reading(reading, &entry.name, selection.recursive)
                })
            });
            let found = matching.into_iter().find(|found| !found.is_empty());
            chosen.extend(found.ok_or_else(|| SelectError::NoSuchMailbox(text.clone()))?);
        }
        for text in &selection.users {
            let userid = self.namespace.parse_userid(text);
            let found =
                self.positions(|entry| self.namespace.owner(&entry.name).as_ref() == Some(&userid));
            if found.is_empty() {
                return Err(SelectError::NoSuchUser(text.clone()));
            }
            chosen.extend(found);
        }
        Ok(chosen.into_iter().filter_map(|position| self.mailboxes.get(position)).collect())
    }

    fn positions(&self, wanted: impl Fn(&MailboxEntry) -> bool) -> Vec<usize> {
        let numbered = self.mailboxes.iter().enumerate();
        numbered.filter(|(_, entry)| wanted(entry)).map(|(position, _)| position).collect()
    }
}
