use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use mailstore_format::{Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{Outage, outcome, rows};
use crate::{
    Finding, MailboxId, MailboxRecord, Outcome, Quarantined, WantedAnnotation, WantedMessage, Why,
};

fn path() -> impl Strategy<Value = PathBuf> {
    vec(1_u8.., 1..20).prop_map(|bytes| OsString::from_vec(bytes).into())
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 20]>().prop_map(Guid)
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![Just(Why::Missing), Just(Why::Damaged), Just(Why::Pruned)]
}

fn annotations() -> impl Strategy<Value = Vec<WantedAnnotation>> {
    let one = (".*", ".*", vec(any::<u8>(), 0..9));
    let one = one.prop_map(|(entry, userid, value)| WantedAnnotation { entry, userid, value });
    // One entry has one value for one user.
    vec(one, 0..3).prop_map(|mut all| {
        all.sort();
        all.dedup_by(|a, b| (&a.entry, &a.userid) == (&b.entry, &b.userid));
        all
    })
}

prop_compose! {
    fn message()(
        (uid, guid, size, why) in (any::<u32>(), guid(), any::<u64>(), why()),
        (system, internal) in (any::<u16>(), any::<u32>()),
        keywords in vec(".*", 0..4),
        (internaldate, savedate, sentdate) in (time(), time(), time()),
        (modseq, createdmodseq, thread_id) in any::<(u64, u64, u64)>(),
        annotations in annotations(),
    ) -> WantedMessage {
        WantedMessage {
            uid: Uid(uid), guid, size, keywords, internaldate, savedate, sentdate, annotations, why,
            system_flags: SystemFlags(system), internal_flags: InternalFlags(internal),
            modseq: ModSeq(modseq), createdmodseq: ModSeq(createdmodseq),
            thread_id: ThreadId(thread_id),
        }
    }
}

prop_compose! {
    fn file()(
        (origin, now, reason) in (path(), path(), ".*"),
        guid in proptest::option::of(guid()),
        mtime in proptest::option::of(time()),
    ) -> Quarantined {
        Quarantined { origin, now, reason, guid, mtime }
    }
}

prop_compose! {
    fn finding()(
        uid in proptest::option::of(any::<u32>()),
        (code, remedy, detail) in ("[a-z-]*", "[a-z]*", ".*"),
    ) -> Finding {
        Finding { uid: uid.map(Uid), code, remedy, detail }
    }
}

prop_compose! {
    fn any_outcome()(
        (state, error) in (".*", proptest::option::of(".*")),
        (messages, messages_read, bytes_read) in any::<(u64, u64, u64)>(),
    ) -> Outcome {
        Outcome { state, messages, messages_read, bytes_read, error }
    }
}

fn sorted<T, K: Ord>(mut values: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    values.sort_by_key(key);
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_recorded_of_a_mailbox_comes_back(
        (uniqueid, name, outcome) in (".*", ".*", any_outcome()),
        findings in vec(finding(), 0..4),
        wanted in vec(message(), 0..4),
        files in vec(file(), 0..4),
    ) {
        let wanted = distinct(wanted, |message| (message.guid, message.uid));
        let files = distinct(files, |file| file.now.clone());
        let outage = Outage::new();
        let run = outage.run("run");
        let mailbox = MailboxId { uniqueid, name };
        let record = MailboxRecord {
            findings: &findings,
            wanted: &wanted,
            quarantined: &files,
            ..MailboxRecord::new(&mailbox, &outcome)
        };
        outage.incident.record(run, &record).unwrap();
        let [recorded] = &rows(outage.incident.outcomes())[..] else { panic!("one outcome") };
        prop_assert_eq!((&recorded.mailbox, &recorded.outcome), (&mailbox, &outcome));
        let recorded = rows(outage.incident.findings());
        prop_assert!(recorded.iter().all(|row| row.mailbox.as_ref() == Some(&mailbox)));
        let recorded: Vec<_> = recorded.into_iter().map(|row| row.finding).collect();
        prop_assert_eq!(recorded, findings);
        let recorded = rows(outage.incident.wanted()).into_iter().map(|row| row.message);
        let by_guid = |message: &WantedMessage| (message.guid, message.uid);
        let recorded = sorted(recorded.collect(), by_guid);
        prop_assert_eq!(recorded, sorted(wanted, by_guid));
        let recorded = rows(outage.incident.quarantined()).into_iter().map(|row| row.file);
        prop_assert_eq!(recorded.collect::<Vec<_>>(), files);
    }

    #[test]
    fn wanted_messages_come_page_by_page_each_once_in_the_order_of_their_guids(
        uids in btree_set(1_u32..100_000, 1..1500),
    ) {
        let outage = Outage::new();
        let run = outage.run("run");
        // Few GUIDs, so that pages end between messages that have the same.
        let lost = |&uid: &u32| super::lost(uid, &(uid % 3).to_string());
        let wanted: Vec<_> = uids.iter().map(lost).collect();
        let (mailbox, outcome) = (super::mailbox("a"), outcome("left"));
        let record = MailboxRecord { wanted: &wanted, ..MailboxRecord::new(&mailbox, &outcome) };
        outage.incident.record(run, &record).unwrap();
        let streamed = rows(outage.incident.still_wanted()).into_iter().map(|row| row.message);
        let streamed: Vec<_> = streamed.collect();
        prop_assert!(streamed.is_sorted_by_key(|message| message.guid));
        prop_assert_eq!(sorted(streamed, |message| message.uid), wanted);
    }
}

fn distinct<T, K: Ord>(values: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(key(value))).collect()
}
