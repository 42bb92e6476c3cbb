//! `cargo xtask bench beside`: how long deliveries take while `redeliver` works.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use mailstore_tests::{Cyrus, Server};

use super::lacking::{Extent, Lacking, USER};
use super::measure::median;
use crate::cargo::{Profile, build_program};
use crate::table::Table;

/// Nothing comes back to this user.
const OTHER: &str = "bob";
/// So many LMTP connections deliver.
const SENDERS: u32 = 4;
/// How long an IMAP client thinks.
const THINKS: Duration = Duration::from_millis(100);
/// The histogram's classes end with these milliseconds, and a last one has the rest.
const CLASSES: [u64; 10] = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Messages that the live store lacks
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Folders that share them
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    folders: u32,
    /// Messages a second that others deliver meanwhile
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    load: u32,
    /// Seconds of that without redeliver
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The stores lie in memory: what remains is what locks and processors cost
    #[arg(long)]
    in_memory: bool,
}

/// What goes on beside the load.
struct Beside {
    name: &'static str,
    over_imap: bool,
    manners: &'static [&'static str],
    /// Of how many of the folders; none where nothing goes on.
    folders: Option<fn(u32) -> u32>,
}

const RUNS: [Beside; 5] = [
    Beside { name: "nothing", over_imap: false, manners: &[], folders: None },
    Beside { name: "--via spool", over_imap: false, manners: &[], folders: Some(all) },
    Beside {
        name: "--via spool --jobs 1 --at-once 100 --rate 200/s",
        over_imap: false,
        manners: &["--jobs", "1", "--at-once", "100", "--rate", "200/s"],
        folders: Some(a_fifth),
    },
    Beside { name: "--via imap", over_imap: true, manners: &[], folders: Some(all) },
    Beside {
        name: "--via imap --connections 1 --rate 100/s",
        over_imap: true,
        manners: &["--connections", "1", "--rate", "100/s"],
        folders: Some(a_fifth),
    },
];

fn all(folders: u32) -> u32 {
    folders
}

/// What goes slowly need not come to its end.
fn a_fifth(folders: u32) -> u32 {
    folders.div_ceil(5)
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ours = build_program("redeliver", Profile::Release)?;
    let Arguments { messages, folders, in_memory, load, rounds, .. } = *arguments;
    println!("xtask: two servers, of which one lacks {messages} messages");
    let scene = Lacking::make(&Cyrus::find()?, Extent { messages, folders, in_memory })?;
    let mut outcomes: [Vec<Outcome>; RUNS.len()] = Default::default();
    for round in 1..=rounds {
        println!("xtask: round {round} of {rounds}");
        for (beside, outcomes) in RUNS.iter().zip(&mut outcomes) {
            outcomes.push(beside.outcome(&scene, &ours, arguments)?);
        }
    }
    let heading = ["beside it", "seconds", "p50 ms", "p99 ms", "times", "p99 ms of others"];
    let mut table = Table::new(&heading);
    let mut histograms = String::new();
    for (Beside { name, .. }, of_this) in RUNS.iter().zip(&outcomes) {
        let middle = |value: &dyn Fn(&Outcome) -> Duration| {
            median(of_this.iter().map(value)).context("nothing was measured")
        };
        // Of each round, so that what the machine did meanwhile counts for both.
        let alone = outcomes[0].iter().map(|it| it.percentile(99));
        let times = of_this.iter().zip(alone).map(|(it, alone)| {
            let ratio = it.percentile(99).as_secs_f64() / alone.as_secs_f64();
            format!("{ratio:.1}")
        });
        table.row(vec![
            (*name).to_owned(),
            format!("{:.1}", middle(&|it| it.took)?.as_secs_f64()),
            milliseconds(middle(&|it| it.percentile(50))?),
            milliseconds(middle(&|it| it.percentile(99))?),
            times.collect::<Vec<_>>().join(" "),
            milliseconds(middle(&|it| quantile(&it.of_others, 99))?),
        ]);
        let all: Vec<_> = of_this.iter().flat_map(|it| it.times.iter().copied()).collect();
        let _ = writeln!(histograms, "{name}\n{}", histogram(&all));
    }
    let place = if in_memory { "in memory" } else { "on disk" };
    println!(
        "\n{load} LMTP deliveries a second and two IMAP clients, stores {place}, medians of {rounds} \
         rounds; times: p99 beside that of nothing, of each round\n\n{table}\n{histograms}"
    );
    Ok(ExitCode::SUCCESS)
}

/// How it went once.
#[derive(Debug)]
struct Outcome {
    took: Duration,
    /// Of all deliveries, from when they were due; sorted.
    times: Vec<Duration>,
    /// Of those to the user who gets nothing back.
    of_others: Vec<Duration>,
}

impl Outcome {
    fn percentile(&self, percent: usize) -> Duration {
        quantile(&self.times, percent)
    }
}

impl Beside {
    fn outcome(&self, scene: &Lacking, ours: &Path, arguments: &Arguments) -> Result<Outcome> {
        let live = scene.live()?;
        live.admin()?.create(&format!("user.{OTHER}"))?;
        let mut options = if self.over_imap { Lacking::over_imap(&live)? } else { Vec::new() };
        options.extend(self.manners.iter().map(|&option| option.to_owned()));
        let folders = self.folders.map_or(0, |of| of(arguments.folders));
        for folder in 0..folders {
            options.extend(["--mailbox".to_owned(), format!("user.{USER}.f{folder}")]);
        }
        let command = self.folders.map(|_| scene.redeliver(&live, ours, &options)).transpose()?;
        let load = Load { live: &live, per_second: arguments.load };
        let alone = Duration::from_secs(arguments.seconds);
        let (deliveries, took) = load.while_running(command, alone)?;
        let expected: u64 = (0..folders).map(|folder| scene.extent.share_of(folder)).sum();
        ensure!(scene.come(&live)? == expected, "{}: not all came", self.name);
        let sorted_of = |counts: fn(&Delivered) -> bool| {
            let mut times: Vec<_> =
                deliveries.iter().filter(|it| counts(it)).map(|it| it.took).collect();
            times.sort_unstable();
            times
        };
        let (times, of_others) = (sorted_of(|_| true), sorted_of(|it| it.user == OTHER));
        Ok(Outcome { took, times, of_others })
    }
}

/// A delivery by LMTP.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    user: &'static str,
    /// From when it was due.
    took: Duration,
}

/// What others do with a server.
struct Load<'a> {
    live: &'a Server,
    per_second: u32,
}

impl Load<'_> {
    /// Goes on while `command` runs, or where there is none for so long. The deliveries, and how long it
    /// all went on. None may be lost.
    fn while_running(
        &self,
        command: Option<Command>,
        alone: Duration,
    ) -> Result<(Vec<Delivered>, Duration)> {
        // Of several that make the server's staging directory at once all but one fail (3.6.1).
        let (code, said) = self.live.lmtp()?.deliver(OTHER, b"Subject: first\r\n\r\nmail\r\n")?;
        ensure!(code == 250, "{code} {said}");
        let started = command.map(|mut command| command.stdout(Stdio::null()).spawn());
        let child = started.transpose().context("can't run redeliver")?;
        let stop = AtomicBool::new(false);
        let begun = Instant::now();
        let (deliveries, took) = std::thread::scope(|scope| -> Result<_> {
            let stop = &stop;
            let senders: Vec<_> =
                (0..SENDERS).map(|n| scope.spawn(move || self.deliver(n, begun, stop))).collect();
            let clients: Vec<_> =
                [USER, OTHER].map(|user| scope.spawn(move || self.read(user, stop))).into();
            let ended = if let Some(mut child) = child {
                child.wait().map(|status| status.success())
            } else {
                std::thread::sleep(alone);
                Ok(true)
            };
            let took = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            let panicked = |_| anyhow!("a client panicked");
            for client in clients {
                client.join().map_err(panicked)??;
            }
            let mut deliveries = Vec::new();
            for sender in senders {
                deliveries.extend(sender.join().map_err(panicked)??);
            }
            ensure!(ended?, "redeliver did not deliver all");
            Ok((deliveries, took))
        })?;
        let mut there = 0;
        for user in [USER, OTHER] {
            let counted = self.live.login(user)?.status("INBOX", &["MESSAGES"])?;
            there += counted.first().copied().context("no count")?;
        }
        let count = deliveries.len() + 1;
        ensure!(there == count as u64, "{count} were delivered, {there} are there");
        Ok((deliveries, took))
    }

    /// Every sender's deliveries are due at fixed times, whether or not the one before is done.
    fn deliver(&self, sender: u32, begun: Instant, stop: &AtomicBool) -> Result<Vec<Delivered>> {
        let mut session = self.live.lmtp()?;
        let mut deliveries = Vec::new();
        for number in (sender..).step_by(SENDERS as usize) {
            let due = begun + Duration::from_secs(1) * number / self.per_second;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let user = if (number / SENDERS).is_multiple_of(2) { USER } else { OTHER };
            let text =
                format!("Subject: {number}\r\nMessage-ID: <{number}@load>\r\n\r\nnew mail\r\n");
            let (code, said) = session.deliver(user, text.as_bytes())?;
            ensure!(code == 250, "{user}: {code} {said}");
            deliveries.push(Delivered { user, took: due.elapsed() });
        }
        Ok(deliveries)
    }

    fn read(&self, user: &str, stop: &AtomicBool) -> Result<()> {
        let mut session = self.live.login(user)?;
        while !stop.load(Ordering::Relaxed) {
            session.select("INBOX")?;
            if let Some(last) = session.search("ALL")?.last() {
                session.fetch(&last.to_string(), "(FLAGS BODY.PEEK[])")?;
                session.store(&last.to_string(), "+FLAGS (\\Seen)")?;
            }
            std::thread::sleep(THINKS);
        }
        session.logout()
    }
}

/// The time within which so many per cent of `sorted` were done.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// A line for each class that has any.
fn histogram(times: &[Duration]) -> String {
    let mut text = String::new();
    let mut from = 0;
    for to in CLASSES.into_iter().chain([u64::MAX]) {
        let within = |time: &&Duration| {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            (from..to).contains(&milliseconds)
        };
        let count = times.iter().filter(within).count();
        if count > 0 {
            let end = if to == u64::MAX { "more".to_owned() } else { format!("{to} ms") };
            let bar = "#".repeat((count * 50).div_ceil(times.len()));
            let _ = writeln!(text, "  {from:>5} - {end:<8} {count:>6} {bar}");
        }
        from = to;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_classes_are_those_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 50), Duration::from_millis(100));
        assert_eq!(quantile(&times, 99), Duration::from_millis(198));
        assert_eq!(quantile(&[], 99), Duration::ZERO);
        let lines = histogram(&times);
        assert!(lines.contains("100 - 200 ms      100 #"), "{lines}");
        assert!(lines.contains("200 - 500 ms        1 #"), "{lines}");
    }
}
