//! A live store that lacks messages which another server has.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use mailstore_tests::outage::{gapfill, new_incident};
use mailstore_tests::{Cyrus, Layout, NewMessage, Server, ServerOptions, Store};

use super::mail::Mail;

/// Whose messages they are.
pub(super) const USER: &str = "alice";
const SEED: u64 = 1;

/// How much is lacking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) messages: u32,
    /// Those that share the messages.
    pub(super) folders: u32,
    /// Whether the stores lie in memory.
    pub(super) in_memory: bool,
}

impl Extent {
    /// How many messages a folder has.
    pub(super) fn share_of(self, folder: u32) -> u64 {
        let rest = folder < self.messages % self.folders;
        u64::from(self.messages / self.folders) + u64::from(rest)
    }
}

/// A server that has the messages, and a store that is the same without them.
pub(super) struct Lacking {
    pub(super) rescued: Server,
    /// A copy of the rescued store, which no server changes.
    volume: Store,
    base: Store,
    folders: Vec<String>,
    pub(super) extent: Extent,
    pub(super) bytes: u64,
}

impl Lacking {
    pub(super) fn make(cyrus: &Cyrus, extent: Extent) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById);
        let options = if extent.in_memory { options.in_memory() } else { options };
        let server = Server::start(cyrus, options)?;
        server.admin()?.create(&format!("user.{USER}"))?;
        let folders: Vec<_> = (0..extent.folders).map(|n| format!("INBOX.f{n}")).collect();
        let mut session = server.login(USER)?;
        folders.iter().try_for_each(|folder| session.create(folder))?;
        session.logout()?;
        let store = server.into_store()?;
        let base = store.copy()?;
        let rescued = Server::serve(store)?;
        let (mut mail, mut bytes) = (Mail::new(SEED), 0);
        let mut session = rescued.login(USER)?;
        for (number, folder) in (0_u32..).zip(&folders) {
            let messages = (0..extent.share_of(number)).map(|_| mail.message()).map(|bytes| {
                NewMessage { flags: vec!["\\Seen".to_owned()], internaldate: None, bytes }
            });
            let messages: Vec<_> = messages.collect();
            bytes += messages.iter().map(|message| message.bytes.len() as u64).sum::<u64>();
            session.append_all(folder, &messages)?;
        }
        session.logout()?;
        let volume = rescued.copy()?;
        Ok(Self { rescued, volume, base, folders, extent, bytes })
    }

    /// A server of a fresh live store.
    pub(super) fn live(&self) -> Result<Server> {
        Server::serve(self.base.copy()?)
    }

    /// The command that delivers what `live` lacks, with these arguments. What is missing was found
    /// and staged then.
    pub(super) fn redeliver(
        &self,
        live: &Server,
        program: &Path,
        arguments: &[String],
    ) -> Result<Command> {
        let incident = live.path().join("outage");
        new_incident(live, &incident)?;
        let stage = live.path().join("stage");
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is text");
        let comparing = ["--incident", &text(&incident)?, "--stage", &text(&stage)?];
        gapfill(live, &[self.volume.path().to_owned()], &comparing)?;
        let mut command = Command::new(program);
        command.arg("--incident").arg(&incident).arg("--to").arg(live.imapd_conf());
        command.arg("--quiet").args(arguments);
        command.env("CYRUS_USER", &live.cyrus().account().name);
        Ok(command)
    }

    /// The arguments of a delivery over IMAP.
    pub(super) fn over_imap(live: &Server) -> Result<Vec<String>> {
        let password = live.path().join("password");
        fs::write(&password, "any\n")?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        live.cyrus().account().own(&password)?;
        let url = format!("imap://127.0.0.1:{}", live.ports().imap);
        let arguments = ["--via", "imap", "--imap", &url, "--imap-admin", "cyrus"];
        let arguments = arguments.into_iter().map(str::to_owned);
        let password = ["--imap-password-file".to_owned(), password.display().to_string()];
        Ok(arguments.chain(password).collect())
    }

    /// How many of the messages have come.
    pub(super) fn come(&self, live: &Server) -> Result<u64> {
        let mut session = live.login(USER)?;
        let mut come = 0;
        for folder in &self.folders {
            let counted = session.status(folder, &["MESSAGES"])?;
            come += counted.first().copied().context("no count")?;
        }
        Ok(come)
    }
}
