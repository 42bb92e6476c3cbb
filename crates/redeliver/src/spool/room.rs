//! What quotas leave room for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mailstore::name::InternalName;
use mailstore::quota::{QuotaError, Quotas};
use mailstore_format::quota::Quota;
use reconstruct::Arrival;

/// What there is room for, less what this run delivers: the server reckons that only afterwards.
#[derive(Debug)]
pub(super) struct Rooms {
    quotas: Quotas,
    left: Mutex<HashMap<InternalName, Room>>,
}

/// What a quota root has room for; `None`: as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    bytes: Option<u64>,
    messages: Option<u64>,
}

impl Rooms {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self { quotas, left: Mutex::default() }
    }

    /// Takes those messages out for which there is no room in the mailbox, and returns their keys. The
    /// oldest come first; one that is too large makes room for later ones.
    pub(super) fn sort_out(
        &self,
        mailbox: &InternalName,
        messages: &mut Vec<Arrival>,
    ) -> Result<Vec<String>, QuotaError> {
        let Some((root, quota)) = self.quotas.of_mailbox(mailbox)? else { return Ok(Vec::new()) };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(left.entry(root).or_insert_with(|| Room::of(&quota)).sort_out(messages))
    }
}

impl Room {
    fn of(quota: &Quota) -> Self {
        Self { bytes: quota.storage.room(), messages: quota.messages.room() }
    }

    fn sort_out(&mut self, messages: &mut Vec<Arrival>) -> Vec<String> {
        messages.sort_by_key(|arrival| (arrival.internaldate, arrival.uid_before));
        let over = messages.extract_if(.., |arrival| !self.takes(arrival.size));
        over.map(|arrival| arrival.key).collect()
    }

    /// Whether there is room for a message; if so it is used.
    fn takes(&mut self, size: u64) -> bool {
        let less = |room: Option<u64>, by: u64| match room {
            None => Some(None),
            Some(room) => room.checked_sub(by).map(Some),
        };
        let left = less(self.bytes, size).zip(less(self.messages, 1));
        if let Some((bytes, messages)) = left {
            *self = Self { bytes, messages };
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_and_room_is_used_up() {
        let mut room = Room { bytes: Some(100), messages: Some(3) };
        let took: Vec<_> = [60, 60, 40, 0, 0].map(|size| room.takes(size)).into();
        assert_eq!(took, [true, false, true, true, false]);
        assert_eq!(room, Room { bytes: Some(0), messages: Some(0) });
        let mut endless = Room { bytes: None, messages: None };
        assert!(endless.takes(u64::MAX) && endless.takes(u64::MAX));
    }
}
