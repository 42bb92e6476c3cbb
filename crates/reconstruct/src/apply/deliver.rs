//! Bringing messages into a mailbox from outside: a repair of a mailbox that is sound, by which
//! records come in.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailstore::replace::FreeSpace;
use mailstore::volume::{GuardedDir, message_file_name};
use mailstore_format::index::IndexRecord;
use mailstore_format::line_ends::{bare_lfs, with_crlf};
use mailstore_format::{Guid, Timestamp, Uid};

use super::stage::ownership;
use super::{Applied, commit, finish_interrupted, look_and_repair, repair_from, sweep};
use crate::arrivals::{Arrival, Arrivals, Arrived, Fate};
use crate::error::Error;
use crate::evidence::{Evidence, FileIdentity, Incoming, Place, Reading, Ready};
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
    let mut portions = arrivals.portions().into_iter();
    let first = portions.next().unwrap_or_default();
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
        let source = match read_any(arrival, &mut self.scratch.message) {
            Ok(source) => source,
            Err(why) => return Ok(Err(why)),
        };
        let mut item = Vec::new();
        let dialect = self.evidence.cache_dialect.dialect;
        let mut reading = self.scratch.understand(dialect, &mut item);
        let kept = self.sink.keep(&item);
        let kept = kept.map_err(|error| Error::io("stage the cache record of", source, error))?;
        reading.staged = Some(kept);
        let internaldate = internaldate(arrival, &reading, self.now);
        let (path, identity) = keep(source, &self.scratch.message, internaldate)?;
        self.scratch.shrink();
        Ok(Ok(Ready { path, identity, reading }))
    }
}

/// Reads the message wherever it can be had, and tells where; else why it cannot be.
fn read_any<'a>(arrival: &'a Arrival, message: &mut Vec<u8>) -> Result<&'a Path, String> {
    let mut reasons = Vec::new();
    for source in &arrival.sources {
        match read_source(source, arrival.guid, message) {
            Ok(()) => return Ok(source),
            Err(why) => reasons.push(why),
        }
    }
    Err(reasons.join("; "))
}

/// Reads the message with this SHA-1, with CRLF for LF where it takes that; why it cannot be had,
/// where it cannot.
fn read_source(source: &Path, guid: Guid, message: &mut Vec<u8>) -> Result<(), String> {
    let shown = source.display();
    let (Some(parent), Some(name)) = (source.parent(), source.file_name()) else {
        return Err(format!("{shown} is no file"));
    };
    // The path is one that was found without following a link, and so it is opened.
    let read = GuardedDir::open_under(Path::new("/"), parent)
        .and_then(|directory| directory.read_into(name, LARGEST_MESSAGE, message));
    read.map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if Guid::of(message) == guid {
        return Ok(());
    }
    let bare = bare_lfs(message);
    let converted = if bare > 0 { with_crlf(message, bare) } else { Vec::new() };
    if Guid::of(&converted) != guid || converted.is_empty() {
        return Err(format!("{shown} is not the message any more: its SHA-1 is another"));
    }
    *message = converted;
    Ok(())
}

/// When the message was received: as it is known, else as its header says, else now.
fn internaldate(arrival: &Arrival, reading: &Reading, now: Timestamp) -> Timestamp {
    if arrival.internaldate == Timestamp(0) {
        reading.fields.received.unwrap_or(now)
    } else {
        arrival.internaldate
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_bytes_are_taken_or_what_they_were_before_their_line_ends_were_changed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (path, link) = (root.join("7."), root.join("8."));
        let message = b"A: 1\r\n\r\none\r\n";
        let guid = Guid::of(message);
        let mut read = Vec::new();
        for copy in [&message[..], b"A: 1\n\none\n", b"A: 1\r\n\none\r\n"] {
            std::fs::write(&path, copy).unwrap();
            read_source(&path, guid, &mut read).unwrap();
            assert_eq!(read, message);
        }
        std::fs::write(&path, b"A: 1\n\ntwo\n").unwrap();
        assert!(read_source(&path, guid, &mut read).unwrap_err().contains("SHA-1"));
        std::fs::write(&path, message).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_source(&link, guid, &mut read).is_err());
        std::os::unix::fs::symlink(&root, root.join("dir")).unwrap();
        assert!(read_source(&root.join("dir/7."), guid, &mut read).is_err());
        assert!(read_source(&root.join("9."), guid, &mut read).is_err());
    }
}
