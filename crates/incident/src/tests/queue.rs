//! Who comes next, who may work, and what that leaves behind.

use super::{Outage, mailbox};
use crate::queue::EventKind::{
    Claimed, Denied, Done, Opened, Paused, Queued, Resumed, RunnerBegan, TakenOver,
};
use crate::queue::{
    Access, Change, Chronicle as _, Claim, EventKind, Job, JobId, JobState, MailboxEnd, NewJob,
    ProgressSample, RebuildRequest, Roster as _, RunnerId, Running, Size, Work as _,
};
use mailstore_format::Timestamp;

fn size(messages: u64) -> Size {
    Size { mailboxes: 1, messages, to_read: messages / 2, bytes_to_read: messages * 1000 }
}

/// A job of two mailboxes.
fn new(user: &str) -> NewJob {
    let mailboxes = vec![
        (mailbox(&format!("{user}-inbox")), size(10)),
        (mailbox(&format!("{user}-sent")), size(4)),
    ];
    NewJob { user: user.to_owned(), mailboxes, priority: 0, deny: false }
}

fn enqueue(outage: &Outage, users: &[&str]) -> Vec<JobId> {
    let jobs: Vec<NewJob> = users.iter().map(|user| new(user)).collect();
    let enqueued = outage.incident.enqueue(outage.store, &jobs).unwrap();
    enqueued.into_iter().map(|enqueued| enqueued.job).collect()
}

fn runner(outage: &Outage) -> RunnerId {
    outage.incident.begin_runner("runner", 2).unwrap()
}

fn claim(outage: &Outage, runner: RunnerId) -> Option<(Claim, Job)> {
    outage.incident.claim(outage.store, runner).unwrap()
}

/// Whose jobs come, in which order, until there is none.
fn order(outage: &Outage) -> Vec<String> {
    let runner = runner(outage);
    std::iter::from_fn(|| claim(outage, runner)).map(|(_, job)| job.user).collect()
}

fn end_of_mailbox(seconds: f64) -> MailboxEnd {
    MailboxEnd { outcome: Some("repaired".to_owned()), seconds, at: Timestamp::from_seconds(9) }
}

fn kinds(outage: &Outage, job: JobId) -> Vec<EventKind> {
    outage.incident.events_of(job).unwrap().into_iter().map(|event| event.kind).collect()
}

fn only_running(outage: &Outage) -> Running {
    let running = outage.incident.running(outage.store).unwrap();
    assert_eq!(running.len(), 1);
    running[0]
}

#[test]
fn jobs_come_by_priority_and_then_in_the_order_in_which_they_were_queued() {
    let outage = Outage::new();
    let jobs = enqueue(&outage, &["alice", "bob", "carol", "dave", "erin"]);
    assert!(outage.incident.change(jobs[3], Change::RaiseTo(100)).unwrap());
    assert!(outage.incident.change(jobs[2], Change::RaiseTo(100)).unwrap());
    assert!(!outage.incident.change(jobs[2], Change::RaiseTo(50)).unwrap());
    assert!(outage.incident.change(jobs[4], Change::Bump).unwrap());
    let place = outage.incident.place_of(jobs[2]).unwrap().unwrap();
    let two = Size { mailboxes: 4, messages: 28, to_read: 14, bytes_to_read: 28_000 };
    assert_eq!((place.before, place.left_before), (2, two));
    let places = outage.incident.places(outage.store).unwrap();
    assert_eq!((places.len(), places[&jobs[2]]), (5, place));
    assert_eq!(order(&outage), ["erin", "dave", "carol", "alice", "bob"]);
    assert_eq!(outage.incident.place_of(jobs[2]).unwrap(), None);
    let kinds = kinds(&outage, jobs[4]);
    assert_eq!(kinds, [EventKind::Queued, EventKind::Bumped, EventKind::Claimed]);
}

#[test]
fn the_last_one_who_is_bumped_is_next() {
    let outage = Outage::new();
    let jobs = enqueue(&outage, &["alice", "bob", "carol"]);
    for job in [jobs[1], jobs[2]] {
        assert!(outage.incident.change(job, Change::Bump).unwrap());
    }
    assert_eq!(order(&outage), ["carol", "bob", "alice"]);
}

#[test]
fn a_user_has_one_job_that_is_not_over_and_mailboxes_come_to_it_once() {
    let outage = Outage::new();
    let first = enqueue(&outage, &["alice"])[0];
    let more = NewJob {
        mailboxes: vec![(mailbox("alice-sent"), size(4)), (mailbox("alice-new"), size(6))],
        priority: 7,
        deny: true,
        ..new("alice")
    };
    let again = outage.incident.enqueue(outage.store, &[more]).unwrap()[0];
    assert_eq!((again.job, again.was_there), (first, true));
    let job = outage.incident.job(first).unwrap().unwrap();
    let all = Size { mailboxes: 3, messages: 20, to_read: 10, bytes_to_read: 20_000 };
    assert_eq!((job.size, job.priority, job.access), (all, 7, Access::Closing));
    let mailboxes = outage.incident.mailboxes_of(first).unwrap();
    let names: Vec<_> = mailboxes.iter().map(|one| one.mailbox.uniqueid.as_str()).collect();
    assert_eq!(names, ["alice-inbox", "alice-sent", "alice-new"]);
}

#[test]
fn who_is_yet_to_be_denied_is_not_claimed() {
    let outage = Outage::new();
    let jobs = [NewJob { deny: true, ..new("alice") }, new("bob")];
    let alice = outage.incident.enqueue(outage.store, &jobs).unwrap()[0].job;
    assert_eq!(order(&outage), ["bob"]);
    outage.incident.set_access(alice, Access::Closed).unwrap();
    assert_eq!(order(&outage), ["alice"]);
    assert_eq!(outage.incident.closed_jobs(outage.store).unwrap().len(), 1);
    outage.incident.set_access(alice, Access::Open).unwrap();
    let seen = kinds(&outage, alice);
    assert_eq!(seen, [Queued, Denied, Claimed, Opened]);
}

#[test]
fn who_has_an_old_token_can_say_nothing_any_more() {
    let outage = Outage::new();
    let incident = &outage.incident;
    let id = enqueue(&outage, &["alice"])[0];
    let (slow, fast) = (runner(&outage), runner(&outage));
    let (old, _) = claim(&outage, slow).unwrap();
    assert!(incident.mailbox_ended(old, 0, &end_of_mailbox(1.5)).unwrap());
    let seen = only_running(&outage);
    incident.report(slow).unwrap();
    assert_eq!(incident.take_over(&seen, fast).unwrap(), None, "its beat has grown");
    let seen = only_running(&outage);
    let (new, job) = incident.take_over(&seen, fast).unwrap().unwrap();
    assert_eq!(job.done, size(10));
    assert_eq!(incident.take_over(&seen, slow).unwrap(), None, "somebody was faster");
    assert!(!incident.holds(old).unwrap() && incident.holds(new).unwrap());
    assert!(!incident.mailbox_ended(old, 1, &end_of_mailbox(1.0)).unwrap());
    assert_eq!(incident.fail(old, "late", 3).unwrap(), None);
    assert_eq!(incident.complete(old).unwrap(), None);
    assert!(!incident.lay_back(old).unwrap());
    assert!(incident.mailbox_ended(new, 1, &end_of_mailbox(2.0)).unwrap());
    assert_eq!(incident.complete(new).unwrap(), Some(JobState::Done));
    assert!(!incident.holds(new).unwrap());
    assert_eq!(kinds(&outage, id), [Queued, Claimed, TakenOver, Done]);
    let measured = incident.measured(outage.store, 0, 10).unwrap();
    assert_eq!(measured.len(), 2);
    assert_eq!((measured[0].size.mailboxes, measured[0].seconds), (1, 1.5));
    assert_eq!((measured[0].number, measured[1].at_once), (1, 1));
    assert_eq!(incident.measured(outage.store, 1, 10).unwrap(), measured[1..]);
    assert_eq!(incident.measured(outage.store, 0, 1).unwrap(), measured[1..]);
}

#[test]
fn what_a_runner_that_ended_left_is_taken_over_at_once() {
    let outage = Outage::new();
    enqueue(&outage, &["alice"]);
    let (first, second) = (runner(&outage), runner(&outage));
    claim(&outage, first).unwrap();
    outage.incident.end_runner(first).unwrap();
    let seen = only_running(&outage);
    assert!(seen.is_left);
    assert!(outage.incident.take_over(&seen, second).unwrap().is_some());
    let runners = outage.incident.runners().unwrap();
    assert_eq!((runners[0].id, runners[0].ended), (second, None));
    assert!(runners[1].ended.is_some());
}

#[test]
fn what_fails_is_tried_again_behind_the_others_and_set_aside_in_the_end() {
    let outage = Outage::new();
    let jobs = enqueue(&outage, &["alice", "bob"]);
    let runner = runner(&outage);
    let (alice, _) = claim(&outage, runner).unwrap();
    assert_eq!(outage.incident.fail(alice, "a disk", 2).unwrap(), Some(JobState::Waiting));
    let (bob, job) = claim(&outage, runner).unwrap();
    assert_eq!(job.user, "bob");
    assert!(outage.incident.lay_back(bob).unwrap());
    assert_eq!(claim(&outage, runner).unwrap().1.user, "bob");
    let (alice, job) = claim(&outage, runner).unwrap();
    assert_eq!((job.attempts, job.why.as_deref()), (1, Some("a disk")));
    assert_eq!(outage.incident.fail(alice, "a disk", 2).unwrap(), Some(JobState::SetAside));
    assert!(claim(&outage, runner).is_none());
    assert!(outage.incident.change(jobs[0], Change::Retry).unwrap());
    let (_, job) = claim(&outage, runner).unwrap();
    assert_eq!((job.user.as_str(), job.attempts, job.why, job.ended), ("alice", 0, None, None));
}

#[test]
fn a_job_to_which_mailboxes_came_meanwhile_waits_again() {
    let outage = Outage::new();
    enqueue(&outage, &["alice"]);
    let runner = runner(&outage);
    let (first, _) = claim(&outage, runner).unwrap();
    let gone = MailboxEnd { outcome: None, ..end_of_mailbox(0.0) };
    assert!(outage.incident.mailbox_ended(first, 0, &end_of_mailbox(1.0)).unwrap());
    assert!(outage.incident.mailbox_ended(first, 1, &gone).unwrap());
    let more = NewJob { mailboxes: vec![(mailbox("alice-new"), size(6))], ..new("alice") };
    outage.incident.enqueue(outage.store, &[more]).unwrap();
    assert_eq!(outage.incident.complete(first).unwrap(), Some(JobState::Waiting));
    let (second, job) = claim(&outage, runner).unwrap();
    assert_eq!(job.left(), size(6));
    assert!(outage.incident.mailbox_ended(second, 2, &end_of_mailbox(1.0)).unwrap());
    assert_eq!(outage.incident.complete(second).unwrap(), Some(JobState::Done));
    assert_eq!(outage.incident.measured(outage.store, 0, 10).unwrap().len(), 2, "one was gone");
}

#[test]
fn what_operators_do_to_a_job_depends_on_how_far_it_is() {
    let outage = Outage::new();
    let job = enqueue(&outage, &["alice"])[0];
    let change = |change| outage.incident.change(job, change).unwrap();
    let state = || outage.incident.job(job).unwrap().unwrap().state;
    assert!(!change(Change::Release) && !change(Change::Retry));
    let (claimed, _) = claim(&outage, runner(&outage)).unwrap();
    assert!(!change(Change::Bump), "it is worked on already");
    assert!(change(Change::Hold) && !outage.incident.holds(claimed).unwrap());
    assert!(claim(&outage, runner(&outage)).is_none());
    assert!(change(Change::Bump) && change(Change::Release));
    assert_eq!(state(), JobState::Waiting);
    assert!(change(Change::Cancel) && !change(Change::Cancel) && !change(Change::Hold));
    assert_eq!(state(), JobState::Cancelled);
    let another = enqueue(&outage, &["alice"])[0];
    assert_ne!(another, job);
    assert_eq!(outage.incident.job_of(outage.store, "alice").unwrap().unwrap().id, another);
    let listed = outage.incident.jobs(outage.store).unwrap();
    let listed: Vec<_> = listed.iter().map(|job| job.id).collect();
    assert_eq!(listed, [another, job]);
}

#[test]
fn a_queue_that_stands_still_gives_no_job() {
    let outage = Outage::new();
    enqueue(&outage, &["alice", "bob"]);
    let (first, second) = (runner(&outage), runner(&outage));
    claim(&outage, first).unwrap();
    outage.incident.set_paused(true).unwrap();
    assert!(claim(&outage, second).is_none());
    assert!(outage.incident.take_over(&only_running(&outage), second).unwrap().is_none());
    assert!(outage.incident.settings().unwrap().paused.is_some());
    outage.incident.set_paused(false).unwrap();
    assert!(claim(&outage, second).is_some());
    let told = outage.incident.events(0, 100).unwrap();
    let of_queue: Vec<_> = told.iter().filter(|event| event.job.is_none()).collect();
    let kinds: Vec<_> = of_queue.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [RunnerBegan, RunnerBegan, Paused, Resumed]);
    assert_eq!(outage.incident.events(told[1].id, 1).unwrap(), [told[2].clone()]);
}

#[test]
fn totals_tell_how_much_is_done_and_left() {
    let outage = Outage::new();
    enqueue(&outage, &["alice", "bob", "carol"]);
    let (claimed, _) = claim(&outage, runner(&outage)).unwrap();
    outage.incident.mailbox_ended(claimed, 0, &end_of_mailbox(1.0)).unwrap();
    let totals = outage.incident.totals(outage.store).unwrap();
    let of = |state| totals.iter().find(|total| total.state == state).unwrap();
    assert_eq!((of(JobState::Waiting).jobs, of(JobState::Waiting).size.messages), (2, 28));
    assert_eq!((of(JobState::Running).jobs, of(JobState::Running).done), (1, size(10)));
    let largest = outage.incident.largest_left(outage.store, 2).unwrap();
    assert_eq!(largest.iter().map(|(_, left)| left.messages).collect::<Vec<_>>(), [14, 14]);
    let last = outage.incident.last_left(outage.store, 1).unwrap();
    let carol = outage.incident.job_of(outage.store, "carol").unwrap().unwrap();
    assert_eq!(last, [(carol.id, carol.size)]);
}

#[test]
fn samples_are_taken_once_in_a_while_and_told_evenly_spread() {
    let outage = Outage::new();
    let at = |seconds| Timestamp::from_seconds(1_000 + seconds);
    for n in 0..100_u64 {
        let seconds = i64::try_from(n).unwrap();
        let sample = ProgressSample {
            at: at(seconds),
            users: n,
            mailboxes: n,
            messages: n,
            estimate: (n > 50).then(|| (at(200), at(300))),
        };
        assert!(outage.incident.sample(outage.store, &sample, at(seconds - 1)).unwrap());
        assert!(!outage.incident.sample(outage.store, &sample, at(seconds - 1)).unwrap());
    }
    let told = outage.incident.samples(outage.store, 10).unwrap();
    let users: Vec<_> = told.iter().map(|sample| sample.users).collect();
    assert_eq!(users, [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]);
    assert_eq!(outage.incident.samples(outage.store, 1).unwrap().len(), 2);
    assert_eq!(outage.incident.samples(outage.store, 1000).unwrap().len(), 100);
    assert_eq!((told[0].estimate, told[9].estimate), (None, Some((at(200), at(300)))));
}

#[test]
fn a_user_has_one_link_until_it_is_taken_back() {
    let outage = Outage::new();
    let incident = &outage.incident;
    let link = |token| incident.link(outage.store, "alice", token).unwrap();
    assert_eq!((link("one"), link("two")), ("one".to_owned(), "one".to_owned()));
    assert_eq!(incident.linked("one").unwrap().unwrap().user, "alice");
    assert_eq!(incident.linked("two").unwrap(), None);
    assert!(incident.unlink(outage.store, "alice").unwrap());
    assert_eq!(incident.linked("one").unwrap(), None);
    assert!(incident.links(outage.store).unwrap().is_empty());
}

#[test]
fn requests_are_counted_by_sender_and_notes_told() {
    let outage = Outage::new();
    let at = Timestamp::from_seconds;
    for seconds in [10, 20] {
        let request = RebuildRequest {
            at: at(seconds),
            sender: "alice@example.com".to_owned(),
            user: Some("alice".to_owned()),
            why: None,
            subject: None,
            text: None,
        };
        outage.incident.keep_request(&request).unwrap();
    }
    let since = |sender, seconds| outage.incident.requests_since(sender, at(seconds)).unwrap();
    assert_eq!(since("alice@example.com", 5), 2);
    assert_eq!(since("alice@example.com", 10), 1);
    assert_eq!(since("bob@example.com", 0), 0);
    assert_eq!(outage.incident.requests(1).unwrap()[0].at, at(20));
    outage.incident.note("the first disk is copied").unwrap();
    outage.incident.note("half of it is done").unwrap();
    let notes = outage.incident.notes(5).unwrap();
    assert_eq!(notes[0].text, "half of it is done");
}

#[test]
fn the_queue_is_exported_without_the_tokens_of_its_links() {
    let outage = Outage::new();
    enqueue(&outage, &["alice"]);
    let (claimed, _) = claim(&outage, runner(&outage)).unwrap();
    outage.incident.mailbox_ended(claimed, 0, &end_of_mailbox(1.5)).unwrap();
    outage.incident.note("half of it is done").unwrap();
    outage.incident.link(outage.store, "alice", "a-secret-token").unwrap();
    let mut out = Vec::new();
    outage.incident.export(&mut out).unwrap().unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("a-secret-token"));
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    let of = |kind| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let job = of("job");
    assert_eq!((&job[0]["user"], &job[0]["state"]), (&"alice".into(), &"running".into()));
    let mailboxes = of("job_mailbox");
    assert_eq!(mailboxes[0]["outcome"], "repaired");
    assert!(mailboxes.len() == 2 && mailboxes[1]["ended"].is_null());
    let kinds: Vec<_> = of("queue_event").iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["queued", "runner-began", "claimed"]);
    assert_eq!(of("queue_note")[0]["text"], "half of it is done");
}
