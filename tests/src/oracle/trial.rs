//! The same messages in two stores, rebuilt by Cyrus and by our tool.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};

use super::comparison::Comparison;
use super::corpus::Sample;
use super::records::DerivedRecord;
use crate::configuration::{Layout, ServerOptions};
use crate::cyrus::Cyrus;
use crate::deadline::run_within;
use crate::index_image::IndexImage;
use crate::judge::{Verdict, judge};
use crate::server::Server;
use crate::store::Store;
use crate::tool::{Reconstruct, ToolRun};

const MESSAGES_A_MAILBOX: usize = 1000;

/// The time of a mailbox's first message file, in seconds since 1970: what a record has for a date
/// that its message does not give. The next are a day later each, for times that lie together are
/// those of a copy, which our tool does not believe.
const FIRST_FILE_TIME: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// How long a rebuild may take before it is said to hang: hundreds of times what it takes.
const PATIENCE: Duration = Duration::from_mins(15);

/// What our tool is given beside the messages. Cyrus's always begins from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing, as Cyrus. Of a message whose header has bare line feeds our tool then makes one with
    /// CRLF, which is another message.
    Nothing,
    /// Cyrus's records, but of what they derive from their messages only size and GUID are left, and
    /// no cache: every message is proved to be as it should be, whatever it is.
    Guids,
}

/// Two stores of the same messages, both rebuilt.
#[derive(Debug)]
pub struct Trial {
    by_cyrus: Store,
    by_us: Store,
    mailboxes: Vec<String>,
    comparison: Comparison,
}

impl Trial {
    /// Puts `samples`, byte for byte, into mailboxes of a private Cyrus, which knows nothing of
    /// them; then Cyrus's `reconstruct` makes its records in one copy of that store, ours in
    /// another.
    ///
    /// Fails where either tool does not come to its end, or ours panics on a message.
    pub fn run(cyrus: &Cyrus, samples: &[Sample], start: Start) -> Result<Self> {
        Self::run_in_zone(cyrus, samples, start, "UTC")
    }

    /// [`Trial::run`] with both tools in a time zone: sent dates are midnights there.
    pub fn run_in_zone(
        cyrus: &Cyrus,
        samples: &[Sample],
        start: Start,
        timezone: &str,
    ) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById).in_memory().with_timezone(timezone);
        let (by_cyrus, mailboxes) = filled(cyrus, options, samples)?;
        let untouched = if start == Start::Nothing { Some(by_cyrus.copy()?) } else { None };
        rebuild_by_cyrus(&by_cyrus, &mailboxes)?;
        let by_us = match untouched {
            Some(copy) => copy,
            None => copy_with_guids(&by_cyrus, &mailboxes)?,
        };
        rebuild_by_us(&by_us)?;
        let mut trial = Self { by_cyrus, by_us, mailboxes, comparison: Comparison::default() };
        trial.compare(samples)?;
        Ok(trial)
    }

    /// How the records of the two stores compare.
    #[must_use]
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// The records that Cyrus made of the first messages that were given, in their order, at most
    /// as many as fit into one mailbox; None where it made none.
    pub fn records_by_cyrus(&self, messages: usize) -> Result<Vec<Option<DerivedRecord>>> {
        let first = self.mailboxes.first().context("there is a mailbox")?;
        let mut records = DerivedRecord::of_mailbox(&self.by_cyrus.mailbox_dir(first)?)?;
        let uids = 1..=u32::try_from(messages.min(MESSAGES_A_MAILBOX))?;
        Ok(uids.map(|uid| records.remove(&uid)).collect())
    }

    /// What Cyrus's `reconstruct -G` does on a copy of its own rebuild, and on a copy of ours.
    pub fn judge(&self) -> Result<[Verdict; 2]> {
        Ok([judge(&self.by_cyrus)?, judge(&self.by_us)?])
    }

    /// Leaves the stores on disk; where Cyrus's and ours lie.
    #[must_use]
    pub fn keep(self) -> [PathBuf; 2] {
        [self.by_cyrus.keep(), self.by_us.keep()]
    }

    fn compare(&mut self, samples: &[Sample]) -> Result<()> {
        for (mailbox, samples) in self.mailboxes.iter().zip(samples.chunks(MESSAGES_A_MAILBOX)) {
            let records = |store: &Store| DerivedRecord::of_mailbox(&store.mailbox_dir(mailbox)?);
            let (cyrus, ours) = (records(&self.by_cyrus)?, records(&self.by_us)?);
            for (uid, sample) in (1..).zip(samples) {
                let place = format!("{mailbox} {uid}");
                self.comparison.add(&sample.source, &place, cyrus.get(&uid), ours.get(&uid));
            }
        }
        Ok(())
    }
}

/// The records that a verdict tells of, by mailbox directory or name: those that Cyrus changed.
#[must_use]
pub fn rewritten(verdict: &Verdict) -> usize {
    let mut records = BTreeSet::new();
    for line in &verdict.changed {
        if let Some((index, field)) = line.split_once(": record of UID ") {
            records.insert((index, field.split([':', ' ']).next()));
        }
    }
    records.len()
}

/// A store at rest that holds the messages, and the mailboxes they are in, which have no records.
fn filled(
    cyrus: &Cyrus,
    options: ServerOptions,
    samples: &[Sample],
) -> Result<(Store, Vec<String>)> {
    let server = Server::start(cyrus, options)?;
    let mut admin = server.admin()?;
    let mut mailboxes = Vec::new();
    for number in 0..samples.len().div_ceil(MESSAGES_A_MAILBOX).max(1) {
        let mailbox = format!("user.oracle{number}");
        admin.create(&mailbox)?;
        mailboxes.push(mailbox);
    }
    admin.logout()?;
    let store = server.into_store()?;
    for (mailbox, samples) in mailboxes.iter().zip(samples.chunks(MESSAGES_A_MAILBOX)) {
        let directory = store.mailbox_dir(mailbox)?;
        for (uid, sample) in (1_u32..).zip(samples) {
            write_message(&directory, uid, &sample.bytes)?;
        }
    }
    cyrus.account().own(&store.spool())?;
    Ok((store, mailboxes))
}

fn rebuild_by_cyrus(store: &Store, mailboxes: &[String]) -> Result<()> {
    let output = run_within(store.command("reconstruct").args(mailboxes), PATIENCE)?;
    let output = output.context("Cyrus's reconstruct hangs")?;
    ensure!(
        output.status.success(),
        "Cyrus's reconstruct failed ({}): {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        store.log()
    );
    Ok(())
}

fn rebuild_by_us(store: &Store) -> Result<()> {
    let tool = Reconstruct::new(store).args(["--all", "--json"]);
    let output = run_within(&mut tool.command()?, PATIENCE)?;
    let run = ToolRun::of(&output.context("our reconstruct hangs")?).parsed()?;
    ensure!(
        matches!(run.status, Some(0 | 1)) && !run.stderr.contains("panicked"),
        "our reconstruct failed ({:?}): {}",
        run.status,
        run.stderr
    );
    Ok(())
}

/// A copy of a store in which records know their messages by size and GUID alone.
fn copy_with_guids(store: &Store, mailboxes: &[String]) -> Result<Store> {
    let copy = store.copy()?;
    for mailbox in mailboxes {
        let directory = copy.mailbox_dir(mailbox)?;
        fs::remove_file(directory.join("cyrus.cache"))?;
        let mut index = IndexImage::read(&directory)?;
        for uid in index.uids() {
            for field in ["header_size", "sentdate", "gmtime", "cache_offset", "cache_crc"] {
                index.set_record(uid, field, 0)?;
            }
        }
        index.write()?;
    }
    Ok(copy)
}

fn write_message(directory: &Path, uid: u32, bytes: &[u8]) -> Result<()> {
    let path = directory.join(format!("{uid}."));
    fs::write(&path, bytes)?;
    let time = Duration::from_secs(FIRST_FILE_TIME + u64::from(uid) * DAY);
    let time = SystemTime::UNIX_EPOCH + time;
    Ok(File::options().write(true).open(path)?.set_modified(time)?)
}
