//! What was sent into another folder than the one that messages come into now, and is in doubt.

use std::collections::{BTreeMap, HashSet};

use imap_client::{Error, Session};
use incident::{DeliveryState, Unconfirmed};
use mailstore_format::{Uid, UidValidity};

use super::{Delivery, Halt, LOST_TRACK};
use crate::desk::Settled;
use crate::imap::lookup::{Scope, Sought, look_up};
use crate::imap::place::{Detour, Place};

impl Delivery<'_> {
    /// Looks for it where it was sent. What is not there may be sent again, wherever to.
    pub(super) fn resolve_elsewhere(&mut self, session: &mut Session) -> Result<(), Halt> {
        let here = self.place.name_on(session.namespace()).ok();
        let here = here.filter(|_| self.place.detour().is_some());
        let here = here.map(|name| String::from_utf8_lossy(&name).into_owned());
        let mut folders = BTreeMap::<Option<String>, Vec<String>>::new();
        for (key, doubt) in self.doubts.iter().filter(|(_, doubt)| doubt.folder != here) {
            folders.entry(doubt.folder.clone()).or_default().push(key.clone());
        }
        for (folder, keys) in folders {
            self.resolve_in(session, folder.as_deref(), &keys)?;
        }
        Ok(())
    }

    fn resolve_in(
        &mut self,
        session: &mut Session,
        folder: Option<&str>,
        keys: &[String],
    ) -> Result<(), Halt> {
        let own = || self.place.own_name_on(session.namespace());
        let name = folder.map_or_else(own, |folder| Ok(folder.as_bytes().to_vec()));
        let name = name.map_err(|why| Halt::Held(why.to_owned()))?;
        let examined = match session.examine(&name) {
            Ok(examined) => examined,
            Err(Error::Refused { .. }) => {
                self.lose_track(lost(keys));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (same, other): (Vec<String>, Vec<String>) = keys.iter().cloned().partition(|key| {
            let doubt = self.doubts.get(key);
            doubt.is_some_and(|it| Some(it.above.uidvalidity.0) == examined.uidvalidity)
        });
        self.lose_track(lost(&other));
        let Some(uidvalidity) = examined.uidvalidity.filter(|_| !same.is_empty()) else {
            return Ok(());
        };
        let sought: Vec<Sought> =
            same.iter().filter_map(|key| self.sought_elsewhere(key)).collect();
        let others = self.accounted_for(folder, UidValidity(uidvalidity))?;
        let present = look_up(session, &sought, &others, Scope::default())?;
        let found = present
            .into_iter()
            .map(|(key, present)| (key, Settled::at(DeliveryState::Delivered, present.uid)));
        self.settle_in(folder, found.collect())?;
        let absent: Vec<_> = same.into_iter().filter(|key| self.doubts.contains_key(key)).collect();
        self.did_not_come(&absent)
    }

    fn sought_elsewhere(&self, key: &str) -> Option<Sought> {
        let Unconfirmed { above, .. } = self.doubts.get(key)?;
        let arrival = self.todo.iter().find(|arrival| arrival.key == key)?;
        let mut message = Vec::new();
        let is_read = arrival.read_into(&mut message).is_ok();
        let size = if is_read { message.len() as u64 } else { arrival.size };
        Some(Sought {
            key: key.to_owned(),
            guid: arrival.guid,
            size,
            sent: Some(*above),
            missed_at: arrival.missed_at,
            uid_before: arrival.uid_before,
        })
    }

    /// The messages of a folder, or of the gaps' mailbox, that are known to be others than those that
    /// are looked for.
    pub(super) fn accounted_for(
        &self,
        folder: Option<&str>,
        uidvalidity: UidValidity,
    ) -> Result<HashSet<Uid>, Halt> {
        let mut uids = HashSet::new();
        if folder.is_none() {
            uids.extend(&self.order.arrivals.came_before);
        }
        if folder == self.folder.as_deref() {
            uids.extend(self.fates.values().filter_map(|fate| fate.uid));
        }
        let is_inbox = match folder {
            None => self.place.is_inbox(),
            Some(_) => self.place.detour() == Some(&Detour::Inbox),
        };
        let inbox = is_inbox.then(|| Place::inbox_of(&self.place.with_gaps.mailbox.name));
        let named = folder.or(is_inbox.then_some("INBOX"));
        let Some(named) = named else { return Ok(uids) };
        let desk = self.means.desk;
        let there = desk.delivered_at(self.place.with_gaps, named, inbox.as_deref())?;
        let counts = there.into_iter().filter(|it| {
            it.uidvalidity.is_none_or(|of| of == uidvalidity)
                && self.place.has_owner_of(&it.mailbox)
        });
        uids.extend(counts.map(|it| it.uid));
        Ok(uids)
    }
}

fn lost(keys: &[String]) -> Vec<(String, Settled)> {
    keys.iter().map(|key| (key.clone(), Settled::held(LOST_TRACK))).collect()
}
