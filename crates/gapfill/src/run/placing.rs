//! Loose messages that no mailbox knows: where they belong.

use std::collections::BTreeMap;

use incident::{Gap, MailboxId};
use mailstore_format::{Guid, SystemFlags, ThreadId, Timestamp, Uid};

use super::Run;
use crate::class::Class;
use crate::error::Error;
use crate::fetch::{Copy, Order, fetch};
use crate::live::LiveStore;
use crate::loose::{Known, LooseSet};
use crate::memory::Memory;
use crate::report::MailboxReport;
use crate::source::{LooseAt, LooseFile, Recipient};

/// The folder of a user into which messages go of which only their header tells whose they were.
const RECOVERY_FOLDER: &str = "Recovered";

/// Where a loose message belongs, and what says so.
struct Destination {
    store: usize,
    mailbox: MailboxId,
    owner: Option<String>,
    gap: Gap,
}

/// A loose file, and what its bytes told.
#[derive(Clone, Copy)]
struct Loose<'a> {
    at: &'a LooseAt,
    file: &'a LooseFile,
}

/// Says of every loose file what it is; one report a mailbox that any belong to, and one for the
/// rest.
pub(super) fn place(run: &Run<'_>, set: &LooseSet<'_>) -> Result<Vec<MailboxReport>, Error> {
    let mut rest = MailboxReport::default();
    let mut reports = BTreeMap::<(usize, MailboxId), MailboxReport>::new();
    // Files that are the same message come after one another.
    let mut before = None;
    set.each(|at, file, known| {
        rest.files_read = rest.files_read.saturating_add(1);
        rest.bytes_read = rest.bytes_read.saturating_add(file.size);
        let loose = Loose { at, file };
        let class = if !file.is_mail {
            Some(Class::NotMail)
        } else if before.replace(file.stored_guid()) == Some(file.stored_guid()) {
            Some(Class::Duplicate)
        } else {
            judge(run, set, &mut reports, loose, known)?
        };
        if let Some(class) = class {
            rest.counts.add(class, file.size);
        }
        Ok(())
    })?;
    Ok(reports.into_values().chain([rest]).collect())
}

/// What a message is of which no other loose file was told before; none where it is counted
/// elsewhere.
fn judge(
    run: &Run<'_>,
    set: &LooseSet<'_>,
    reports: &mut BTreeMap<(usize, MailboxId), MailboxReport>,
    loose: Loose<'_>,
    known: Known,
) -> Result<Option<Class>, Error> {
    match known {
        Known::Present => {
            close(run, set, reports, loose)?;
            Ok(Some(Class::Present))
        }
        Known::Deleted => Ok(Some(Class::Deleted)),
        // It was counted with the message it is.
        Known::Used => Ok(None),
        Known::Nothing => match destination(run, loose)? {
            Some(found) => {
                add(run, reports, loose, found)?;
                Ok(None)
            }
            None => Ok(Some(Class::Unplaced)),
        },
    }
}

/// Closes the gap that an earlier run made of a message which a live mailbox of its owner has by now.
fn close(
    run: &Run<'_>,
    set: &LooseSet<'_>,
    reports: &mut BTreeMap<(usize, MailboxId), MailboxReport>,
    loose: Loose<'_>,
) -> Result<(), Error> {
    let Some(memory) = run.memory else { return Ok(()) };
    let Some(found) = recipient(run.stores, loose) else { return Ok(()) };
    let Destination { store, mailbox, owner, gap } = found;
    let is_held =
        [loose.file.guid, loose.file.stored_guid()].iter().try_fold(false, |held, guid| {
            Ok::<_, Error>(held || set.is_held_by(guid, owner.as_deref().unwrap_or("").as_bytes())?)
        })?;
    if is_held && memory.is_open(store, &mailbox, &gap.key())? {
        let report = reports.entry((store, mailbox.clone())).or_insert_with(MailboxReport::of_now);
        (report.store, report.mailbox, report.owner) = (store, Some(mailbox.clone()), owner);
        report.closed.push((mailbox, gap.key()));
    }
    Ok(())
}

fn add(
    run: &Run<'_>,
    reports: &mut BTreeMap<(usize, MailboxId), MailboxReport>,
    loose: Loose<'_>,
    found: Destination,
) -> Result<(), Error> {
    let Destination { store, mailbox, owner, mut gap } = found;
    let (size, copies) = (loose.file.size, vec![Copy::from(loose.at)]);
    let order = Order { guid: gap.guid, size, received: gap.internaldate, copies };
    if run.stage.is_some() {
        for delivered in fetch(&[order], run.stage, false)? {
            if let Ok(fetched) = delivered.result {
                gap.staged = fetched.staged;
            }
        }
    }
    let report = reports.entry((store, mailbox.clone())).or_insert_with(MailboxReport::of_now);
    (report.store, report.mailbox, report.owner) = (store, Some(mailbox), owner);
    let class = Class::ALL.into_iter().find(|class| class.as_str() == gap.class);
    report.counts.add(class.unwrap_or(Class::Missing), size);
    report.gaps.push(gap);
    Ok(())
}

/// Where a message belongs that no record of these sources knows: an earlier run may have missed it,
/// or have found it in another source; else those for whom it was delivered.
fn destination(run: &Run<'_>, loose: Loose<'_>) -> Result<Option<Destination>, Error> {
    if let Some(memory) = run.memory {
        for guid in [loose.file.stored_guid(), loose.file.guid] {
            let found = wanted(memory, &guid, loose)?;
            if let Some(found) = found.or(known_gap(memory, &guid, loose)?) {
                return Ok(Some(found));
            }
        }
    }
    Ok(recipient(run.stores, loose))
}

fn wanted(memory: &Memory, guid: &Guid, loose: Loose<'_>) -> Result<Option<Destination>, Error> {
    let Some(wanted) = memory.wanted_with_guid(guid)?.into_iter().next() else { return Ok(None) };
    let Some(store) = memory.number_of(wanted.store) else { return Ok(None) };
    let message = wanted.message;
    let gap = Gap {
        guid: *guid,
        uid: message.uid,
        class: Class::Wanted.to_string(),
        evidence: "an earlier run missed it".to_owned(),
        system_flags: message.system_flags,
        keywords: message.keywords,
        internaldate: message.internaldate,
        savedate: message.savedate,
        thread_id: message.thread_id,
        annotations: message.annotations,
        wanted: Some(wanted.id),
        ..of_file(loose)
    };
    Ok(Some(Destination { store, mailbox: wanted.mailbox, owner: None, gap }))
}

/// The gap that an earlier run made of the message, with this file as one more copy of it.
fn known_gap(memory: &Memory, guid: &Guid, loose: Loose<'_>) -> Result<Option<Destination>, Error> {
    let Some(recorded) = memory.open_gap_of(guid)? else { return Ok(None) };
    let Some(store) = memory.number_of(recorded.store) else { return Ok(None) };
    let Gap { origin, staged, .. } = of_file(loose);
    let gap = Gap { origin, staged, ..recorded.gap };
    Ok(Some(Destination { store, mailbox: recorded.mailbox, owner: None, gap }))
}

/// The recovery folder of the user for whom the message was. The surest field that names a local
/// user counts; how sure it is, is said.
fn recipient(stores: &[LiveStore], loose: Loose<'_>) -> Option<Destination> {
    let mut local: Vec<(&Recipient, usize, Vec<u8>)> = Vec::new();
    for recipient in &loose.file.recipients {
        let of_store = |(number, store): (usize, &LiveStore)| {
            Some((recipient, number, local_user(store, &recipient.address)?))
        };
        local.extend(stores.iter().enumerate().find_map(of_store));
    }
    let (by, store, user) = local.first()?;
    let others = local.iter().any(|(_, of, other)| (of, other) != (store, user));
    let confidence = match (by.field, others) {
        ("Envelope-To", _) | (_, true) => "low",
        _ => "high",
    };
    let owner = String::from_utf8_lossy(user).into_owned();
    let namespace = stores.get(*store)?.namespace();
    let mut name = namespace.user_parts(user).inbox()?.as_bytes().to_vec();
    name.extend_from_slice(format!(".{RECOVERY_FOLDER}").as_bytes());
    let name = mailstore::name::InternalName::new(name);
    let mailbox = MailboxId { uniqueid: name.to_string(), name: namespace.display(&name) };
    let gap = Gap {
        class: Class::Missing.to_string(),
        evidence: format!(
            "no record knows it; {} names {owner} (confidence {confidence})",
            by.field
        ),
        ..of_file(loose)
    };
    Some(Destination { store: *store, mailbox, owner: Some(owner), gap })
}

/// The user of a store whom an address means: its local part, without a detail after `+`, with or
/// without its domain.
fn local_user(store: &LiveStore, address: &[u8]) -> Option<Vec<u8>> {
    let mut halves = address.splitn(2, |&byte| byte == b'@');
    let local = halves.next()?.split(|&byte| byte == b'+').next()?;
    let domain = halves.next();
    let whole = domain.map(|domain| [local, b"@", domain].concat());
    let namespace = store.namespace();
    whole.into_iter().chain([local.to_vec()]).find(|user| {
        let inbox = namespace.user_parts(user).inbox();
        !local.is_empty() && inbox.is_some_and(|inbox| store.with_name(&inbox).is_some())
    })
}

fn of_file(Loose { at, file }: Loose<'_>) -> Gap {
    Gap {
        guid: file.stored_guid(),
        uid: Uid(0),
        copy: 0,
        class: String::new(),
        restore: true,
        evidence: String::new(),
        messages: 1,
        bytes: file.size,
        system_flags: SystemFlags::default(),
        keywords: Vec::new(),
        internaldate: file.mtime,
        savedate: Timestamp::default(),
        thread_id: ThreadId::default(),
        origin: Some(at.place.entry(&at.name)),
        staged: None,
        wanted: None,
        annotations: Vec::new(),
        seen_by: Vec::new(),
    }
}
