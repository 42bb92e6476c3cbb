//! Loose messages that no mailbox knows: where they belong.

use std::collections::{BTreeMap, HashSet};

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
use crate::source::{LooseFile, Recipient};

/// The folder of a user into which messages go of which only their header tells whose they were.
const RECOVERY_FOLDER: &str = "Recovered";

/// Where a loose message belongs, and what says so.
struct Destination {
    store: usize,
    mailbox: MailboxId,
    owner: Option<String>,
    gap: Gap,
}

/// Says of every loose file what it is; one report a mailbox that any belong to, and one for the
/// rest.
pub(super) fn place(run: &Run<'_>, loose: &LooseSet) -> Result<Vec<MailboxReport>, Error> {
    let mut rest = MailboxReport::default();
    let mut reports = BTreeMap::<(usize, MailboxId), MailboxReport>::new();
    let mut seen = HashSet::new();
    for (file, known) in loose.all() {
        rest.files_read = rest.files_read.saturating_add(1);
        rest.bytes_read = rest.bytes_read.saturating_add(file.size);
        let guid = file.stored_guid();
        if !file.is_mail {
            rest.counts.add(Class::NotMail, file.size);
        } else if !seen.insert(guid) {
            rest.counts.add(Class::Duplicate, file.size);
        } else {
            match known {
                Known::Present => rest.counts.add(Class::Present, file.size),
                Known::Deleted => rest.counts.add(Class::Deleted, file.size),
                // It was counted with the message it is.
                Known::Used => {}
                Known::Nothing => match destination(run, file)? {
                    Some(found) => add(run, &mut reports, file, found)?,
                    None => rest.counts.add(Class::Unplaced, file.size),
                },
            }
        }
    }
    Ok(reports.into_values().chain([rest]).collect())
}

fn add(
    run: &Run<'_>,
    reports: &mut BTreeMap<(usize, MailboxId), MailboxReport>,
    file: &LooseFile,
    found: Destination,
) -> Result<(), Error> {
    let Destination { store, mailbox, owner, mut gap } = found;
    let at = &file.at;
    let copy = Copy { place: at.place.clone(), name: at.name.clone(), ino: at.ino };
    let order =
        Order { guid: gap.guid, size: file.size, received: gap.internaldate, copies: vec![copy] };
    if run.stage.is_some() {
        for delivered in fetch(&[order], run.stage, false)? {
            if let Ok(fetched) = delivered.result {
                gap.staged = fetched.staged;
            }
        }
    }
    let report = reports.entry((store, mailbox.clone())).or_default();
    (report.store, report.mailbox, report.owner) = (store, Some(mailbox), owner);
    let class = Class::ALL.into_iter().find(|class| class.as_str() == gap.class);
    report.counts.add(class.unwrap_or(Class::Missing), file.size);
    report.gaps.push(gap);
    Ok(())
}

/// Where a message belongs that no record knows: an earlier run may have missed it; else those for
/// whom it was delivered.
fn destination(run: &Run<'_>, file: &LooseFile) -> Result<Option<Destination>, Error> {
    if let Some(memory) = run.memory {
        for guid in [file.stored_guid(), file.guid] {
            if let Some(found) = wanted(memory, &guid, file)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(recipient(run.stores, file))
}

fn wanted(memory: &Memory, guid: &Guid, file: &LooseFile) -> Result<Option<Destination>, Error> {
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
        wanted: Some(wanted.id),
        ..of_file(file)
    };
    Ok(Some(Destination { store, mailbox: wanted.mailbox, owner: None, gap }))
}

/// The recovery folder of the user for whom the message was. The surest field that names a local
/// user counts; how sure it is, is said.
fn recipient(stores: &[LiveStore], file: &LooseFile) -> Option<Destination> {
    let mut local: Vec<(&Recipient, usize, Vec<u8>)> = Vec::new();
    for recipient in &file.recipients {
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
        ..of_file(file)
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

fn of_file(file: &LooseFile) -> Gap {
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
        origin: Some(file.at.place.entry(&file.at.name)),
        staged: None,
        wanted: None,
    }
}
