//! What is asked for of the gaps of a mailbox: a pure function.

use std::collections::HashMap;

use incident::{Gap, GapId, GapToDeliver, SeenNumbers};
use mailstore_format::{Guid, Timestamp, Uid};
use reconstruct::{Arrival, Arrivals};

/// The keyword of messages that their owner may have deleted.
pub const DEFAULT_MARK: &str = "$Recovered";
/// The class of gaps that get the mark.
pub(crate) const AMBIGUOUS: &str = "ambiguous";
/// The class of messages that the mailbox has but for the trace of their way.
const NEAR_DUPLICATE: &str = "near-duplicate";
/// The class of what belongs to a mailbox that the store does not have.
const MAILBOX_GONE: &str = "mailbox-gone";
/// The keyword by which these can be told.
pub const NEAR_DUPLICATE_KEYWORD: &str = "$NearDuplicate";

/// What becomes of messages of which the mailbox has one with the same content and other trace fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NearDuplicates {
    /// They are not delivered.
    #[default]
    Skip,
    /// They are.
    Deliver,
    /// They are, with the keyword [`NEAR_DUPLICATE_KEYWORD`].
    Flag,
}

/// What becomes of the messages of mailboxes that the store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingMailbox {
    /// The mailbox is made again, and they come into it.
    Create,
    /// They come into the INBOX of its owner.
    Inbox,
    /// They are held.
    #[default]
    Skip,
}

/// Which gaps are delivered, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Only these classes; all where there are none.
    pub classes: Vec<String>,
    /// Deliver again, with the mark, what was delivered before and left no trace in its mailbox.
    pub again: bool,
    /// What becomes of near-duplicates, whatever the classes.
    pub near_duplicates: NearDuplicates,
    /// What becomes of the messages of mailboxes that the store does not have.
    pub missing_mailbox: MissingMailbox,
    /// The keyword that messages get whose owner may have deleted them.
    pub mark: Option<String>,
}

impl Default for Choice {
    fn default() -> Self {
        let near_duplicates = NearDuplicates::default();
        let missing_mailbox = MissingMailbox::default();
        let mark = Some(DEFAULT_MARK.to_owned());
        Self { classes: Vec::new(), again: false, near_duplicates, missing_mailbox, mark }
    }
}

impl Choice {
    /// The classes that are asked for although gapfill does not say that they are to be restored.
    #[must_use]
    pub fn beyond_restored(&self) -> &'static [&'static str] {
        match self.near_duplicates {
            NearDuplicates::Skip => &[],
            NearDuplicates::Deliver | NearDuplicates::Flag => &[NEAR_DUPLICATE],
        }
    }

    fn is_chosen(&self, gap: &Gap) -> bool {
        let by_class = self.classes.is_empty() || self.classes.contains(&gap.class);
        gap.restore && by_class || self.beyond_restored().contains(&gap.class.as_str())
    }

    /// The keywords that a message gets beside its own.
    fn keywords(&self, ordered: &Ordered) -> impl Iterator<Item = String> {
        let is_near = ordered.class == NEAR_DUPLICATE;
        let flag = is_near && self.near_duplicates == NearDuplicates::Flag;
        let flag = flag.then(|| NEAR_DUPLICATE_KEYWORD.to_owned());
        ordered.mark.clone().into_iter().chain(flag)
    }
}

/// What is asked for of a mailbox.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The messages, as the mailbox is to get them.
    pub arrivals: Arrivals,
    /// The gap of each, by its key.
    pub gaps: HashMap<String, Ordered>,
    /// Gaps that are to be restored and cannot be asked for.
    pub held: Vec<(Ordered, NotOrdered)>,
    /// The gap of the mailbox itself, where the store does not have it and its messages are asked for.
    pub mailbox_gone: Option<MailboxGone>,
}

/// The gap of a mailbox that the store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxGone {
    /// Its number in the incident.
    pub id: GapId,
    /// It was made again before, and is missed once more.
    pub was_made: bool,
}

/// A gap that is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Its number in the incident.
    pub id: GapId,
    /// The SHA-1 of the message; null for a whole mailbox.
    pub guid: Guid,
    /// Its UID in the source.
    pub source_uid: Uid,
    /// Its class.
    pub class: String,
    /// How many messages it is.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was received; 0 where nothing tells.
    pub internaldate: Timestamp,
    /// The keyword that says that its owner may have deleted it.
    pub mark: Option<String>,
}

/// Why a gap that is to be restored cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOrdered {
    /// It is a mailbox that the store does not have.
    WholeMailbox,
    /// No intact copy is known.
    NoCopy,
    /// It was sent into another folder of a server that has not confirmed it.
    InDoubt,
}

impl NotOrdered {
    /// What the operator is told.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::WholeMailbox => {
                "the store has no such mailbox: create it, run gapfill again, then deliver"
            }
            Self::NoCopy => "no intact copy of it is known",
            Self::InDoubt => {
                "it was sent into another folder over IMAP, and nobody knows whether it came: deliver \
                 with --via imap, which looks"
            }
        }
    }
}

/// What of the gaps of a mailbox is asked for. What was delivered is not, unless gapfill has missed it
/// since, nor what gapfill saw in the store; what was undone is.
#[must_use]
pub fn order(gaps: &[GapToDeliver], seen: SeenNumbers, choice: &Choice) -> Order {
    let mut order = Order::default();
    order.arrivals.above_uid = seen.uid;
    order.arrivals.above_modseq = seen.modseq;
    order.arrivals.again = choice.again;
    order.arrivals.came_before = gaps.iter().filter_map(came_as).collect();
    let whole = missing_whole(gaps, choice);
    for to_deliver in gaps {
        let GapToDeliver { id, recorded, .. } = to_deliver;
        let gap = &recorded.gap;
        let is_done = to_deliver.is_settled() || recorded.closed.is_some();
        if !choice.is_chosen(gap) || is_done {
            continue;
        }
        let ordered = ordered(*id, to_deliver, choice);
        if gap.guid.is_null() {
            match whole {
                Whole::Held(messages) => {
                    order.held.push((Ordered { messages, ..ordered }, NotOrdered::WholeMailbox));
                }
                Whole::AskedFor => {
                    let was_made =
                        to_deliver.delivery.as_ref().is_some_and(|it| it.state.is_settled());
                    order.mailbox_gone = Some(MailboxGone { id: *id, was_made });
                }
                Whole::Nothing => {}
            }
            continue;
        }
        if gap.class == MAILBOX_GONE && matches!(whole, Whole::Held(_)) {
            continue;
        }
        let sources: Vec<_> = gap.staged.iter().chain(&gap.origin).cloned().collect();
        if sources.is_empty() {
            order.held.push((ordered, NotOrdered::NoCopy));
            continue;
        }
        let key = format!("{}:{}:{}", gap.guid, gap.uid, gap.copy);
        order.arrivals.messages.push(Arrival {
            key: key.clone(),
            guid: gap.guid,
            size: gap.bytes,
            sources,
            system_flags: gap.system_flags,
            keywords: gap.keywords.iter().cloned().chain(choice.keywords(&ordered)).collect(),
            internaldate: gap.internaldate,
            uid_before: gap.uid,
            came_as: came_as(to_deliver),
            missed_at: recorded.last_seen,
        });
        order.gaps.insert(key, ordered);
    }
    order
}

/// What becomes of the gap of a mailbox itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// The store has the mailbox, or nothing of it is left to be delivered.
    Nothing,
    /// It is held, and with it so many messages.
    Held(u64),
    /// Its messages are asked for one by one.
    AskedFor,
}

fn missing_whole(gaps: &[GapToDeliver], choice: &Choice) -> Whole {
    let is_open = |it: &&GapToDeliver| !it.is_settled() && it.recorded.closed.is_none();
    let of_gone = |it: &&GapToDeliver| it.recorded.gap.class == MAILBOX_GONE;
    let is_whole = |it: &&GapToDeliver| it.recorded.gap.guid.is_null();
    let Some(whole) = gaps.iter().filter(of_gone).filter(is_open).find(is_whole) else {
        return Whole::Nothing;
    };
    let mut messages = gaps.iter().filter(of_gone).filter(|it| !is_whole(it)).peekable();
    // An earlier release did not tell of its messages.
    if messages.peek().is_none() {
        return Whole::Held(whole.recorded.gap.messages);
    }
    match (messages.filter(is_open).count(), choice.missing_mailbox) {
        (0, _) => Whole::Nothing,
        (open, MissingMailbox::Skip) => Whole::Held(u64::try_from(open).unwrap_or(u64::MAX)),
        (_, MissingMailbox::Create | MissingMailbox::Inbox) => Whole::AskedFor,
    }
}

/// The UID in its own mailbox under which it was delivered before.
fn came_as(gap: &GapToDeliver) -> Option<Uid> {
    gap.delivery.as_ref().filter(|_| gap.folder.is_none())?.uid
}

fn ordered(id: GapId, to_deliver: &GapToDeliver, choice: &Choice) -> Ordered {
    let gap = &to_deliver.recorded.gap;
    let comes_again = choice.again && came_as(to_deliver).is_some();
    let mark = choice.mark.as_ref().filter(|mark| {
        let has_it = gap.keywords.iter().any(|known| known.eq_ignore_ascii_case(mark));
        (gap.class == AMBIGUOUS || comes_again) && !has_it
    });
    Ordered {
        id,
        guid: gap.guid,
        source_uid: gap.uid,
        class: gap.class.clone(),
        messages: gap.messages,
        bytes: gap.bytes,
        internaldate: gap.internaldate,
        mark: mark.cloned(),
    }
}

impl Order {
    /// Everything that is to be restored, asked for or not.
    pub fn all(&self) -> impl Iterator<Item = &Ordered> {
        self.gaps.values().chain(self.held.iter().map(|(ordered, _)| ordered))
    }

    /// Holds what was sent into another folder over IMAP and is in doubt: only there it can be looked
    /// for.
    pub(crate) fn hold_what_is_elsewhere_in_doubt(&mut self, gaps: &[GapToDeliver]) {
        let elsewhere = gaps.iter().filter(|gap| gap.is_in_doubt && gap.folder.is_some());
        for id in elsewhere.map(|gap| gap.id) {
            let key = self.gaps.iter().find(|(_, ordered)| ordered.id == id);
            let Some(key) = key.map(|(key, _)| key.clone()) else { continue };
            self.arrivals.messages.retain(|arrival| arrival.key != key);
            let ordered = self.gaps.remove(&key);
            self.held.extend(ordered.map(|ordered| (ordered, NotOrdered::InDoubt)));
        }
    }

    /// Whether nothing is to be restored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use incident::{
        Delivery, DeliveryState, Incident, MailboxGaps, MailboxId, Outcome, RunId, RunStart,
        StoreBinding,
    };
    use mailstore_format::{ModSeq, SystemFlags, ThreadId};

    use super::*;

    /// An incident with gaps of one mailbox, in a directory that is removed when this is dropped.
    struct Outage {
        _directory: tempfile::TempDir,
        incident: Incident,
        run: RunId,
        binding: StoreBinding,
    }

    impl Outage {
        fn with(gaps: &[Gap]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let binding =
                StoreBinding { config_directory: "/var/imap".into(), imapd_conf: "/conf".into() };
            let path = directory.path().join("outage");
            let incident = Incident::create(&path, std::slice::from_ref(&binding), "").unwrap();
            let start = RunStart::now("run".to_owned(), "gapfill", "0", Vec::new());
            let run = incident.begin_run(incident.store(&binding).unwrap(), &start).unwrap();
            let mailbox = MailboxId { uniqueid: "u".to_owned(), name: "user.a".to_owned() };
            let outcome = Outcome::default();
            let looked_at = Timestamp::from_seconds(1_790_000_000);
            let seen = MailboxGaps { mailbox: &mailbox, outcome: &outcome, gaps, looked_at };
            incident.record_gaps(run, &seen).unwrap();
            Self { _directory: directory, incident, run, binding }
        }

        fn gaps(&self) -> Vec<GapToDeliver> {
            let store = self.incident.store(&self.binding).unwrap();
            let mailboxes = self.incident.mailboxes_with_gaps(store, &[]).unwrap();
            self.incident.gaps_of(&mailboxes[0]).unwrap()
        }

        fn order(&self, choice: &Choice) -> Order {
            order(&self.gaps(), SeenNumbers { uid: Uid(90), modseq: ModSeq(4) }, choice)
        }
    }

    fn gap(uid: u32, class: &str) -> Gap {
        Gap {
            guid: Guid::of(uid.to_string().as_bytes()),
            uid: Uid(uid),
            copy: 0,
            class: class.to_owned(),
            restore: class != "deleted",
            evidence: String::new(),
            messages: 1,
            bytes: 9,
            system_flags: SystemFlags::SEEN,
            keywords: vec!["$Work".to_owned()],
            internaldate: Timestamp::from_seconds(5),
            savedate: Timestamp(0),
            thread_id: ThreadId(0),
            origin: Some("/rescued/7.".into()),
            staged: None,
            wanted: None,
            annotations: Vec::new(),
            seen_by: Vec::new(),
        }
    }

    fn asked_for(order: &Order) -> Vec<u32> {
        order.arrivals.messages.iter().map(|message| message.uid_before.0).collect()
    }

    #[test]
    fn what_is_to_be_restored_and_was_not_is_asked_for() {
        use DeliveryState::{Delivered, Found, Held, Intended, Undone, Verified};
        let states = [Intended, Held, Undone, Delivered, Verified, Found];
        let mut gaps: Vec<_> = (1..=7).map(|uid| gap(uid, "missing")).collect();
        gaps.push(gap(8, "deleted"));
        let outage = Outage::with(&gaps);
        let said: Vec<_> = outage
            .gaps()
            .iter()
            .zip(states)
            .map(|(gap, state)| Delivery {
                gap: gap.id,
                state,
                uid: state.is_settled().then_some(Uid(gap.recorded.gap.uid.0 + 10)),
                note: String::new(),
            })
            .collect();
        outage.incident.record_deliveries(outage.run, "spool", &said).unwrap();
        let order = outage.order(&Choice::default());
        assert_eq!(asked_for(&order), [1, 2, 3, 7]);
        assert_eq!((order.arrivals.above_uid, order.arrivals.above_modseq), (Uid(90), ModSeq(4)));
        assert_eq!(order.arrivals.came_before, [14, 15, 16].map(Uid).into_iter().collect());
    }

    #[test]
    fn what_the_store_has_again_is_not_asked_for() {
        let gaps = [gap(1, "missing"), gap(2, "missing")];
        let outage = Outage::with(&gaps);
        let mailbox = MailboxId { uniqueid: "u".to_owned(), name: "user.a".to_owned() };
        outage.incident.close_gaps(outage.run, &mailbox, &[gaps[0].key()]).unwrap();
        assert_eq!(asked_for(&outage.order(&Choice::default())), [2]);
    }

    #[test]
    fn only_what_may_have_been_deleted_is_marked_and_only_chosen_classes_are_asked_for() {
        let outage = Outage::with(&[gap(1, "missing"), gap(2, "ambiguous")]);
        let order = outage.order(&Choice::default());
        let keywords: Vec<_> = order.arrivals.messages.iter().map(|m| m.keywords.clone()).collect();
        assert_eq!(keywords, [vec!["$Work"], vec!["$Work", "$Recovered"]]);
        let classes = vec!["missing".to_owned()];
        let choice = Choice { classes, mark: None, ..Choice::default() };
        assert_eq!(asked_for(&outage.order(&choice)), [1]);
    }

    #[test]
    fn near_duplicates_are_asked_for_only_where_that_is_said_and_can_be_told() {
        let near = Gap { restore: false, ..gap(2, "near-duplicate") };
        let outage = Outage::with(&[gap(1, "missing"), near]);
        let of = |near_duplicates| {
            let order = outage.order(&Choice { near_duplicates, ..Choice::default() });
            order.arrivals.messages.iter().map(|m| m.keywords.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(NearDuplicates::Skip), [1]);
        assert_eq!(of(NearDuplicates::Deliver), [1, 1]);
        assert_eq!(of(NearDuplicates::Flag), [1, 2]);
    }

    #[test]
    fn the_messages_of_a_mailbox_that_is_gone_are_held_as_one_or_asked_for_one_by_one() {
        let whole = Gap { guid: Guid::NULL, messages: 2, ..gap(0, "mailbox-gone") };
        let outage = Outage::with(&[
            whole,
            gap(1, "mailbox-gone"),
            gap(2, "mailbox-gone"),
            gap(3, "wanted"),
        ]);
        let held = outage.order(&Choice::default());
        assert_eq!(asked_for(&held), [3]);
        assert_eq!((held.held.len(), held.held[0].0.messages), (1, 2));
        let missing_mailbox = MissingMailbox::Create;
        let choice = Choice { missing_mailbox, ..Choice::default() };
        let order = outage.order(&choice);
        assert_eq!((asked_for(&order), order.held.len()), (vec![1, 2, 3], 0));
        let gone = order.mailbox_gone.unwrap();
        assert!(!gone.was_made);

        // Once it is there, its messages are asked for like all others.
        let said = Delivery {
            gap: gone.id,
            state: DeliveryState::Delivered,
            uid: None,
            note: String::new(),
        };
        outage.incident.record_deliveries(outage.run, "imap", &[said]).unwrap();
        let order = outage.order(&Choice::default());
        assert_eq!((asked_for(&order), order.mailbox_gone), (vec![1, 2, 3], None));
    }

    #[test]
    fn what_cannot_be_asked_for_is_held_with_advice() {
        let whole = Gap { guid: Guid::NULL, ..gap(1, "mailbox-gone") };
        let outage = Outage::with(&[whole, Gap { origin: None, ..gap(2, "missing") }]);
        let order = outage.order(&Choice::default());
        let why: Vec<_> = order.held.iter().map(|(_, why)| *why).collect();
        assert_eq!(why, [NotOrdered::WholeMailbox, NotOrdered::NoCopy]);
        assert!(order.arrivals.messages.is_empty() && !order.is_empty());
    }
}
