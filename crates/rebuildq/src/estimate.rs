//! When all will be done, as a range, and when one user will be.
//!
//! A mailbox costs so much for itself, for each message, for each message to read and for each byte
//! to read; these four costs are fitted to what was measured ([`History`]), and what is left
//! ([`Left`]) is priced by them. The rest of the run is then played through a few hundred times, and
//! the range holds what comes of it but for the outermost 4 % on either side. From play to play
//! differ:
//! - the pace: somewhere between how things went of late and how they went over any one stretch of
//!   the run so far, so that what was slow before may be again; and by a spread beyond that (half
//!   of the plays within 8 %, all but 6 % within 26 %), because a disk may slow down that never
//!   did before;
//! - the luck of each job: how many times as long as priced single mailboxes took, drawn from those
//!   that were measured, large ones more often;
//! - how much faster each worker is when others have nothing left to do: not at all, up to a fifth
//!   for half as many.
//!
//! The last jobs are shared out among the workers one by one, and so are the largest: who begins
//! with one of these near the end ends after all others. What is worked on is told by its own pace,
//! once some of its messages were checked.
//!
//! An estimate holds for as many workers as there are now, and as if nobody paused the queue or put
//! more into it: how long a pause lasts, nobody can know. `tests/estimate` tells how often estimates
//! hold in simulated runs, and how wide they are.
//!
//! ```
//! use std::time::Duration;
//! use rebuildq::estimate::{Finished, History, Left, Work, until_all_is_done};
//!
//! let mut history = History::default();
//! let work = Work { mailboxes: 1, messages: 900, to_read: 300, bytes: 4_500_000 };
//! for _ in 0..50 {
//!     history.add(&Finished { work, took: Duration::from_secs(2), at_once: 4 });
//! }
//! let mut left = Left::default();
//! left.workers.number = 4;
//! for _ in 0..1000 {
//!     left.add_waiting(work);
//! }
//! let range = until_all_is_done(&history, &left).expect("enough was measured");
//! let expected = Duration::from_secs(1000 * 2 / 4);
//! assert!(range.earliest < expected && expected < range.latest);
//! ```

mod costs;
mod dice;
mod history;
mod left;
mod luck;
mod play;
mod range;
mod work;

pub use history::{Finished, History};
pub use left::{Large, Left, Running, Workers};
pub use range::Range;
pub use work::Work;

use play::Play;

/// From when to when all will be done. None where all is, where nobody works, and before enough was
/// measured: 20 mailboxes, and 1.5 seconds of work.
#[must_use]
pub fn until_all_is_done(history: &History, left: &Left) -> Option<Range> {
    let is_idle = left.waiting == Work::default() && left.workers.running.is_empty();
    if is_idle || left.workers.number == 0 {
        return None;
    }
    let lesson = history.lesson()?;
    Some(Range::of_plays(|number, plays| Play::new(&lesson, number, plays).end_of_all(left)))
}

/// From when to when a job that waits will be done, which is `own` and has `before` before it, of
/// all that waits. None where nobody works, and before enough was measured.
#[must_use]
pub fn until_one_is_done(
    history: &History,
    workers: &Workers,
    before: Work,
    own: Work,
) -> Option<Range> {
    if workers.number == 0 {
        return None;
    }
    let lesson = history.lesson()?;
    Some(Range::of_plays(|number, plays| {
        Play::new(&lesson, number, plays).end_of_one(workers, &before, &own)
    }))
}

#[cfg(test)]
mod tests;
