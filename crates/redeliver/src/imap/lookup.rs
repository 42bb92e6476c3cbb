//! What of the messages that are to come the mailbox has already.
//!
//! A message that was sent has, if it came, a UID at or above the UIDNEXT that was noted before. One
//! that came in another way since the comparison has a save date that tells so, where the server has
//! these. One that is back under its own UID is itself. All else was there at the comparison, which
//! counted it. Sizes narrow down what is read; only the SHA-1 of the bytes decides.

use std::collections::{BTreeMap, HashMap, HashSet};

use imap_client::{Error, Fetched, Session};
use incident::SentAbove;
use mailstore_format::{Guid, Timestamp, Uid};

/// A message that may be there.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    pub(super) key: String,
    pub(super) guid: Guid,
    pub(super) size: u64,
    /// Where it is, if it was sent and came.
    pub(super) sent: Option<SentAbove>,
    /// When the mailbox was last seen without it.
    pub(super) missed_at: Timestamp,
    pub(super) uid_before: Uid,
}

/// What counts besides what was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope {
    /// What came in another way since the comparison.
    pub(super) came_since: bool,
    /// What has the UID that it had: it is the mailbox that the comparison saw.
    pub(super) own_uids: bool,
    /// All that is there: nothing was, when the mailbox was compared.
    pub(super) everything: bool,
}

/// A message that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) uid: Uid,
    /// It was sent, by whatever run.
    pub(super) was_sent: bool,
}

/// What FETCH told of a message that may be one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    uid: Uid,
    size: u64,
    savedate: Option<i64>,
}

/// Looks into the open mailbox. Each message there counts for one of `sought` only, and none in
/// `others` for any.
pub(super) fn look_up(
    session: &mut Session,
    sought: &[Sought],
    others: &HashSet<Uid>,
    scope: Scope,
) -> Result<HashMap<String, Present>, Error> {
    let told = candidates(session, sought, scope)?;
    let is_one = |candidate: &Candidate| {
        !others.contains(&candidate.uid)
            && sought.iter().any(|sought| sought.may_be(candidate, scope).is_some())
    };
    let candidates: Vec<Candidate> = told.into_iter().filter(is_one).collect();
    let uids: Vec<u32> = candidates.iter().map(|candidate| candidate.uid.0).collect();
    let largest = candidates.iter().map(|candidate| candidate.size).max().unwrap_or(0);
    let mut guids = HashMap::new();
    session.bodies(&uids, largest, &mut |fetched| {
        if let Some(body) = fetched.body() {
            guids.insert(Uid(fetched.uid), Guid::of(body));
        }
    })?;
    Ok(matched(sought, &candidates, &guids, scope))
}

fn candidates(
    session: &mut Session,
    sought: &[Sought],
    scope: Scope,
) -> Result<Vec<Candidate>, Error> {
    let mut told = BTreeMap::new();
    let mut add = |fetched: Vec<Fetched>| {
        told.extend(fetched.into_iter().filter_map(|it| {
            let (uid, size, savedate) = (Uid(it.uid), it.size()?, it.savedate());
            Some((it.uid, Candidate { uid, size, savedate }))
        }));
    };
    let sent = sought.iter().filter_map(|sought| sought.sent).map(|above| above.uidnext);
    if scope.everything {
        add(session.sizes_from(1)?);
    } else if let Some(lowest) = sent.min() {
        add(session.sizes_from(lowest.0)?);
    }
    let since = sought.iter().map(|sought| sought.missed_at.seconds()).min();
    if let Some(since) = since.filter(|_| scope.came_since && session.offers("SAVEDATE")) {
        let uids = session.saved_since(since)?;
        add(session.sizes(&uids)?);
    }
    if scope.own_uids {
        let own = sought.iter().map(|sought| sought.uid_before.0).filter(|&uid| uid != 0);
        let mut own: Vec<u32> = own.collect();
        own.sort_unstable();
        own.dedup();
        add(session.sizes(&own)?);
    }
    Ok(told.into_values().collect())
}

/// What was sent before what came in other ways: it is known best where that is.
fn matched(
    sought: &[Sought],
    candidates: &[Candidate],
    guids: &HashMap<Uid, Guid>,
    scope: Scope,
) -> HashMap<String, Present> {
    let (mut taken, mut present) = (HashSet::new(), HashMap::new());
    for of_sent in [true, false] {
        for it in sought {
            if present.contains_key(&it.key) {
                continue;
            }
            let found = candidates.iter().find(|candidate| {
                !taken.contains(&candidate.uid)
                    && guids.get(&candidate.uid) == Some(&it.guid)
                    && it.may_be(candidate, scope) == Some(of_sent)
            });
            if let Some(Candidate { uid, .. }) = found {
                taken.insert(*uid);
                present.insert(it.key.clone(), Present { uid: *uid, was_sent: of_sent });
            }
        }
    }
    present
}

impl Sought {
    /// Whether the candidate may be it, and if so, whether as what was sent.
    fn may_be(&self, candidate: &Candidate, scope: Scope) -> Option<bool> {
        if candidate.size != self.size {
            return None;
        }
        if self.sent.is_some_and(|above| candidate.uid >= above.uidnext) {
            return Some(true);
        }
        let missed_at = self.missed_at.seconds();
        let came_since = candidate.savedate.is_some_and(|saved| saved >= missed_at);
        let is_own = self.uid_before != Uid(0) && candidate.uid == self.uid_before;
        let counts = scope.everything || scope.came_since && came_since || scope.own_uids && is_own;
        counts.then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::UidValidity;

    use super::*;

    const EVERYTHING: Scope = Scope { came_since: true, own_uids: true, everything: false };

    fn sought(key: &str, text: &str, sent_above: Option<u32>) -> Sought {
        let above = |uid| SentAbove { uidvalidity: UidValidity(1), uidnext: Uid(uid) };
        Sought {
            key: key.to_owned(),
            guid: Guid::of(text.as_bytes()),
            size: 9,
            sent: sent_above.map(above),
            missed_at: Timestamp::from_seconds(1000),
            uid_before: Uid(7),
        }
    }

    /// Messages by UID, their bytes and save dates; the keys of those found, with their UIDs.
    fn found(
        sought: &[Sought],
        there: &[(u32, &str, i64)],
        scope: Scope,
    ) -> Vec<(String, u32, bool)> {
        let candidate = |&(uid, _, savedate): &(u32, &str, i64)| Candidate {
            uid: Uid(uid),
            size: 9,
            savedate: Some(savedate),
        };
        let candidates: Vec<_> = there.iter().map(candidate).collect();
        let guids = there.iter().map(|(uid, text, _)| (Uid(*uid), Guid::of(text.as_bytes())));
        let mut found: Vec<_> = matched(sought, &candidates, &guids.collect(), scope)
            .into_iter()
            .map(|(key, present)| (key, present.uid.0, present.was_sent))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn each_copy_counts_for_one_message_only_and_what_was_sent_comes_first() {
        let both = [sought("a", "x", None), sought("b", "x", Some(30))];
        let one = found(&both, &[(30, "x", 1000)], EVERYTHING);
        assert_eq!(one, [("b".to_owned(), 30, true)]);
        let two = found(&both, &[(12, "x", 1000), (30, "x", 1000)], EVERYTHING);
        assert_eq!(two, [("a".to_owned(), 12, false), ("b".to_owned(), 30, true)]);
    }

    #[test]
    fn what_was_there_at_the_comparison_is_no_message_that_was_missed() {
        let it = [sought("a", "x", Some(30))];
        assert_eq!(found(&it, &[(12, "x", 999), (29, "x", 999)], EVERYTHING), []);
        assert_eq!(found(&it, &[(30, "y", 1000)], EVERYTHING), []);
        // Under its own UID it is the message itself, whenever that came.
        assert_eq!(found(&it, &[(7, "x", 5)], EVERYTHING), [("a".to_owned(), 7, false)]);
        let sent_only = Scope::default();
        assert_eq!(found(&it, &[(7, "x", 5), (12, "x", 2000)], sent_only), []);
        let all = Scope { everything: true, ..sent_only };
        assert_eq!(found(&it, &[(12, "x", 999)], all), [("a".to_owned(), 12, false)]);
    }
}
