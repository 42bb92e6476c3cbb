//! A rebuild to be looked at, whose state the tests set.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use mailstore_format::Timestamp;
use rebuildq::pages::{Site, Source, SourceError, serve};
use rebuildq::status::{Count, Estimate, Note, OwnStatus, Phase, Rate, Sample, Standing, Status};

/// The token of alice's link.
pub(crate) const TOKEN: &str = "kT4vJ0wYq2-N7_R5bGm8";

/// For how long an answer about all may be given to further requests, and a bit.
const KEPT_FOR: Duration = Duration::from_millis(1100);

/// What is shown, with all times relative to when it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) done: u64,
    pub(crate) phase: Phase,
    /// How many seconds ago it was made, and how many before that a runner reported.
    pub(crate) age: i64,
    pub(crate) silent_for: i64,
    pub(crate) is_alice_back: bool,
}

impl Default for Scene {
    fn default() -> Self {
        let phase = Phase::Running;
        Self { done: 130, phase, age: 0, silent_for: 4, is_alice_back: false }
    }
}

impl Scene {
    pub(crate) fn made(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or_default();
        Timestamp::from_seconds(now - self.age)
    }

    fn before(&self, seconds: i64) -> Timestamp {
        Timestamp::from_seconds(self.made().seconds() - seconds)
    }

    fn estimate(&self, ago: i64, earliest: i64, latest: i64) -> Estimate {
        let (earliest, latest) = (self.before(-earliest), self.before(-latest));
        Estimate { made: self.before(ago), earliest, latest }
    }

    /// Slow at first, then faster, with a break.
    fn progress(&self) -> Vec<Sample> {
        let share = |n: i64| match n {
            ..60 => n * 4,
            60..140 => 240 + (n - 60) * 7,
            140..170 => 800,
            _ => 800 + (n - 170) * 200 / 130,
        };
        let samples = (0..300).map(|n| {
            let users = self.done * u64::try_from(share(n)).unwrap_or_default() / 1000;
            Sample { at: self.before(33 * (300 - n)), users, messages: users * 6249 }
        });
        samples.collect()
    }

    fn status(&self) -> Status {
        let notes = [
            (
                2520,
                "The new disks are in and checked. Accounts of the wards and the registry come \
                 first, then everybody else in the order of size.",
            ),
            (
                9000,
                "The controller of store 7 failed this afternoon. No mail is lost: what \
                 arrives now is kept and delivered.\nWe write here at least every two hours.",
            ),
        ];
        let notes = notes.map(|(ago, text)| Note { at: self.before(ago), text: text.to_owned() });
        Status {
            begun: Some(self.before(9900)),
            reported: Some(self.before(self.silent_for)),
            users: Count { done: self.done, total: 200 },
            mailboxes: Count { done: self.done * 8, total: 1603 },
            messages: Count { done: self.done * 6249, total: 1_250_117 },
            rate: Some(Rate { users: 47.0, messages: 82.0 }),
            estimate: Some(self.estimate(0, 4200, 7000)),
            earlier: vec![self.estimate(7200, 900, 4000), self.estimate(3600, 3300, 6900)],
            progress: self.progress(),
            notes: notes.into(),
            ..Status::new(self.made(), self.phase)
        }
    }

    fn alice(&self) -> OwnStatus {
        let (standing, done) = if self.is_alice_back {
            (Standing::Done { since: self.before(60) }, 8)
        } else {
            let estimate = Some(self.estimate(0, 900, 2000));
            (Standing::Waiting { before: 11, estimate }, 0)
        };
        OwnStatus {
            user: "alice".to_owned(),
            standing,
            mailboxes: Count { done, total: 8 },
            is_closed: !self.is_alice_back,
        }
    }
}

/// The scene as it is now.
#[derive(Debug, Default)]
pub(crate) struct Stage(Mutex<Scene>);

impl Stage {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Scene)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn scene(&self) -> Scene {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Stage {
    fn status(&self) -> Result<Status, SourceError> {
        Ok(self.scene().status())
    }

    fn own(&self, token: &str) -> Result<Option<OwnStatus>, SourceError> {
        Ok((token == TOKEN).then(|| self.scene().alice()))
    }

    fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
        Ok(vec![(TOKEN.to_owned(), self.scene().alice())])
    }
}

/// What the operators call it.
pub(crate) fn site() -> Site {
    Site { name: "Mail at example.org".to_owned(), ..Site::default() }
}

/// The pages of a stage, served until this is dropped.
pub(crate) struct Served {
    stage: Arc<Stage>,
    /// Its address, without a slash at the end.
    pub(crate) base: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let base = format!("http://{}", listener.local_addr()?);
        let stage = Arc::new(Stage::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (source, asked) = (Arc::clone(&stage), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let stop = || asked.load(Ordering::SeqCst);
            serve(listener, source, site(), &stop).expect("the listener can be served");
        });
        Ok(Self { stage, base, stop, thread: Some(thread) })
    }

    /// Changes what is shown, and waits until no page is shown that was made before.
    pub(crate) fn show(&self, change: impl FnOnce(&mut Scene)) {
        self.stage.set(change);
        std::thread::sleep(KEPT_FOR);
    }

    /// Ends it, and fails where it ended badly.
    pub(crate) fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.unwrap_or(Ok(())).map_err(|_| anyhow!("the server panicked"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
