//! Straight into the mailboxes of a store, under its server's locks, whether that runs or not.

mod room;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use incident::{DeliveryState, MailboxId, MailboxWithGaps, RunStart};
use mailstore::latency;
use mailstore::lock::LockWait;
use mailstore::quota::Quotas;
use mailstore::replace::FileOps;
use mailstore_format::Uid;
use reconstruct::{
    Aftercare, Arrivals, Arrived, Code, Fate, Memory, Observer, Options, Remedy, Run, Site, State,
    Summary, Target, Unknown, Workshop,
};

use crate::desk::{Desk, Settled};
use crate::manners::{Gate, Manners};
use crate::order::Order;
use crate::report::MailboxReport;
use crate::transport::{Listener, STOPPED, Transport};
use room::Rooms;

/// What the spool transport needs to know of the store.
#[derive(Debug)]
pub struct SpoolSettings {
    /// How it works: threads, patience.
    pub options: Options,
    /// The server around the mailboxes.
    pub site: Site,
    /// The mailboxes of the store that may be delivered into.
    pub targets: Vec<Target>,
    /// The umask of the server.
    pub umask: u32,
    /// How many messages come into a mailbox at once, which is as long as it is locked.
    pub at_once: NonZeroUsize,
    /// How considerate of the server it is.
    pub manners: Manners,
    /// What is over these quotas is held.
    pub quotas: Option<Quotas>,
}

/// What is said of a message of which there is no word.
const NO_WORD: &str = "the mailbox could not be worked on";

/// What is said of a message for which there is no room.
const OVER_QUOTA: &str = "over quota: make room, or deliver again with --over-quota allow";

/// The spool transport.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    aftercare: Aftercare,
    /// A survey has none.
    means: Option<Means>,
}

/// What a run that changes anything needs.
#[derive(Debug)]
struct Means {
    start: RunStart,
    memory: Memory,
    ops: FileOps,
}

impl Spool {
    /// Into a store of these settings.
    #[must_use]
    pub fn new(settings: SpoolSettings) -> Self {
        Self { settings, aftercare: Aftercare::none(), means: None }
    }

    /// With what is to be done after deliveries.
    #[must_use]
    pub fn with_aftercare(self, aftercare: Aftercare) -> Self {
        Self { aftercare, ..self }
    }

    /// As the run that begins like this and may write, of which `memory` remembers what becomes of
    /// each mailbox.
    #[must_use]
    pub fn as_run(self, start: RunStart, memory: Memory, ops: FileOps) -> Self {
        Self { means: Some(Means { start, memory, ops }), ..self }
    }
}

/// The mailboxes of a run, each with the store's.
pub(crate) struct Matched<'a> {
    pub(crate) targets: Vec<Target>,
    /// By the target's name.
    pub(crate) by_name: HashMap<String, &'a MailboxWithGaps>,
    /// Those that the store does not have.
    pub(crate) missing: Vec<&'a MailboxWithGaps>,
}

impl<'a> Matched<'a> {
    /// Why nothing is delivered into a mailbox that the store does not have.
    pub(crate) const NONE: &'static str = "the store has no such mailbox: create it where it is gone, \
                                           run gapfill again, then deliver again";

    /// By unique id; by name only those that have none: a folder of the same name may be another one's
    /// by now. Those with an id come first.
    pub(crate) fn of(targets: &[Target], mailboxes: &'a [MailboxWithGaps]) -> Self {
        let mut matched =
            Self { targets: Vec::new(), by_name: HashMap::new(), missing: Vec::new() };
        let by_id: HashMap<String, &Target> =
            targets.iter().map(|target| (target.id().uniqueid, target)).collect();
        let by_name: HashMap<String, &Target> =
            targets.iter().map(|target| (target.internal_name().to_string(), target)).collect();
        let (with_id, without): (Vec<_>, Vec<_>) =
            mailboxes.iter().partition(|with_gaps| by_id.contains_key(&with_gaps.mailbox.uniqueid));
        for with_gaps in with_id.into_iter().chain(without) {
            let MailboxId { uniqueid, .. } = &with_gaps.mailbox;
            let found = by_id.get(uniqueid).or_else(|| by_name.get(uniqueid));
            match found.map(|target| (target, matched.by_name.entry(target.name.clone()))) {
                Some((target, Entry::Vacant(entry))) => {
                    entry.insert(with_gaps);
                    matched.targets.push((*target).clone());
                }
                _ => matched.missing.push(with_gaps),
            }
        }
        matched
    }
}

impl Transport for Spool {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn survey(&self, desk: &Desk<'_>, mailboxes: &[MailboxWithGaps], listener: &dyn Listener) {
        let matched = Matched::of(&self.settings.targets, mailboxes);
        let SpoolSettings { options, site, .. } = &self.settings;
        let watch = Watch::new(desk, &matched, listener, &self.settings);
        watch.tell_of_missing();
        let run = Run::new(options, site, &watch);
        let _: Summary = run.survey_delivery(&matched.targets, &|target| watch.arrivals(target));
    }

    fn deliver(
        self,
        desk: &Desk<'_>,
        mailboxes: &[MailboxWithGaps],
        listener: &dyn Listener,
    ) -> Option<String> {
        let Self { settings, aftercare, means } = self;
        let Means { start, memory, ops } = means?;
        let SpoolSettings { options, site, targets, umask, .. } = &settings;
        let matched = Matched::of(targets, mailboxes);
        let watch = Watch::new(desk, &matched, listener, &settings);
        watch.tell_of_missing();
        let workshop = Workshop::new(ops, start.name.clone(), *umask);
        let run = Run::new(options, site, &watch).with_aftercare(aftercare);
        let run = run.with_memory(memory).with_start(start);
        let summary = run.deliver(&matched.targets, &|target| watch.arrivals(target), &workshop);
        watch.tell_of_what_is_left();
        for failure in &summary.aftercare_failures {
            listener.failed(&failure.why, failure.follow_up.as_ref());
        }
        summary.run
    }
}

impl Spool {
    /// Its name, in the incident too.
    pub const NAME: &'static str = "spool";
}

/// Translates between the desk and what works on the mailboxes.
struct Watch<'a> {
    desk: &'a Desk<'a>,
    matched: &'a Matched<'a>,
    listener: &'a dyn Listener,
    at_once: NonZeroUsize,
    gate: Gate,
    rooms: Option<Rooms>,
    /// By mailbox, the keys of messages for which there is no room.
    over_quota: Mutex<HashMap<String, Vec<String>>>,
    /// Mailboxes that were not done when the run was told to stop.
    left: AtomicUsize,
}

impl<'a> Watch<'a> {
    fn new(
        desk: &'a Desk<'a>,
        matched: &'a Matched<'a>,
        listener: &'a dyn Listener,
        settings: &SpoolSettings,
    ) -> Self {
        Self {
            desk,
            matched,
            listener,
            at_once: settings.at_once,
            gate: Gate::new(settings.manners.clone()),
            rooms: settings.quotas.clone().map(Rooms::new),
            over_quota: Mutex::default(),
            left: AtomicUsize::new(0),
        }
    }

    fn is_stopped(&self) -> bool {
        self.gate.stop().is_asked()
    }

    fn tell_of_what_is_left(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.listener.stopped(left);
        }
    }

    fn arrivals(&self, target: &Target) -> Result<Arrivals, Unknown> {
        if self.is_stopped() {
            return Err(STOPPED.into());
        }
        let with_gaps = self.matched.by_name.get(&target.name);
        let order = with_gaps.map(|with_gaps| self.desk.hand_out(with_gaps)).transpose()?;
        let mut arrivals = order.map(|order| order.arrivals).unwrap_or_default();
        if let Some(rooms) = &self.rooms {
            let over = rooms.sort_out(&target.internal_name(), &mut arrivals.messages)?;
            let mut all = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(target.name.clone(), over);
        }
        Ok(Arrivals { at_once: Some(self.at_once), ..arrivals })
    }

    fn tell_of_missing(&self) {
        for with_gaps in &self.matched.missing {
            let mut report = MailboxReport::new(&with_gaps.mailbox.name);
            match self.desk.look(with_gaps) {
                Ok(order) if order.is_empty() => continue,
                Ok(order) => self.desk.settle(&order, &HashMap::new(), Matched::NONE, &mut report),
                Err(error) => report.error = Some(error.to_string()),
            }
            self.listener.finished(&report);
        }
    }

    /// What became of each message of `order`.
    fn settle(&self, order: &Order, found: &reconstruct::MailboxReport) -> MailboxReport {
        let delivered = match found.state {
            State::Planned => DeliveryState::Intended,
            _ => DeliveryState::Verified,
        };
        let doubted: HashSet<Uid> = found
            .findings
            .iter()
            .filter(|finding| finding.remedy == Remedy::Left)
            .filter_map(|finding| finding.uid)
            .collect();
        let unread = found.findings.iter().any(|finding| finding.code == Code::IndexUnreadable);
        let settled = |Arrived { fate, .. }: &Arrived| match fate {
            Fate::Delivered { uid } if unread || doubted.contains(uid) => {
                Settled::at(DeliveryState::Delivered, *uid)
            }
            Fate::Delivered { uid } => Settled::at(delivered, *uid),
            Fate::DeliveredBefore { uid } => Settled::at(DeliveryState::Delivered, *uid),
            Fate::Found { uid } => Settled::at(DeliveryState::Found, *uid),
            Fate::Held { why } => Settled::held(why),
        };
        let fates = found.arrived.iter().map(|arrived| (arrived.key.as_str(), settled(arrived)));
        let of_message = [Code::MessageDelivered, Code::MessageHeld];
        let besides = found.findings.iter().filter(|finding| !of_message.contains(&finding.code));
        let mut report = MailboxReport {
            locked_ms: found.locked_ms,
            findings: besides.cloned().collect(),
            follow_up: found.follow_up.clone(),
            error: found.error.clone(),
            ..MailboxReport::new(&found.mailbox)
        };
        let mut over_quota = self.over_quota.lock().unwrap_or_else(PoisonError::into_inner);
        let over_quota = over_quota.remove(&found.mailbox).unwrap_or_default();
        let without_room = over_quota.iter().map(|key| (key.as_str(), Settled::held(OVER_QUOTA)));
        let fates: HashMap<_, _> = fates.chain(without_room).collect();
        let cut_short =
            self.is_stopped() && order.gaps.keys().any(|key| !fates.contains_key(&**key));
        if cut_short {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
        let no_word = if cut_short { STOPPED } else { NO_WORD };
        let otherwise = found.error.as_deref().unwrap_or(no_word);
        self.desk.settle(order, &fates, otherwise, &mut report);
        report
    }
}

impl Observer for Watch<'_> {
    fn started(&self, mailboxes: usize, _: u64) {
        self.listener.started(mailboxes);
    }

    fn progressed(&self, messages: u64, bytes: u64) {
        self.listener.progressed(messages, bytes);
    }

    fn waiting(&self, mailbox: &str, wait: &LockWait) {
        self.listener.waiting(mailbox, wait);
    }

    fn lets_come(&self, target: &Target, messages: usize, bytes: u64) -> bool {
        self.gate.wait(u64::try_from(messages).unwrap_or(u64::MAX), bytes);
        let probe = || latency::of_disk(&target.location.spool);
        let slow = |took| self.listener.slow(&target.name, took);
        // A disk that refuses the try, as a full one does, is no slow one.
        let _ = self.gate.ease(probe, &slow);
        !self.is_stopped()
    }

    fn finished(&self, found: &reconstruct::MailboxReport) {
        let with_gaps = self.matched.by_name.get(&found.mailbox);
        let order = with_gaps.and_then(|with_gaps| self.desk.take_back(with_gaps));
        if order.is_none() && self.is_stopped() {
            self.left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let order = order.unwrap_or_default();
        if !order.is_empty() || found.error.is_some() {
            self.listener.finished(&self.settle(&order, found));
        }
    }
}
