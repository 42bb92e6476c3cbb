//! From what was compared to what is said: messages to be restored are read, and what no copy
//! proves is damaged.

mod closing;
mod copies;
mod gaps;
mod gone;
mod likeness;

use std::collections::HashSet;

use incident::SeenNumbers;
use mailstore_format::{Guid, ModSeq, Uid};

use super::group::{GroupRun, Work};
use crate::class::Class;
use crate::compare::{Because, Comparison, Pair};
use crate::contents::{Contents, FileState, Message, Voucher};
use crate::error::Error;
use crate::fetch::{Copy, Damage, Fetched, Order, fetch};
use crate::loose::Known;
use crate::report::MailboxReport;
use copies::Copies;

/// A group that was compared.
pub(super) struct Outcome<'a> {
    pub(super) group: &'a GroupRun<'a>,
    pub(super) works: Vec<Work>,
    pub(super) pairs: Vec<Pair>,
    pub(super) compared: Vec<Comparison>,
}

/// A message that something is said of.
#[derive(Debug)]
struct Said {
    pair: usize,
    message: Message,
    class: Class,
    because: Because,
    /// Of one that was to be read: the copy, or why there is none.
    fetched: Option<Result<Fetched, Damage>>,
    /// What makes the class another one than the comparison said.
    note: Option<&'static str>,
}

impl Outcome<'_> {
    /// Reads what is to be restored, and says of each mailbox what there is to say.
    pub(super) fn reports(mut self) -> Result<Vec<MailboxReport>, Error> {
        let mut said = self.said()?;
        self.read(&mut said)?;
        for said in &mut said {
            self.judge_damage(said);
        }
        likeness::find_near_duplicates(&self.pairs, &self.compared, &mut said);
        let mut by_pair: Vec<Vec<Said>> = Vec::new();
        by_pair.resize_with(self.pairs.len(), Vec::new);
        for said in said {
            if let Some(list) = by_pair.get_mut(said.pair) {
                list.push(said);
            }
        }
        let mut reports = Vec::new();
        for (number, said) in by_pair.iter().enumerate() {
            reports.extend(self.report(number, said)?);
        }
        Ok(reports)
    }

    /// What the comparison said, and live records whose message only turns up elsewhere.
    fn said(&self) -> Result<Vec<Said>, Error> {
        let mut all = Vec::new();
        for (number, (pair, comparison)) in self.pairs.iter().zip(&self.compared).enumerate() {
            for verdict in &comparison.verdicts {
                let Some(&message) = pair.source.messages.get(verdict.message) else { continue };
                let (class, because) = (verdict.class, verdict.because);
                let said =
                    Said { pair: number, message, class, because, fetched: None, note: None };
                all.push(said);
            }
        }
        let unfiled = self.pairs.iter().zip(&self.compared).enumerate();
        let unfiled: Vec<_> = unfiled
            .flat_map(|(number, (pair, comparison))| {
                let live = pair.live.as_ref();
                let messages = comparison.unfiled.iter();
                messages.filter_map(move |&at| Some((number, *live?.messages.get(at)?)))
            })
            .collect();
        if unfiled.is_empty() {
            return Ok(all);
        }
        let guids: HashSet<Guid> = unfiled.iter().map(|(_, message)| message.guid).collect();
        let copies = Copies::in_sources(&self.pairs, &guids);
        for (pair, message) in unfiled {
            let is_loose = !self.group.loose.with_guid(&message.guid)?.is_empty();
            if is_loose || copies.of(&message.guid).next().is_some() {
                let because = Because::RecordWithoutFile;
                let class = Class::Wanted;
                all.push(Said { pair, message, class, because, fetched: None, note: None });
            }
        }
        Ok(all)
    }

    /// Reads what is to be restored; where a mailbox's own copies are bad, all others are tried.
    fn read(&mut self, said: &mut [Said]) -> Result<(), Error> {
        let wanted = positions(said, |said| said.class.is_to_be_restored());
        let orders = wanted.iter().filter_map(|&at| Some(self.order(said.get(at)?)));
        let orders = orders.collect::<Result<Vec<_>, _>>()?;
        self.fetch(&wanted, &orders, said)?;
        let bad = positions(said, |said| {
            matches!(said.fetched, Some(Err(_))) && is_proven(said) && !said.message.guid.is_null()
        });
        if bad.is_empty() { Ok(()) } else { self.read_elsewhere(&bad, said) }
    }

    fn read_elsewhere(&mut self, bad: &[usize], said: &mut [Said]) -> Result<(), Error> {
        let messages = bad.iter().filter_map(|&at| said.get(at)).map(|said| said.message.guid);
        let copies = Copies::anywhere(&self.pairs, &messages.collect());
        let (mut at, mut orders, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for &number in bad {
            let Some(said) = said.get(number) else { continue };
            let order = self.order(said)?;
            let others = elsewhere(&copies, said, &order);
            if let (false, Some(Err(damage))) = (others.is_empty(), &said.fetched) {
                at.push(number);
                before.push(damage.clone());
                orders.push(Order { copies: others, ..order });
            }
        }
        self.fetch(&at, &orders, said)?;
        // What was wrong with the message's own file says more than what was with others.
        for (at, damage) in at.into_iter().zip(before) {
            if let Some(said) = said.get_mut(at)
                && matches!(said.fetched, Some(Err(_)))
            {
                said.fetched = Some(Err(damage));
            }
        }
        Ok(())
    }

    fn fetch(&mut self, at: &[usize], orders: &[Order], said: &mut [Said]) -> Result<(), Error> {
        let run = self.group.run;
        let delivered = fetch(orders, run.stage, run.options.retry_bad)?;
        for (&at, delivered) in at.iter().zip(delivered) {
            let Some(said) = said.get_mut(at) else { continue };
            if let Some(work) = self.works.get_mut(said.pair) {
                let report = &mut work.report;
                report.files_read = report.files_read.saturating_add(delivered.files);
                report.bytes_read = report.bytes_read.saturating_add(delivered.bytes);
                report.unreadable.extend(delivered.skipped.iter().map(ToString::to_string));
                run.observer.progressed(0, delivered.bytes);
            }
            said.fetched = Some(delivered.result);
        }
        Ok(())
    }

    /// What to read for a message: its own files, then loose ones.
    fn order(&self, said: &Said) -> Result<Order, Error> {
        let message = &said.message;
        let mut copies = Vec::new();
        if let Some(pair) = self.pairs.get(said.pair) {
            copies.extend(copies::files_of(&pair.source, message.file_uid));
        }
        let loose = self.group.loose.with_guid(&message.guid)?;
        copies.extend(loose.into_iter().map(Copy::from));
        self.group.loose.note(&message.guid, Known::Used)?;
        Ok(Order {
            guid: if is_proven(said) { message.guid } else { Guid::NULL },
            size: message.size,
            received: message.internaldate,
            copies,
        })
    }

    /// A message of which no copy is intact is damaged. A file of which nothing tells what it was can
    /// be what is left of the message that the live store has under its UID.
    fn judge_damage(&self, said: &mut Said) {
        if matches!(said.fetched, Some(Err(_))) {
            said.class = Class::Damaged;
        }
        if said.because != Because::UidTaken || said.message.voucher != Voucher::File {
            return;
        }
        let Some(pair) = self.pairs.get(said.pair) else { return };
        if copies::is_remains_of_live(pair, &said.message) {
            said.class = Class::Present;
            said.note = Some("what is left of the message that the live store has");
        }
    }

    fn report(&mut self, number: usize, said: &[Said]) -> Result<Option<MailboxReport>, Error> {
        let (Some(pair), Some(compared), Some(work)) =
            (self.pairs.get(number), self.compared.get(number), self.works.get_mut(number))
        else {
            return Ok(None);
        };
        let mut counts = compared.counts.clone();
        counts.merge(&work.report.counts);
        counts.add_all(Class::Duplicate, pair.source.duplicates);
        for verdict in &compared.verdicts {
            if let Some(message) = pair.source.messages.get(verdict.message) {
                counts.take(verdict.class, message.size);
            }
        }
        for said in said {
            counts.add(said.class, said.message.size);
        }
        counts.0.retain(|_, count| count.messages > 0);
        let report = &mut work.report;
        report.counts = counts;
        let gaps::Gaps { told, within } =
            gaps::of(self.group, &work.plan, pair, said, &mut report.unreadable);
        (report.gaps, report.within) = (told, within);
        report.gone = gone::of(self.group, &work.plan, pair, &report.gaps);
        if let (Some(memory), None) = (self.group.run.memory, &report.error) {
            let told = [report.gaps.as_slice(), report.within.as_slice()].concat();
            // What it was remembered by as long as there was no live one is nothing's any more.
            let ids = [
                Some((&work.plan.id, told.as_slice())),
                work.plan.source_id.as_ref().map(|id| (id, &[][..])),
            ];
            for (id, told) in ids.into_iter().flatten() {
                let open = memory.open_gaps(self.group.group.store, id)?;
                let closed = closing::closed(open, pair, told);
                report.closed.extend(closed.into_iter().map(|key| (id.clone(), key)));
            }
        }
        report.seen = numbers_in(&pair.source);
        let report = std::mem::take(report);
        // Live mailboxes that no source has are nobody's question.
        let asked = !work.plan.parts.is_empty() || !report.closed.is_empty();
        Ok((asked || !report.gaps.is_empty() || report.error.is_some()).then_some(report))
    }
}

/// Copies of a message that are not its own files, which have been ordered before.
fn elsewhere(copies: &Copies, said: &Said, order: &Order) -> Vec<Copy> {
    let own: HashSet<_> = order.copies.iter().map(Copy::path).collect();
    let others = copies.of(&said.message.guid);
    others.filter(|copy| !own.contains(&copy.path())).cloned().collect()
}

/// The highest numbers that clients of a mailbox may have seen. One that no server ever gave out
/// hides no other.
fn numbers_in(contents: &Contents) -> SeenNumbers {
    let uids = contents.messages.iter().map(|message| message.uid).chain(contents.last_uid);
    let modseqs = contents.messages.iter().map(|message| message.modseq);
    let modseqs = modseqs.chain(contents.highestmodseq);
    SeenNumbers {
        uid: uids.filter(|&uid| uid <= Uid::HIGHEST_PLAUSIBLE).max().unwrap_or_default(),
        modseq: modseqs.filter(|&it| it <= ModSeq::HIGHEST_PLAUSIBLE).max().unwrap_or_default(),
    }
}

/// Whether anything but a damaged file tells what the message's bytes were.
fn is_proven(said: &Said) -> bool {
    said.message.voucher != Voucher::File || said.message.file != FileState::Bad
}

fn positions(said: &[Said], wanted: impl Fn(&Said) -> bool) -> Vec<usize> {
    let numbered = said.iter().enumerate();
    numbered.filter(|(_, said)| wanted(said)).map(|(at, _)| at).collect()
}
