//! What the pages show, read from the queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use incident::queue::{
    Access, Chronicle as _, Job, JobState, Place, ProgressSample, Queue, Roster as _, Runner,
    StateTotal, Work as _,
};
use incident::{Incident, StoreId};
use mailstore_format::Timestamp;

use crate::clock::now;
use crate::estimate::Workers;
use crate::forecast::{Forecaster, workers};
use crate::pages::{Source, SourceError};
use crate::status::{
    Count, Estimate, Note, OwnStatus, Phase, Rate, SILENT_AFTER, Sample, Standing, Status,
    is_silent,
};

/// So many samples make the chart.
const SAMPLES: u32 = 200;
/// So many notes are shown.
const NOTES: u32 = 20;
/// So many earlier estimates are.
const EARLIER: usize = 4;
/// Over the last while the rate is measured.
const RATE_OVER: Duration = Duration::from_mins(15);

/// How far a store's queue is, for everybody and for each user.
#[derive(Debug)]
pub struct Board {
    incident: Arc<Incident>,
    store: StoreId,
    silent_after: Duration,
    forecaster: Mutex<Forecaster>,
}

impl Board {
    /// That of the incident's queue on this store.
    #[must_use]
    pub fn new(incident: Arc<Incident>, store: StoreId) -> Self {
        let forecaster = Mutex::default();
        Self { incident, store, silent_after: SILENT_AFTER, forecaster }
    }

    /// Saying that a runner is silent when it has not reported for so long.
    #[must_use]
    pub fn silent_after(self, silent_after: Duration) -> Self {
        Self { silent_after, ..self }
    }

    /// How far it is, at `made`.
    pub fn at(&self, made: Timestamp) -> Result<Status, incident::Error> {
        let totals = self.incident.totals(self.store)?;
        let runners = self.incident.runners()?;
        let paused = self.incident.settings()?.paused;
        let samples = self.incident.samples(self.store, SAMPLES)?;
        let span = self.incident.span(self.store)?;
        let ended = span.and_then(|(first, last)| last.or(Some(first)));
        let is_silent = |runner: &Runner| self.is_silent(runner, made);
        let phase = match ended {
            Some(since) if is_done(&totals) => Phase::Done { since },
            Some(_) => phase(&runners, paused, is_silent),
            None => Phase::Empty,
        };
        let mut status = Status::new(made, phase);
        count(&totals, &mut status);
        status.begun = span.map(|(first, _)| first);
        status.reported = runners.iter().map(|runner| runner.reported).max();
        status.rate = rate(&samples, made, &status);
        let estimates: Vec<Estimate> = samples.iter().filter_map(estimate_of).collect();
        if let Some((newest, earlier)) = estimates.split_last() {
            status.estimate = (phase == Phase::Running).then_some(*newest);
            status.earlier = spread(earlier);
        }
        status.progress = samples.iter().map(sample_of).collect();
        let notes = self.incident.notes(NOTES)?.into_iter();
        status.notes = notes.map(|note| Note { at: note.at, text: note.text }).collect();
        Ok(status)
    }

    fn is_silent(&self, runner: &Runner, at: Timestamp) -> bool {
        is_silent(runner.reported, at, self.silent_after)
    }

    /// When a job that waits will be done; none where that cannot be told, or nobody works.
    pub fn estimate_of(&self, job: &Job) -> Result<Option<Estimate>, incident::Error> {
        let place = self.incident.place_of(job.id)?;
        Ok(place.and_then(|place| self.crew(now()).ok()?.estimate(job, &place)))
    }

    /// What is known of who works now.
    fn crew(&self, at: Timestamp) -> Result<Crew, incident::Error> {
        let queue: &dyn Queue = &*self.incident;
        let mut forecaster = self.forecaster.lock().unwrap_or_else(PoisonError::into_inner);
        forecaster.learn(queue, self.store)?;
        let is_paused = self.incident.settings()?.paused.is_some();
        let runners = self.incident.runners()?;
        let is_at_work = |runner: &Runner| runner.ended.is_none() && !self.is_silent(runner, at);
        let works = !is_paused && runners.iter().any(is_at_work);
        let workers = works.then(|| workers(queue, self.store, at)).transpose()?;
        Ok(Crew { forecaster: forecaster.clone(), workers, at })
    }
}

/// Who works at a time, and what was learned of how fast that is.
struct Crew {
    forecaster: Forecaster,
    /// None where nobody works.
    workers: Option<Workers>,
    at: Timestamp,
}

impl Crew {
    fn estimate(&self, job: &Job, place: &Place) -> Option<Estimate> {
        self.forecaster.of_one(self.workers.as_ref()?, job, place, self.at)
    }

    /// What the user of the job may know; `place` is where that stands, if it waits.
    fn own_status(&self, job: Job, place: Option<Place>) -> OwnStatus {
        let since = job.ended.unwrap_or(job.added);
        let standing = match job.state {
            JobState::Waiting => {
                let place = place.unwrap_or_default();
                let estimate = self.estimate(&job, &place);
                Standing::Waiting { before: place.before, estimate }
            }
            JobState::Held => Standing::Held,
            JobState::Running => Standing::Running { since: job.claimed.unwrap_or(job.added) },
            JobState::Done => Standing::Done { since },
            JobState::SetAside => Standing::SetAside { since },
            JobState::Cancelled => Standing::Cancelled { since },
        };
        OwnStatus {
            standing,
            mailboxes: Count { done: job.done.mailboxes, total: job.size.mailboxes },
            is_closed: job.access != Access::Open,
            user: job.user,
        }
    }
}

impl Source for Board {
    fn status(&self) -> Result<Status, SourceError> {
        Ok(self.at(now())?)
    }

    fn own(&self, token: &str) -> Result<Option<OwnStatus>, SourceError> {
        let link = self.incident.linked(token)?.filter(|link| link.store == self.store);
        let Some(link) = link else { return Ok(None) };
        let Some(job) = self.incident.job_of(self.store, &link.user)? else { return Ok(None) };
        let place = self.incident.place_of(job.id)?;
        Ok(Some(self.crew(now())?.own_status(job, place)))
    }

    fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
        let links = self.incident.links(self.store)?;
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let places = self.incident.places(self.store)?;
        let crew = self.crew(now())?;
        let mut linked = Vec::new();
        for link in links {
            if let Some(job) = self.incident.job_of(self.store, &link.user)? {
                let place = places.get(&job.id).copied();
                linked.push((link.token, crew.own_status(job, place)));
            }
        }
        Ok(linked)
    }
}

/// Whether nothing waits and nothing is worked on.
fn is_done(totals: &[StateTotal]) -> bool {
    let is_to_do = |state| matches!(state, JobState::Waiting | JobState::Running | JobState::Held);
    !totals.iter().any(|total| is_to_do(total.state))
}

/// Of a queue with jobs that are not done.
fn phase(
    runners: &[Runner],
    paused: Option<Timestamp>,
    is_silent: impl Fn(&Runner) -> bool,
) -> Phase {
    if let Some(since) = paused {
        return Phase::Paused { since };
    }
    let at_work: Vec<&Runner> = runners.iter().filter(|runner| runner.ended.is_none()).collect();
    match (runners, &*at_work) {
        ([], _) => Phase::NotBegun,
        (_, []) => Phase::Stopped,
        _ if at_work.iter().all(|runner| is_silent(runner)) => Phase::Silent,
        _ => Phase::Running,
    }
}

fn count(totals: &[StateTotal], status: &mut Status) {
    for total in totals.iter().filter(|total| total.state != JobState::Cancelled) {
        status.users.total += total.jobs;
        match total.state {
            JobState::Done => status.users.done += total.jobs,
            JobState::SetAside => status.set_aside += total.jobs,
            _ => {}
        }
        status.mailboxes.total += total.size.mailboxes;
        status.mailboxes.done += total.done.mailboxes;
        status.messages.total += total.size.messages;
        status.messages.done += total.done.messages;
    }
}

/// Over the last while, or since there are samples.
fn rate(samples: &[ProgressSample], at: Timestamp, status: &Status) -> Option<Rate> {
    let over = i64::try_from(RATE_OVER.as_nanos()).unwrap_or(i64::MAX);
    let long_ago = |sample: &&ProgressSample| sample.at.0 <= at.0.saturating_sub(over);
    let from = samples.iter().rev().find(long_ago).or(samples.first())?;
    let since = u64::try_from(at.0.saturating_sub(from.at.0)).ok().filter(|&since| since > 0)?;
    let seconds = Duration::from_nanos(since).as_secs_f64();
    let users = status.users.done.saturating_sub(from.users);
    let messages = status.messages.done.saturating_sub(from.messages);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate =
        Rate { users: users as f64 * 3_600.0 / seconds, messages: messages as f64 / seconds };
    (messages > 0).then_some(rate)
}

/// A few of them, evenly spread.
fn spread(estimates: &[Estimate]) -> Vec<Estimate> {
    let step = estimates.len().div_ceil(EARLIER).max(1);
    estimates.iter().step_by(step).copied().collect()
}

fn estimate_of(sample: &ProgressSample) -> Option<Estimate> {
    let (earliest, latest) = sample.estimate?;
    Some(Estimate { made: sample.at, earliest, latest })
}

fn sample_of(sample: &ProgressSample) -> Sample {
    Sample { at: sample.at, users: sample.users, messages: sample.messages }
}
