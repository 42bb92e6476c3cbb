//! Working on the queue's jobs: claims one after the other, has `reconstruct`'s library repair each
//! mailbox, lets its user in.
//!
//! A runner is a process with some workers. While it lives its beat grows; whoever sees that it has
//! not grown for a lease, by their own clock alone, takes its jobs over with new tokens
//! (`watch.rs`). Before anything of a mailbox is written the token is asked for under the mailbox's
//! locks ([`reconstruct::Permit`]), so that a runner that was only slow writes nothing any more.
//! Whoever takes a job over goes on behind the mailboxes that are done; one that was cut short is
//! finished by `reconstruct` itself.

mod sample;
mod snapshot;
mod watch;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use incident::queue::{JobState, Queue, RunnerId};
use incident::{Incident, RunStart, StoreBinding, StoreId};
use mailstore::config::ImapdConf;
use mailstore::replace::FileOps;
use mailstore::stop::Stop;
use reconstruct::{Memory, Options, ServerTools, Summary, Workshop};

use crate::access::{AccessError, Doorkeeper};
use crate::forecast::Forecaster;
use snapshot::Snapshots;
pub use snapshot::StoreUnreadable;
use watch::Watch;
use worker::Worker;

/// How long a worker waits that has found nothing to do.
const IDLE: Duration = Duration::from_millis(200);
/// How often an idle runner looks for users who are denied and should not be, or the reverse.
const LOOK_AT_ACCESS: Duration = Duration::from_secs(10);

/// What an operator decides before a runner begins.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Jobs that are worked on at a time.
    pub workers: usize,
    /// How mailboxes are repaired; its `jobs` are those of one worker.
    pub options: Options,
    /// How often a job may fail before it is set aside.
    pub attempts: u32,
    /// How long a runner may not report before its jobs are taken over.
    pub lease: Duration,
    /// How often it is noted how far it is.
    pub sample_every: Duration,
    /// Whether the runner ends when nothing waits and nothing is worked on any more.
    pub until_empty: bool,
    /// The sync log's channels that are told of repaired mailboxes.
    pub sync_log: Vec<String>,
}

/// What is told of a runner's work, as it happens; called from several threads.
pub trait Witness: Sync {
    /// A user's job is worked on.
    fn claimed(&self, user: &str) {
        let _ = user;
    }

    /// It came to this.
    fn ended(&self, user: &str, state: JobState, why: Option<&str>) {
        let _ = (user, state, why);
    }

    /// Something that operators should know.
    fn warned(&self, text: &str) {
        let _ = text;
    }
}

/// Why a runner could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The queue cannot be read or written.
    #[error(transparent)]
    Queue(#[from] incident::Error),
    /// Users could not be denied or let in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store's list of mailboxes cannot be read.
    #[error(transparent)]
    Store(#[from] StoreUnreadable),
}

/// What a runner works with.
pub struct Runner<'a> {
    /// The incident whose queue it is.
    pub incident: &'a Arc<Incident>,
    /// The store, as the incident knows it.
    pub store: StoreId,
    /// Its binding.
    pub binding: &'a StoreBinding,
    /// Its configuration.
    pub conf: &'a ImapdConf,
    /// Who denies users and lets them in.
    pub doorkeeper: &'a Doorkeeper<'a>,
    /// The server's tools, which bring in step what it keeps elsewhere.
    pub tools: ServerTools,
    /// What the operator decided.
    pub settings: &'a RunnerSettings,
    /// Who is told.
    pub witness: &'a dyn Witness,
    /// Whether it is to stop: what has begun is brought to an end, mailbox by mailbox.
    pub stop: &'a Stop,
}

/// What all workers of a runner share.
struct Shop<'a> {
    runner: &'a Runner<'a>,
    queue: &'a dyn Queue,
    id: RunnerId,
    start: RunStart,
    workshop: Workshop,
    memory: Arc<Memory>,
    snapshots: Snapshots,
    watch: Watch,
    forecaster: Mutex<Forecaster>,
    summary: Mutex<Summary>,
    /// The first error that ends the runner.
    failure: Mutex<Option<RunnerError>>,
    looked_at_access: Mutex<Option<Instant>>,
}

impl Runner<'_> {
    /// Works until it is told to stop or, where that was decided, nothing is left to do. Whoever was
    /// left denied by a runner that was killed is let in at the beginning and at the end.
    pub fn run(&self, start: RunStart) -> Result<Summary, RunnerError> {
        let begun = Instant::now();
        let queue: &dyn Queue = &**self.incident;
        let workers = u32::try_from(self.settings.workers).unwrap_or(u32::MAX);
        let snapshots = Snapshots::open(self.conf, self.tools.bin())?;
        let memory = Memory::begin(Arc::clone(self.incident), self.binding, &start)?;
        let id = queue.begin_runner(&start.name, workers)?;
        let shop = Shop {
            runner: self,
            queue,
            id,
            workshop: Workshop::new(FileOps::new(), start.name.clone(), self.conf.umask()),
            memory: Arc::new(memory),
            snapshots,
            watch: Watch::new(self.settings.lease),
            start,
            forecaster: Mutex::default(),
            summary: Mutex::default(),
            failure: Mutex::default(),
            looked_at_access: Mutex::default(),
        };
        shop.work();
        let summary = shop.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        queue.end_runner(id)?;
        shop.memory.end(&summary, begun.elapsed())?;
        match shop.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(summary),
        }
    }
}

impl Shop<'_> {
    fn work(&self) {
        let done = Stop::default();
        std::thread::scope(|scope| {
            // There may be many to deny: nobody else waits for that.
            scope.spawn(|| self.look_at_access());
            let reporter = scope.spawn(|| self.report_until(&done));
            let workers: Vec<_> = (0..self.runner.settings.workers)
                .map(|_| scope.spawn(|| Worker::new(self).work()))
                .collect();
            for worker in workers {
                let _: Result<(), _> = worker.join();
            }
            done.ask();
            let _: Result<(), _> = reporter.join();
        });
        self.look_at_access();
        self.keep_failure(self.take_sample(Duration::ZERO));
    }

    /// Reports that the runner is alive, watches the others, notes how far it is.
    fn report_until(&self, done: &Stop) {
        let every = self.runner.settings.lease / 4;
        while !done.is_asked() {
            let reported = self.queue.report(self.id);
            let running = reported.and_then(|()| self.queue.running(self.runner.store));
            match running {
                Ok(running) => self.watch.look(&running, self.id, Instant::now()),
                // The queue may only be busy; while it is, nobody can take a job over either.
                Err(error) => self.runner.witness.warned(&error.to_string()),
            }
            if let Err(error) = self.take_sample(self.runner.settings.sample_every) {
                self.runner.witness.warned(&error.to_string());
            }
            done.sleep(every);
        }
    }

    /// Ends what queue and deny database do not agree on, unless somebody just did.
    fn look_at_access(&self) {
        let mut looked = self.looked_at_access.lock().unwrap_or_else(PoisonError::into_inner);
        let doorkeeper = self.runner.doorkeeper;
        let differences = match doorkeeper.differences() {
            Ok(differences) => differences,
            Err(error) => return self.runner.witness.warned(&error.to_string()),
        };
        for difference in &differences {
            if let Err(error) = doorkeeper.mend(difference) {
                self.runner.witness.warned(&error.to_string());
            }
        }
        *looked = Some(Instant::now());
    }

    fn look_at_access_now_and_then(&self) {
        let looked = *self.looked_at_access.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_none_or(|looked| looked.elapsed() > LOOK_AT_ACCESS) {
            self.look_at_access();
        }
    }

    fn is_stopping(&self) -> bool {
        let failed = self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        failed || self.runner.stop.is_asked()
    }

    fn keep_failure(&self, result: Result<(), RunnerError>) {
        if let Err(error) = result {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
        }
    }
}
