//! Bringing messages into a mailbox from outside: a repair of a mailbox that is sound, by which
//! records come in.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailstore::replace::FreeSpace;
use mailstore::volume::message_file_name;
use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, Timestamp, Uid};

use super::stage::ownership;
use super::{Applied, commit, finish_interrupted, look_and_repair, repair_from, sweep};
use crate::arrivals::{Arrival, Arrivals, Arrived, Fate};
use crate::error::Error;
use crate::evidence::{Evidence, FileIdentity, Incoming, Place, Ready};
use crate::examine::{LARGEST_MESSAGE, Scratch, identity_of};
use crate::finding::{Code, Finding, Remedy};
use crate::gather::{gather, read_file, read_index_file};
use crate::plan::{Policy, layout_to_write};
use crate::run::Context;
use crate::staging::{CacheSink, LazyStaging};
use crate::target::Target;
use crate::workshop::Workshop;

/// Bytes that a message takes besides its own: its inode, its record, its cache record.
const OVERHEAD: u64 = 8 * 1024;

/// Brings the messages of `arrivals` into `target`, a portion after the other. Of what was made ready
/// and not used nothing stays.
pub(crate) fn deliver(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    arrivals: Arrivals,
) -> Result<Applied, Error> {
    let delivered = finish_interrupted(context, target, workshop, policy)
        .and_then(|()| finish_caches(context, target, workshop, policy))
        .and_then(|()| deliver_portions(context, target, workshop, policy, arrivals));
    sweep(target, workshop);
    delivered
}

fn deliver_portions(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    arrivals: Arrivals,
) -> Result<Applied, Error> {
    let lets_come = |portion: &Arrivals| {
        let bytes = portion.messages.iter().map(|arrival| arrival.size).sum();
        let messages = portion.messages.len();
        messages == 0 || context.observer.lets_come(target, messages, bytes)
    };
    let mut portions = arrivals.portions().into_iter().take_while(lets_come);
    let Some(first) = portions.next() else {
        return deliver_portion(context, target, workshop, policy, Arrivals::default());
    };
    let mut all = deliver_portion(context, target, workshop, policy, first)?;
    for portion in portions {
        // What its messages took up while they were made ready is needed for the next ones.
        sweep(target, workshop);
        let later = deliver_portion(context, target, workshop, policy, portion)?;
        all = later.after(all);
    }
    Ok(all)
}

impl Applied {
    /// What both portions came to.
    fn after(self, before: Self) -> Self {
        let Self { evidence, mut plan, wrote, locked } = self;
        let found_again: HashSet<_> =
            plan.findings.iter().map(|it| (it.code, it.uid, it.detail.clone())).collect();
        let is_new = |it: &Finding| !found_again.contains(&(it.code, it.uid, it.detail.clone()));
        plan.findings.extend(before.plan.findings.into_iter().filter(is_new));
        plan.arrived.extend(before.plan.arrived);
        plan.rewrite = plan.rewrite.or(before.plan.rewrite);
        let (wrote, locked) = (wrote || before.wrote, locked.max(before.locked));
        Self { evidence, plan, wrote, locked }
    }
}

fn deliver_portion(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    arrivals: Arrivals,
) -> Result<Applied, Error> {
    let mut applied = look_and_deliver(context, target, workshop, policy, arrivals)?;
    if let Some(incoming) = applied.evidence.incoming.as_ref().filter(|_| applied.wrote) {
        let arrived = &applied.plan.arrived;
        // What is delivered is delivered, whether or not it can be looked at.
        let wrong = read_back(context, target, arrived, &incoming.arrivals);
        applied.plan.findings.extend(wrong.unwrap_or_else(|error| vec![not_read_back(&error)]));
    }
    Ok(applied)
}

/// What a run left undone that was cut short right behind its commit is done by an ordinary repair.
fn finish_caches(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
) -> Result<(), Error> {
    if commit::is_cut_short_behind_its_index(target) {
        look_and_repair(context, target, workshop, policy)?;
    }
    Ok(())
}

fn look_and_deliver(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    policy: Policy,
    arrivals: Arrivals,
) -> Result<Applied, Error> {
    let mut staging = LazyStaging::new(workshop, &target.recovery);
    let evidence = gather(context, target, None, None, &mut staging)?;
    let incoming = make_ready(target, workshop, &evidence, policy.now, arrivals, &mut staging)?;
    let incoming = Arc::new(incoming);
    let evidence = Evidence { incoming: Some(Arc::clone(&incoming)), ..evidence };
    let context = Context { incoming: Some(&incoming), ..*context };
    repair_from(&context, target, workshop, policy, evidence, staging)
}

/// What would come into the mailbox. The messages are read where they are, and stay there.
pub(crate) fn look_at_sources(
    evidence: &Evidence,
    now: Timestamp,
    arrivals: Arrivals,
    sink: &mut dyn CacheSink,
) -> Result<Incoming, Error> {
    let mut looker = Looker {
        scratch: Scratch::new(layout_to_write(&evidence.index, None)),
        evidence,
        now,
        sink,
    };
    let mut ready = Vec::with_capacity(arrivals.messages.len());
    for arrival in &arrivals.messages {
        ready.push(looker.look(arrival, &mut |source, _, mtime| {
            let (ino, size) = (0, arrival.size);
            Ok((source.to_owned(), FileIdentity { ino, size, mtime }))
        })?);
    }
    Ok(Incoming { arrivals, ready })
}

/// Copies the messages to where they need only get their names.
fn make_ready(
    target: &Target,
    workshop: &Workshop,
    evidence: &Evidence,
    now: Timestamp,
    arrivals: Arrivals,
    sink: &mut dyn CacheSink,
) -> Result<Incoming, Error> {
    let messages = &arrivals.messages;
    let root = target.recovery_root_of(Place::Spool);
    let files = u64::try_from(messages.len()).unwrap_or(u64::MAX);
    let bytes = messages.iter().map(|arrival| arrival.size.saturating_add(OVERHEAD));
    let free = FreeSpace::at(root).map_err(|e| Error::io("measure free space at", root, e))?;
    free.require(root, bytes.fold(0, u64::saturating_add), files)?;
    let owner = ownership(workshop, &target.directory(Place::Spool).join(NO_MESSAGE))?;
    let folder = workshop.folder(root, &target.key);
    let mut looker = Looker {
        scratch: Scratch::new(layout_to_write(&evidence.index, None)),
        evidence,
        now,
        sink,
    };
    let mut ready = Vec::with_capacity(messages.len());
    for arrival in messages {
        ready.push(looker.look(arrival, &mut |_, bytes, mtime| {
            let path = workshop.new_path(&folder, "message")?;
            let mut file = workshop.ops().create(&path)?;
            file.write(bytes)?;
            file.finish_as_of(owner, mtime)?;
            let mut written = Vec::new();
            let meta = read_file(&path, LARGEST_MESSAGE, &mut written).ok();
            let meta = meta.filter(|_| written == bytes);
            let what = "the copy of a message differs";
            let meta = meta.ok_or(Error::NotAsWritten { path: path.clone(), what })?;
            Ok((path, identity_of(&meta)))
        })?);
    }
    Ok(Incoming { arrivals, ready })
}

/// The name of an entry that no mailbox has: its owner and mode would be those of a new message.
const NO_MESSAGE: &str = "0.";

/// Looks at messages where they are.
struct Looker<'a> {
    scratch: Scratch,
    evidence: &'a Evidence,
    now: Timestamp,
    sink: &'a mut dyn CacheSink,
}

/// Keeps the bytes of a message that were read there and that is to have that time; where, and which
/// file that is.
type Keep<'a> = dyn FnMut(&Path, &[u8], Timestamp) -> Result<(PathBuf, FileIdentity), Error> + 'a;

impl Looker<'_> {
    /// Reads a message and lets `keep` keep it. `Err(why)` inside where it cannot be had.
    fn look(
        &mut self,
        arrival: &Arrival,
        keep: &mut Keep<'_>,
    ) -> Result<Result<Ready, String>, Error> {
        let source = match arrival.read_into(&mut self.scratch.message) {
            Ok(source) => source,
            Err(why) => return Ok(Err(why)),
        };
        let mut item = Vec::new();
        let dialect = self.evidence.cache_dialect.dialect;
        let mut reading = self.scratch.understand(dialect, &mut item);
        let kept = self.sink.keep(&item);
        let kept = kept.map_err(|error| Error::io("stage the cache record of", source, error))?;
        reading.staged = Some(kept);
        let internaldate = arrival.received(reading.fields.received).unwrap_or(self.now);
        let (path, identity) = keep(source, &self.scratch.message, internaldate)?;
        self.scratch.shrink();
        Ok(Ok(Ready { path, identity, reading }))
    }
}

fn not_read_back(error: &Error) -> Finding {
    let detail = format!("what was delivered could not be read back: {error}");
    Finding::new(Code::IndexUnreadable, Remedy::Left, detail)
}

/// Looks at what was delivered as whoever opens the mailbox now; tells of what is not as it should
/// be. What its owner has taken away since is nobody's fault.
fn read_back(
    context: &Context<'_>,
    target: &Target,
    arrived: &[Arrived],
    arrivals: &Arrivals,
) -> Result<Vec<Finding>, Error> {
    let index = read_index_file(context, target, None)?;
    let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let records: HashMap<Uid, &IndexRecord> = records.map(|record| (record.uid, record)).collect();
    let guids = arrivals.messages.iter().map(|arrival| (arrival.key.as_str(), arrival.guid));
    let guids: HashMap<&str, Guid> = guids.collect();
    let mut wrong = Vec::new();
    let mut bytes = Vec::new();
    for Arrived { key, fate } in arrived {
        let (Fate::Delivered { uid }, Some(guid)) = (fate, guids.get(key.as_str())) else {
            continue;
        };
        let Some(record) = records.get(uid).filter(|record| !record.is_expunged()) else {
            continue;
        };
        let name = message_file_name(*uid);
        let path = target.directory(Place::of(record)).join(name);
        let told = match read_file(&path, LARGEST_MESSAGE, &mut bytes) {
            Ok(_) if record.guid == *guid && Guid::of(&bytes) == *guid => continue,
            Ok(_) => (Code::GuidMismatch, "it is not what was delivered".to_owned()),
            Err(error) => (Code::MessageUnreadable, format!("it cannot be read back: {error}")),
        };
        wrong.push(Finding::new(told.0, Remedy::Left, told.1).about(*uid));
    }
    Ok(wrong)
}
