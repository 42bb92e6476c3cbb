//! `cargo xtask bench redeliver`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use mailstore_tests::outage::{gapfill, new_incident};
use mailstore_tests::{Cyrus, ImapClient, Layout, NewMessage, Server, ServerOptions, Store};

use super::mail::Mail;
use super::measure::{Cost, median};
use crate::cargo::{Profile, build_program};
use crate::table::Table;

const USER: &str = "alice";
const SEED: u64 = 1;

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
    let scene = Scene::make(&cyrus, arguments)?;
    let mut times = Vec::new();
    for _ in 0..arguments.rounds {
        for way in Way::ALL {
            times.push((way, scene.time(way, &ours, &arguments.mbsync)?));
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

/// A server that has the messages, and a store that is the same without them.
struct Scene {
    rescued: Server,
    /// A copy of the rescued store, which no server changes.
    volume: Store,
    base: Store,
    folders: Vec<String>,
    messages: u32,
    bytes: u64,
}

impl Scene {
    fn make(cyrus: &Cyrus, arguments: &Arguments) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById);
        let options = if arguments.in_memory { options.in_memory() } else { options };
        let server = Server::start(cyrus, options)?;
        server.admin()?.create(&format!("user.{USER}"))?;
        let folders: Vec<_> = (0..arguments.folders).map(|n| format!("INBOX.f{n}")).collect();
        let mut session = server.login(USER)?;
        folders.iter().try_for_each(|folder| session.create(folder))?;
        session.logout()?;
        let store = server.into_store()?;
        let base = store.copy()?;
        let rescued = Server::serve(store)?;
        let (mut mail, mut bytes) = (Mail::new(SEED), 0);
        let mut session = rescued.login(USER)?;
        for (number, folder) in (0_u32..).zip(&folders) {
            let share = arguments.messages / arguments.folders;
            let rest = u32::from(number < arguments.messages % arguments.folders);
            let messages = (0..share + rest).map(|_| mail.message()).map(|bytes| NewMessage {
                flags: vec!["\\Seen".to_owned()],
                internaldate: None,
                bytes,
            });
            let messages: Vec<_> = messages.collect();
            bytes += messages.iter().map(|message| message.bytes.len() as u64).sum::<u64>();
            session.append_all(folder, &messages)?;
        }
        session.logout()?;
        let volume = rescued.copy()?;
        Ok(Self { rescued, volume, base, folders, messages: arguments.messages, bytes })
    }

    /// Brings the messages into a fresh live store; how long that took.
    fn time(&self, way: Way, ours: &Path, mbsync: &Path) -> Result<Duration> {
        let live = Server::serve(self.base.copy()?)?;
        let cost = match way {
            Way::Spool => self.redeliver(&live, ours, &[])?,
            Way::Imap => self.redeliver_over_imap(&live, ours)?,
            Way::Mbsync => self.mbsync(&live, mbsync)?,
        };
        ensure!(cost.status.success(), "{}: {}", way.name(), cost.status);
        let mut session = live.login(USER)?;
        let counted = self.folders.iter().map(|folder| count(&mut session, folder));
        let counted = counted.sum::<Result<u64>>()?;
        ensure!(counted == u64::from(self.messages), "{}: {counted} came", way.name());
        Ok(cost.wall)
    }

    fn redeliver_over_imap(&self, live: &Server, program: &Path) -> Result<Cost> {
        let password = live.path().join("password");
        fs::write(&password, "any\n")?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        live.cyrus().account().own(&password)?;
        let (url, password) =
            (format!("imap://127.0.0.1:{}", live.ports().imap), password.display().to_string());
        let arguments = ["--via", "imap", "--imap", &url, "--imap-admin", "cyrus"];
        let arguments = [&arguments[..], &["--imap-password-file", &password]].concat();
        self.redeliver(live, program, &arguments)
    }

    /// What was found and staged before is not counted.
    fn redeliver(&self, live: &Server, program: &Path, arguments: &[&str]) -> Result<Cost> {
        let incident = live.path().join("outage");
        new_incident(live, &incident)?;
        let stage = live.path().join("stage");
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is text");
        let comparing = ["--incident", &text(&incident)?, "--stage", &text(&stage)?];
        gapfill(live, &[self.volume.path().to_owned()], &comparing)?;
        let mut command = Command::new(program);
        command.arg("--incident").arg(&incident).arg("--to").arg(live.imapd_conf());
        command.arg("--quiet").args(arguments);
        Cost::of(command.env("CYRUS_USER", &live.cyrus().account().name))
    }

    fn mbsync(&self, live: &Server, program: &Path) -> Result<Cost> {
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
            account("rescued", &self.rescued),
            account("live", live),
            state.display()
        );
        let configuration = state.join("mbsyncrc");
        fs::write(&configuration, text)?;
        let mut command = Command::new(program);
        Cost::of(command.arg("--quiet").arg("--config").arg(&configuration).arg("all"))
    }
}

fn count(session: &mut ImapClient, folder: &str) -> Result<u64> {
    let counted = session.status(folder, &["MESSAGES"])?;
    counted.first().copied().context("no count")
}
