use mailstore_format::{Guid, SystemFlags, Timestamp, Uid};

use super::{Outage, lost, mailbox, outcome, rows};
use crate::mailboxes::{Naming, remember};
use crate::wanted::{found, put};
use crate::{MailboxRecord, RunId, Wanted, WantedMessage};

/// Notes that `message` is wanted, at a time.
fn miss(outage: &Outage, run: RunId, message: &WantedMessage, seen: i64) {
    let write = outage.incident.database.write(|transaction| {
        let row = remember(transaction, outage.store, &mailbox("a"), Naming::Current)?;
        put(transaction, run, row, message, Timestamp(seen))
    });
    write.unwrap();
}

fn only(outage: &Outage) -> Wanted {
    let mut all = rows(outage.incident.wanted());
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_message_missed_again_is_wanted_once_with_what_was_known_last() {
    let notes = [(10, SystemFlags(1)), (20, SystemFlags(2)), (30, SystemFlags(4))];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let outage = Outage::new();
        let runs = ["1", "2", "3"].map(|name| outage.run(name));
        for index in order {
            let (seen, system_flags) = notes[index];
            let message = WantedMessage { system_flags, ..lost(7, "seven") };
            miss(&outage, runs[index], &message, seen);
        }
        let wanted = only(&outage);
        assert_eq!((wanted.first_seen, wanted.last_seen), (Timestamp(10), Timestamp(30)));
        assert_eq!(wanted.message.system_flags, SystemFlags(4), "{order:?}");
        assert_eq!(wanted.run, runs[2]);
    }
}

#[test]
fn what_was_found_is_wanted_no_more_until_it_is_missed_later() {
    let outage = Outage::new();
    let run = outage.run("run");
    miss(&outage, run, &lost(7, "seven"), 10);
    let id = only(&outage).id;
    outage.incident.mark_found(&[id]).unwrap();
    let found_at = only(&outage).found_at.unwrap();
    assert!(rows(outage.incident.still_wanted()).is_empty());
    assert!(outage.incident.wanted_with_guid(&Guid::of(b"seven")).unwrap().is_empty());
    miss(&outage, run, &lost(7, "seven"), 20);
    assert_eq!(only(&outage).found_at, Some(found_at), "that was before it was found");
    miss(&outage, run, &lost(7, "seven"), found_at.0 + 1);
    assert_eq!(only(&outage).found_at, None);
    assert_eq!(outage.incident.wanted_with_guid(&Guid::of(b"seven")).unwrap().len(), 1);
}

#[test]
fn a_mailboxs_record_tells_which_messages_are_there_again() {
    let outage = Outage::new();
    let run = outage.run("run");
    let (mailbox, outcome) = (mailbox("a"), outcome("left"));
    let wanted = [lost(1, "one"), lost(2, "two")];
    let record = MailboxRecord::new(&mailbox, &outcome);
    outage.incident.record(run, &MailboxRecord { wanted: &wanted, ..record }).unwrap();
    let there = [(Uid(1), Guid::of(b"one")), (Uid(2), Guid::of(b"another")), (Uid(9), Guid::NULL)];
    outage.incident.record(run, &MailboxRecord { found: &there, ..record }).unwrap();
    let still: Vec<_> = rows(outage.incident.still_wanted()).into_iter().collect();
    assert_eq!(still.len(), 1);
    assert_eq!(still[0].message, wanted[1]);
}

#[test]
fn a_finding_that_is_older_than_the_loss_does_not_count() {
    let outage = Outage::new();
    let run = outage.run("run");
    miss(&outage, run, &lost(7, "seven"), 50);
    let find = |at| {
        let write = outage.incident.database.write(|transaction| {
            let row = remember(transaction, outage.store, &mailbox("a"), Naming::Current)?;
            found(transaction, row, Uid(7), Guid::of(b"seven"), Timestamp(at))
        });
        write.unwrap();
        only(&outage).found_at
    };
    assert_eq!(find(40), None);
    assert_eq!(find(50), Some(Timestamp(50)));
}

#[test]
fn one_guid_can_be_wanted_in_several_mailboxes() {
    let outage = Outage::new();
    let run = outage.run("run");
    for id in ["a", "b"] {
        let (mailbox, outcome) = (mailbox(id), outcome("left"));
        let wanted = [lost(1, "one"), lost(2, "two")];
        let record = MailboxRecord { wanted: &wanted, ..MailboxRecord::new(&mailbox, &outcome) };
        outage.incident.record(run, &record).unwrap();
    }
    let found = outage.incident.wanted_with_guid(&Guid::of(b"one")).unwrap();
    let places: Vec<_> = found.iter().map(|wanted| wanted.mailbox.uniqueid.as_str()).collect();
    assert_eq!(places, ["a", "b"]);
    assert!(found.iter().all(|wanted| wanted.message == lost(1, "one")));
}
