//! `cargo xtask bench redeliver`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use mailstore_tests::{Cyrus, Server};

use super::lacking::{Extent, Lacking, USER};
use super::measure::{Cost, median};
use crate::cargo::{Profile, build_program};
use crate::table::Table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Messages that the live store lacks
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Folders that share them
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    folders: u32,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The mbsync to compare with
    #[arg(long, value_name = "PROGRAM", default_value = "mbsync")]
    mbsync: PathBuf,
    /// The stores lie in memory: what remains is what processors cost
    #[arg(long)]
    in_memory: bool,
}

/// A way in which the messages come into the live store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Spool,
    Imap,
    Mbsync,
}

impl Way {
    const ALL: [Self; 3] = [Self::Spool, Self::Imap, Self::Mbsync];

    fn name(self) -> &'static str {
        match self {
            Self::Spool => "redeliver --via spool",
            Self::Imap => "redeliver --via imap",
            Self::Mbsync => "mbsync",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cyrus = Cyrus::find()?;
    let version = Command::new(&arguments.mbsync).arg("--version").output();
    version.with_context(|| format!("{} does not run", arguments.mbsync.display()))?;
    let ours = build_program("redeliver", Profile::Release)?;
    println!("xtask: two servers, of which one lacks {} messages", arguments.messages);
    let Arguments { messages, folders, in_memory, .. } = *arguments;
    let scene = Lacking::make(&cyrus, Extent { messages, folders, in_memory })?;
    let mut times = Vec::new();
    for _ in 0..arguments.rounds {
        for way in Way::ALL {
            times.push((way, time(&scene, way, &ours, &arguments.mbsync)?));
        }
    }
    let of = |way| median(times.iter().filter(|(which, _)| *which == way).map(|(_, time)| *time));
    let mbsync = of(Way::Mbsync).context("nothing was measured")?.as_secs_f64();
    let mut table = Table::new(&["", "seconds", "messages/s", "times mbsync"]);
    for way in Way::ALL {
        let seconds = of(way).context("nothing was measured")?.as_secs_f64();
        table.row(vec![
            way.name().to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", f64::from(arguments.messages) / seconds),
            format!("{:.1}", mbsync / seconds),
        ]);
    }
    let place = if arguments.in_memory { "in memory" } else { "on disk" };
    let (bytes, rounds) = (scene.bytes, arguments.rounds);
    let (messages, folders) = (arguments.messages, arguments.folders);
    println!(
        "\n{messages} messages of {} MB in {folders} folders, stores {place}, medians of {rounds} \
         rounds\n\n{table}",
        bytes / 1_000_000
    );
    Ok(ExitCode::SUCCESS)
}

/// Brings the messages into a fresh live store; how long that took.
fn time(scene: &Lacking, way: Way, ours: &Path, mbsync: &Path) -> Result<Duration> {
    let live = scene.live()?;
    let cost = match way {
        Way::Spool => Cost::of(&mut scene.redeliver(&live, ours, &[])?)?,
        Way::Imap => Cost::of(&mut scene.redeliver(&live, ours, &Lacking::over_imap(&live)?)?)?,
        Way::Mbsync => copy_by_mbsync(scene, &live, mbsync)?,
    };
    ensure!(cost.status.success(), "{}: {}", way.name(), cost.status);
    let counted = scene.come(&live)?;
    ensure!(counted == u64::from(scene.extent.messages), "{}: {counted} came", way.name());
    Ok(cost.wall)
}

fn copy_by_mbsync(scene: &Lacking, live: &Server, program: &Path) -> Result<Cost> {
    let state = live.path().join("mbsync");
    fs::create_dir(&state)?;
    // Without a limit to what it has under way, mbsync comes to a standstill at some thousand
    // messages; with this one it is as fast as without.
    let account = |name: &str, server: &Server| {
        let port = server.ports().imap;
        format!(
            "IMAPAccount {name}\nHost 127.0.0.1\nPort {port}\nUser {USER}\nPass any\n\
             SSLType None\nAuthMechs LOGIN\nTimeout 100\nPipelineDepth 50\n\nIMAPStore {name}\nAccount {name}\n\n"
        )
    };
    let text = format!(
        "{}{}Channel all\nFar :rescued:\nNear :live:\nPatterns f*\nSync PullNew\n\
         CopyArrivalDate yes\nSyncState {}/\n",
        account("rescued", &scene.rescued),
        account("live", live),
        state.display()
    );
    let configuration = state.join("mbsyncrc");
    fs::write(&configuration, text)?;
    let mut command = Command::new(program);
    Cost::of(command.arg("--quiet").arg("--config").arg(&configuration).arg("all"))
}
