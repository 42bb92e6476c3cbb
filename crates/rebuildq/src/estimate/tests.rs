use std::time::Duration;

use super::*;

const MAILBOX: Work = Work { mailboxes: 1, messages: 100, to_read: 100, bytes: 1_000_000 };

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// So many mailboxes, each of which took so long.
fn history(mailboxes: u32, took: f64, at_once: u32) -> History {
    let mut history = History::default();
    for _ in 0..mailboxes {
        history.add(&Finished { work: MAILBOX, took: seconds(took), at_once });
    }
    history
}

fn left(jobs: u64, workers: u32) -> Left {
    let mut left = Left::default();
    left.workers.number = workers;
    (0..jobs).for_each(|_| left.add_waiting(MAILBOX));
    left
}

fn assert_about(range: Range, expected: f64) {
    let (earliest, latest) = (range.earliest.as_secs_f64(), range.latest.as_secs_f64());
    assert!(earliest < expected && expected < latest, "{expected}: {range:?}");
    assert!(earliest > 0.7 * expected && latest < 1.4 * expected, "{expected}: {range:?}");
}

#[test]
fn a_steady_run_ends_when_arithmetic_says_so() {
    assert_about(until_all_is_done(&history(1000, 3.0, 4), &left(5000, 4)).unwrap(), 3750.0);
}

#[test]
fn nothing_is_told_before_enough_was_measured_nor_when_nobody_works_nor_when_all_is_done() {
    let enough = history(40, 1.0, 1);
    assert_eq!(until_all_is_done(&history(19, 1.0, 1), &left(10, 1)), None);
    assert_eq!(until_all_is_done(&history(40, 0.01, 1), &left(10, 1)), None);
    assert_eq!(until_all_is_done(&enough, &left(10, 0)), None);
    assert_eq!(until_one_is_done(&enough, &Workers::default(), MAILBOX, MAILBOX), None);
    assert_eq!(until_all_is_done(&enough, &left(0, 1)), None);
    assert!(until_all_is_done(&enough, &left(10, 1)).is_some());
}

#[test]
fn one_large_job_at_the_end_keeps_one_worker_busy() {
    let large = Work { mailboxes: 1, messages: 100_000, to_read: 100_000, bytes: 1_000_000_000 };
    let mut history = history(1000, 1.0, 8);
    history.add(&Finished { work: large, took: seconds(1000.0), at_once: 8 });
    let mut last = left(800, 8);
    last.add_waiting(large);
    let mut first = left(0, 8);
    first.add_waiting(large);
    (0..800).for_each(|_| first.add_waiting(MAILBOX));
    let (last, first) =
        [last, first].map(|left| until_all_is_done(&history, &left).unwrap()).into();
    assert!(last.earliest > seconds(650.0), "{last:?}");
    assert!(last.latest > first.latest + seconds(50.0), "{last:?}, {first:?}");
}

#[test]
fn a_large_job_in_the_midst_of_many_is_not_forgotten() {
    let large = Work { mailboxes: 1, messages: 100_000, to_read: 100_000, bytes: 1_000_000_000 };
    let history = history(1000, 1.0, 8);
    let mut left = left(10, 8);
    left.add_waiting(large);
    (0..300).for_each(|_| left.add_waiting(MAILBOX));
    assert!(until_all_is_done(&history, &left).unwrap().latest > seconds(700.0));
}

#[test]
fn what_is_in_hand_goes_on_at_its_own_pace() {
    let history = history(1000, 1.0, 1);
    let mut left = left(0, 1);
    // Half of it took 300 seconds, where it should have taken half of one.
    let running =
        Running { in_hand: MAILBOX, since: seconds(300.0), checked: 50, ..Running::default() };
    left.workers.running = vec![running];
    assert_about(until_all_is_done(&history, &left).unwrap(), 340.0);
    // All its messages were checked: it will end soon.
    left.workers.running = vec![Running { checked: 100, ..running }];
    assert!(until_all_is_done(&history, &left).unwrap().latest < seconds(45.0));
}

#[test]
fn a_job_ends_when_what_is_before_it_has_begun_and_it_is_done_itself() {
    let history = history(1000, 2.0, 4);
    let workers = left(0, 4).workers;
    let before = (0..400).map(|_| MAILBOX).sum();
    let own = (0..50).map(|_| MAILBOX).sum();
    assert_about(until_one_is_done(&history, &workers, before, own).unwrap(), 300.0);
}

#[test]
fn what_went_of_late_weighs_more_and_what_went_before_is_not_forgotten() {
    let mut history = history(1000, 1.0, 1);
    for _ in 0..150 {
        history.add(&Finished { work: MAILBOX, took: seconds(2.0), at_once: 1 });
    }
    let range = until_all_is_done(&history, &left(1000, 1)).unwrap();
    assert!(range.latest > seconds(2000.0), "{range:?}");
    assert!(range.earliest < seconds(1400.0), "{range:?}");
}

#[test]
fn memory_and_work_are_bounded_however_much_was_measured() {
    let history = history(300_000, 0.5, 64);
    assert!(std::mem::size_of_val(&history) < 1000);
    let left = left(100_000, 64);
    assert!(left.last.len() <= Left::LAST && left.large.len() <= Left::LARGE);
    assert_about(until_all_is_done(&history, &left).unwrap(), 781.0);
}

#[test]
fn nothing_told_breaks_it() {
    let most = Work { mailboxes: u64::MAX, messages: u64::MAX, to_read: u64::MAX, bytes: u64::MAX };
    let odd = [Work::default(), most, MAILBOX, Work { mailboxes: 0, ..MAILBOX }];
    let mut history = History::default();
    for number in 0..2000 {
        let took = if number % 3 == 0 { Duration::ZERO } else { seconds(0.1) };
        history.add(&Finished { work: odd[number % 4], took, at_once: 0 });
    }
    let mut left = left(3, 1);
    for work in odd {
        left.add_waiting(work);
    }
    let running = |in_hand| Running { in_hand, since: Duration::MAX, checked: 7, later: in_hand };
    left.workers.running = odd.map(running).into();
    if let Some(range) = until_all_is_done(&history, &left) {
        assert!(range.earliest <= range.latest);
    }
}

#[test]
fn a_published_range_stays_until_it_would_move_by_more_than_a_little() {
    let range = |earliest, latest| Range { earliest: seconds(earliest), latest: seconds(latest) };
    let published = range(1000.0, 1500.0);
    let after = |new: Range| new.steadied(published, seconds(100.0));
    assert_eq!(after(range(930.0, 1370.0)), range(900.0, 1400.0));
    assert_eq!(after(range(930.0, 1600.0)), range(900.0, 1600.0));
    assert_eq!(after(range(600.0, 1390.0)), range(600.0, 1400.0));
}
