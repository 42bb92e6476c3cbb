//! How well a mailbox was brought back: for each attribute of each message the value before, or the
//! documented default where no evidence was left, and never a third.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use mailstore_format::Guid;

use super::survivors::Survivors;
use super::view::{SeenMessage, View};

/// What keywords without a name are called (`docs/policy.md`).
const PLACEHOLDER: &str = "$RecoveredKeyword";

/// How often an attribute came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// As it was.
    pub right: usize,
    /// The documented default, where no evidence was left.
    pub default: usize,
    /// The default, or less than there was, although evidence was left.
    pub lost: usize,
    /// A third value, which nothing tells of.
    pub wrong: usize,
}

impl Tally {
    /// Messages for which evidence was left, or that got a value that nothing tells of.
    #[must_use]
    pub fn due(&self) -> usize {
        self.right + self.lost + self.wrong
    }

    /// Whether all evidence was used and nothing invented.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lost + self.wrong == 0
    }

    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Right => &mut self.right,
            Outcome::Default => &mut self.default,
            Outcome::Lost => &mut self.lost,
            Outcome::Wrong => &mut self.wrong,
        } += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.default += other.default;
        self.lost += other.lost;
        self.wrong += other.wrong;
    }
}

/// What became of one mailbox, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// UIDVALIDITY, once a mailbox; wrong where the mailbox cannot be opened.
    pub uidvalidity: Tally,
    /// UIDNEXT and HIGHESTMODSEQ, once a mailbox; wrong where one went down.
    pub counters: Tally,
    /// Messages whose bytes were left; lost where nobody sees them.
    pub messages: Tally,
    /// Their UIDs.
    pub uids: Tally,
    /// Their system flags.
    pub flags: Tally,
    /// Their keywords, all of a message's together.
    pub keywords: Tally,
    /// Their internal dates.
    pub dates: Tally,
    /// Their ENVELOPEs.
    pub envelopes: Tally,
    /// Messages seen that should not be: expunged ones, second copies, what never was a message.
    pub too_many: usize,
    /// Damaged files that are shown as messages: remains of what the damage destroyed.
    pub remains: usize,
    /// Messages whose bytes the damage itself destroyed; counted nowhere else.
    pub destroyed: usize,
    /// What is not as it should be, for people.
    pub remarks: Vec<String>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Right,
    Default,
    Lost,
    Wrong,
}

impl AddAssign<&Self> for Score {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.uidvalidity, other.uidvalidity),
            (&mut self.counters, other.counters),
            (&mut self.messages, other.messages),
            (&mut self.uids, other.uids),
            (&mut self.flags, other.flags),
            (&mut self.keywords, other.keywords),
            (&mut self.dates, other.dates),
            (&mut self.envelopes, other.envelopes),
        ] {
            *mine += theirs;
        }
        self.too_many += other.too_many;
        self.remains += other.remains;
        self.destroyed += other.destroyed;
        self.remarks.extend_from_slice(&other.remarks);
    }
}

impl Score {
    /// Scores what is seen of a mailbox `after` a repair; `None` where it could not be opened.
    #[must_use]
    pub fn of(mailbox: &str, before: &View, after: Option<&View>, left: &Survivors) -> Self {
        let mut scoring = Scoring {
            mailbox,
            left,
            score: Self::default(),
            unmatched: BTreeMap::new(),
            missing_copies: left.missing_copies.clone(),
        };
        if let Some(after) = after {
            scoring.mailbox_numbers(before, after);
        } else {
            scoring.score.uidvalidity.count(Outcome::Wrong);
            scoring.remark("cannot be opened");
        }
        scoring.messages(before, after);
        scoring.score
    }

    /// Everything for which there was evidence is back, and nothing is there that should not be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let tallies = [
            self.uidvalidity,
            self.counters,
            self.messages,
            self.uids,
            self.flags,
            self.keywords,
            self.dates,
            self.envelopes,
        ];
        tallies.iter().all(Tally::is_full) && self.too_many == 0
    }

    /// Values that are neither those before nor documented defaults.
    #[must_use]
    pub fn thirds(&self) -> usize {
        [self.uids, self.flags, self.keywords, self.dates, self.envelopes, self.counters]
            .iter()
            .map(|tally| tally.wrong)
            .sum()
    }
}

struct Scoring<'a> {
    mailbox: &'a str,
    left: &'a Survivors,
    score: Score,
    /// Messages that are seen and not yet accounted for, by UID.
    unmatched: BTreeMap<u32, &'a SeenMessage>,
    missing_copies: BTreeMap<Guid, usize>,
}

impl<'a> Scoring<'a> {
    fn remark(&mut self, what: impl std::fmt::Display) {
        self.score.remarks.push(format!("{} {what}", self.mailbox));
    }

    fn mailbox_numbers(&mut self, before: &View, after: &View) {
        let kept = before.uidvalidity == after.uidvalidity;
        self.score.uidvalidity.count(if kept { Outcome::Right } else { Outcome::Wrong });
        if !kept {
            let (old, new) = (before.uidvalidity, after.uidvalidity);
            self.remark(format_args!("UIDVALIDITY was {old} and is {new}"));
        }
        let kept = after.uidnext >= before.uidnext && after.highestmodseq >= before.highestmodseq;
        // Another UIDVALIDITY is another mailbox, whose numbers begin anew.
        let kept = kept || before.uidvalidity != after.uidvalidity;
        self.score.counters.count(if kept { Outcome::Right } else { Outcome::Wrong });
        if !kept {
            let numbers = |view: &View| format!("{}, {}", view.uidnext, view.highestmodseq);
            let (old, new) = (numbers(before), numbers(after));
            self.remark(format_args!("UIDNEXT, HIGHESTMODSEQ were {old} and are {new}"));
        }
    }

    fn messages(&mut self, before: &'a View, after: Option<&'a View>) {
        let seen = after.map(|view| view.messages.iter()).into_iter().flatten();
        self.unmatched = seen.map(|(uid, message)| (*uid, message)).collect();
        let mut waiting = Vec::new();
        // First those that are where they were; of several copies each keeps its own UID.
        for (&uid, message) in &before.messages {
            let body = message.body.filter(|body| self.left.has_body(*body));
            match (self.unmatched.get(&uid), body) {
                // Line ends may be put right although nothing tells that there was such a message.
                (Some(seen), _) if seen.body == message.body => {
                    let seen = *seen;
                    self.unmatched.remove(&uid);
                    self.compare(uid, message, uid, seen);
                }
                (_, Some(body)) => waiting.push((uid, message, body)),
                (_, None) => self.score.destroyed += 1,
            }
        }
        for (uid, message, body) in waiting {
            let found = self.unmatched.iter().find(|(_, seen)| seen.body == Some(body));
            if let Some((new_uid, seen)) = found.map(|(uid, seen)| (*uid, *seen)) {
                self.unmatched.remove(&new_uid);
                self.compare(uid, message, new_uid, seen);
            } else if self.lacks_a_copy(body) {
                self.score.destroyed += 1;
            } else {
                self.score.messages.count(Outcome::Lost);
                self.remark(format_args!("{uid} is gone"));
            }
        }
        self.too_many();
    }

    /// Whether one of several files with these bytes was destroyed, and is now accounted for.
    fn lacks_a_copy(&mut self, body: Guid) -> bool {
        let missing = self.missing_copies.get_mut(&body).filter(|count| **count > 0);
        missing.map(|count| *count -= 1).is_some()
    }

    fn compare(&mut self, uid: u32, before: &SeenMessage, new_uid: u32, after: &SeenMessage) {
        let guid = before.body.unwrap_or_default();
        let tells_uid = self.left.tells_uid(uid, guid);
        let outcomes = [
            ("UID", uid_outcome(uid == new_uid, tells_uid)),
            ("flags", self.flags(uid, before, after)),
            ("keywords", self.keywords(uid, before, after)),
            ("date", self.date(uid, before, after)),
            ("envelope", equality(before.envelope == after.envelope)),
        ];
        self.score.messages.count(Outcome::Right);
        for (what, outcome) in outcomes {
            let told = match outcome {
                Outcome::Lost => "lost",
                Outcome::Wrong => "wrong",
                Outcome::Right | Outcome::Default => "",
            };
            if !told.is_empty() {
                let shown = |uid: u32, message: &SeenMessage| {
                    let flags: Vec<&str> = message
                        .system
                        .iter()
                        .chain(&message.keywords)
                        .map(String::as_str)
                        .collect();
                    format!("{uid} ({}) {}", flags.join(" "), message.internaldate)
                };
                let (was, is) = (shown(uid, before), shown(new_uid, after));
                self.remark(format_args!("{uid}: {what} {told}: was {was}, is {is}"));
            }
            let score = &mut self.score;
            let tally = match what {
                "UID" => &mut score.uids,
                "flags" => &mut score.flags,
                "keywords" => &mut score.keywords,
                "date" => &mut score.dates,
                _ => &mut score.envelopes,
            };
            tally.count(outcome);
        }
    }

    fn flags(&self, uid: u32, before: &SeenMessage, after: &SeenMessage) -> Outcome {
        if before.system == after.system {
            return Outcome::Right;
        }
        match (self.left.tells_flags(uid), after.system.is_empty()) {
            (true, true) => Outcome::Lost,
            (false, true) => Outcome::Default,
            (false, false)
                if self.is_of_a_version(uid, |version| {
                    super::view::system_flags(version.system_flags) == after.system
                }) =>
            {
                Outcome::Default
            }
            _ => Outcome::Wrong,
        }
    }

    fn keywords(&self, uid: u32, before: &SeenMessage, after: &SeenMessage) -> Outcome {
        if before.keywords == after.keywords {
            return Outcome::Right;
        }
        let slots = self.left.originals.get(&uid).map(|original| original.record.user_flags);
        let slots: BTreeSet<usize> =
            slots.iter().flat_map(|flags| flags.slots().collect::<Vec<_>>()).collect();
        if !self.left.has_record(uid) {
            let is_version = self.is_of_a_version(uid, |version| {
                self.names_fit(&version.user_flags.slots().collect(), &after.keywords).is_some()
            });
            let is_put_together = self.names_fit(&slots, &after.keywords).is_some();
            let fits = after.keywords.is_empty() || is_version || is_put_together;
            return if fits { Outcome::Default } else { Outcome::Wrong };
        }
        match self.names_fit(&slots, &after.keywords) {
            Some(outcome) => outcome,
            None if after.keywords.is_subset(&before.keywords) => Outcome::Lost,
            None => Outcome::Wrong,
        }
    }

    /// Whether `names` are those of `slots`, with placeholders for those that nothing tells of.
    fn names_fit(&self, slots: &BTreeSet<usize>, names: &BTreeSet<String>) -> Option<Outcome> {
        let true_name = |slot: &usize| self.left.names.get(slot);
        let is_known = |slot: &&usize| self.left.known_names.contains(*slot);
        let known: BTreeSet<_> = slots.iter().filter(is_known).filter_map(true_name).collect();
        let any: BTreeSet<_> = slots.iter().filter_map(true_name).collect();
        let misread: BTreeSet<_> =
            slots.iter().filter_map(|slot| self.left.misread_names.get(slot)).collect();
        let has_known = known.iter().all(|name| names.contains(*name));
        let placeholders = names.iter().filter(|name| name.starts_with(PLACEHOLDER)).count();
        let others = names.iter().filter(|name| !name.starts_with(PLACEHOLDER));
        let none_foreign = others.clone().all(|name| any.contains(name) || misread.contains(name));
        let all_there = others.count() + placeholders == slots.len();
        (has_known && none_foreign && all_there).then_some(Outcome::Default)
    }

    fn date(&self, uid: u32, before: &SeenMessage, after: &SeenMessage) -> Outcome {
        match (before.internaldate == after.internaldate, self.left.tells_date(uid)) {
            (true, _) => Outcome::Right,
            (false, true) => Outcome::Wrong,
            (false, false) => Outcome::Default,
        }
    }

    fn is_of_a_version(
        &self,
        uid: u32,
        fits: impl Fn(&mailstore_format::index::IndexRecord) -> bool,
    ) -> bool {
        let original = self.left.originals.get(&uid);
        original.is_some_and(|original| original.versions.iter().any(fits))
    }

    /// What is seen and was not: expunged messages of which nothing tells that they were are
    /// rightly back, remains are told apart, all else is too many.
    fn too_many(&mut self) {
        let mut may_return = self.left.lost_tombstones();
        for (body, count) in &self.left.possible_copies {
            *may_return.entry(*body).or_default() += count;
        }
        let mut originals: BTreeSet<Guid> = BTreeSet::new();
        originals.extend(self.left.originals.values().map(|original| original.record.guid));
        for (uid, seen) in std::mem::take(&mut self.unmatched) {
            let Some(body) = seen.body else { continue };
            match may_return.get_mut(&body) {
                Some(count) if *count > 0 => *count -= 1,
                _ if self.left.remains.contains(&body) => self.score.remains += 1,
                _ if self.left.remains_named.contains(&uid) && !originals.contains(&body) => {
                    self.score.remains += 1;
                }
                _ => {
                    self.score.too_many += 1;
                    let known = if originals.contains(&body) { "is back" } else { "is unheard of" };
                    self.remark(format_args!("{uid} {known}: {body}"));
                }
            }
        }
    }
}

fn uid_outcome(is_same: bool, is_told: bool) -> Outcome {
    match (is_same, is_told) {
        (true, _) => Outcome::Right,
        (false, true) => Outcome::Lost,
        (false, false) => Outcome::Default,
    }
}

fn equality(is_same: bool) -> Outcome {
    if is_same { Outcome::Right } else { Outcome::Wrong }
}

#[cfg(test)]
mod tests;
