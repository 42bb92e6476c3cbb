//! `cargo xtask bench reconstruct`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use mailstore_tests::Cyrus;

use super::measure::{Cost, median};
use super::population::{Extent, Population};
use crate::cargo::{Profile, build_program};
use crate::table::Table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Mailboxes of the store
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(5..))]
    mailboxes: u16,
    /// Messages of each mailbox
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Keep the store under target/bench/, for the next run with the same sizes
    #[arg(long)]
    keep: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Every message is read and compared with what is stored.
    CheckAll,
    /// Messages are only looked at where something hints at damage.
    CheckBySize,
    /// Indexes and caches are made anew.
    FromNothing,
}

impl Task {
    const ALL: [Self; 3] = [Self::CheckAll, Self::CheckBySize, Self::FromNothing];

    fn ours(self) -> &'static [&'static str] {
        match self {
            Self::CheckAll => &["--all", "--check", "full"],
            Self::CheckBySize | Self::FromNothing => &["--all"],
        }
    }

    fn cyrus(self) -> &'static [&'static str] {
        match self {
            Self::CheckAll => &["-G", "-r"],
            Self::CheckBySize | Self::FromNothing => &["-r"],
        }
    }

    fn shown(self, arguments: &[&str]) -> String {
        let arguments = arguments.join(" ");
        match self {
            Self::FromNothing => format!("from nothing ({arguments})"),
            _ => arguments,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Cyrus,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ours = build_program("reconstruct", Profile::Release)?;
    let cyrus = Cyrus::find().context("there is no Cyrus to measure against")?;
    let extent = Extent {
        mailboxes: usize::from(arguments.mailboxes),
        messages_each: usize::try_from(arguments.messages)?,
    };
    let population = Population::ready(&cyrus, extent)?;
    let bench = Bench { ours, population };
    let mut costs = Vec::new();
    for round in 1..=arguments.rounds {
        println!("xtask: round {round} of {}", arguments.rounds);
        for task in Task::ALL {
            for side in [Side::Ours, Side::Cyrus] {
                costs.push((task, side, bench.measure(task, side)?));
            }
        }
    }
    bench.print(&cyrus, arguments.rounds, &costs)?;
    if !arguments.keep {
        bench.population.remove()?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Bench {
    ours: PathBuf,
    population: Population,
}

impl Bench {
    fn measure(&self, task: Task, side: Side) -> Result<Cost> {
        let mut command = match side {
            Side::Ours => self.our_command(task),
            Side::Cyrus => {
                let mut command = self.population.store.command("reconstruct");
                command.args(task.cyrus()).args(Population::users());
                command
            }
        };
        if task == Task::FromNothing {
            self.population.take_indexes_away()?;
        }
        // Nothing that was written before may still be on its way to the disk.
        Command::new("sync").status().context("can't run sync")?;
        let cost = Cost::of(&mut command)?;
        ensure!(cost.status.success(), "{side:?}, {task:?}: {}", cost.status);
        self.population.check_complete()?;
        if task == Task::FromNothing {
            self.population.put_back()?;
        }
        Ok(cost)
    }

    fn our_command(&self, task: Task) -> Command {
        let mut command = Command::new(&self.ours);
        command.arg("-C").arg(self.population.store.imapd_conf()).arg("--quiet");
        command.args(task.ours());
        // As root it becomes the store's account by itself, as Cyrus's runs from the start.
        command.env("CYRUS_USER", &self.population.store.cyrus().account().name);
        command.env("TZ", &self.population.store.options().timezone);
        command.current_dir(Path::new("/"));
        command
    }

    fn print(&self, cyrus: &Cyrus, rounds: u16, costs: &[(Task, Side, Cost)]) -> Result<()> {
        let Population { messages, bytes, .. } = self.population;
        // Without the distribution's own part: 3.6.1 of 3.6.1-Debian-3.6.1-4.
        let release = cyrus.version().split('-').next().unwrap_or_default();
        let cores = std::thread::available_parallelism()?;
        println!(
            "\n{messages} messages, {:.2} GB, {cores} cores, warm cache, medians of {rounds} rounds\n",
            decimal(bytes) / 1e9
        );
        let heading =
            ["", "seconds", "messages/s", "MB/s", "CPU seconds", "peak MiB", "times Cyrus"];
        let mut table = Table::new(&heading);
        for task in Task::ALL {
            let of = |side| Medians::of(costs.iter().filter(|c| (c.0, c.1) == (task, side)));
            let (ours, theirs) = (of(Side::Ours)?, of(Side::Cyrus)?);
            let ratio = theirs.wall.as_secs_f64() / ours.wall.as_secs_f64();
            for (side, medians) in [(Side::Ours, ours), (Side::Cyrus, theirs)] {
                let seconds = medians.wall.as_secs_f64();
                let reads_all = task != Task::CheckBySize;
                let (name, ratio) = match side {
                    Side::Ours => ("reconstruct".to_string(), format!("{ratio:.1}")),
                    Side::Cyrus => (format!("Cyrus {release}"), "-".to_string()),
                };
                let options = if side == Side::Ours { task.ours() } else { task.cyrus() };
                table.row(vec![
                    format!("{name}: {}", task.shown(options)),
                    format!("{seconds:.2}"),
                    format!("{:.0}", decimal(u64::try_from(messages)?) / seconds),
                    if reads_all {
                        format!("{:.0}", decimal(bytes) / 1e6 / seconds)
                    } else {
                        "-".into()
                    },
                    format!("{:.2}", medians.cpu.as_secs_f64()),
                    format!("{:.0}", decimal(medians.peak_memory) / f64::from(1 << 20)),
                    ratio,
                ]);
            }
        }
        println!("{table}");
        Ok(())
    }
}

/// The middle of several runs, each cost on its own.
#[derive(Debug, Clone, Copy)]
struct Medians {
    wall: Duration,
    cpu: Duration,
    peak_memory: u64,
}

impl Medians {
    fn of<'a>(costs: impl Iterator<Item = &'a (Task, Side, Cost)>) -> Result<Self> {
        let costs: Vec<Cost> = costs.map(|&(_, _, cost)| cost).collect();
        let none = || "nothing was measured";
        Ok(Self {
            wall: median(costs.iter().map(|cost| cost.wall)).with_context(none)?,
            cpu: median(costs.iter().map(|cost| cost.cpu)).with_context(none)?,
            peak_memory: median(costs.iter().map(|cost| cost.peak_memory)).with_context(none)?,
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn decimal(number: u64) -> f64 {
    number as f64
}
