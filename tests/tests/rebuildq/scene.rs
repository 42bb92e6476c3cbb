//! A server of many users whose indexes are damaged, an incident, and the command.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, Layout, Server, ServerOptions, ToolRun, cyrus_tools, incident_command, rebuildq_command,
};
use serde_json::Value;

/// Messages of each INBOX, and of each folder.
const MESSAGES: u32 = 5;

/// A server and an incident about it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) users: Vec<String>,
    incident: PathBuf,
}

/// What happened to a job, or to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: i64,
    pub(crate) user: String,
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl Scene {
    /// So many users with an INBOX and a folder each, nothing of them damaged.
    pub(crate) fn of(cyrus: &Cyrus, users: usize) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById).with_conversations().in_memory();
        // Who is denied is told so at once.
        let server = Server::start(cyrus, options.with_line("failedloginpause: 0"))?;
        let users: Vec<String> = (0..users).map(|number| format!("user{number:03}")).collect();
        let mut admin = server.admin()?;
        for user in &users {
            admin.create(&format!("user.{user}"))?;
            let mut session = server.login(user)?;
            session.create("INBOX.Sent")?;
            for folder in ["INBOX", "INBOX.Sent"] {
                for number in 0..MESSAGES {
                    let text = format!("Subject: {number}\r\n\r\nto {user} in {folder}\r\n");
                    session.append(folder, &["\\Flagged"], None, text.as_bytes())?;
                }
            }
            session.logout()?;
        }
        let incident = server.path().join("outage");
        let mut command = incident_command()?;
        command.env("CYRUS_USER", &cyrus.account().name);
        let made = command.arg("new").arg(&incident).arg("-C").arg(server.imapd_conf()).output()?;
        ensure!(made.status.success(), "{made:?}");
        Ok(Self { server, users, incident })
    }

    /// What `incident` says when told so.
    pub(crate) fn incident_says(&self, what: &str) -> Result<String> {
        let mut command = incident_command()?;
        command.env("CYRUS_USER", &self.server.cyrus().account().name);
        let said = command.arg(what).arg(&self.incident).output()?;
        ensure!(said.status.success(), "{said:?}");
        Ok(String::from_utf8(said.stdout)?)
    }

    /// Damages every index: of some the header is gone, others are cut.
    pub(crate) fn damage_all(&self) -> Result<()> {
        for (number, user) in self.users.iter().enumerate() {
            for folder in [format!("user.{user}"), format!("user.{user}.Sent")] {
                self.damage(&folder, number)?;
            }
        }
        Ok(())
    }

    /// The bytes of the index of a user's INBOX.
    pub(crate) fn index_of(&self, user: &str) -> Result<Vec<u8>> {
        let directory = self.server.mailbox_dir(&format!("user.{user}"))?;
        Ok(fs::read(directory.join("cyrus.index"))?)
    }

    /// Damages the index of one mailbox, in one of several ways.
    pub(crate) fn damage(&self, mailbox: &str, way: usize) -> Result<()> {
        let index = self.server.mailbox_dir(mailbox)?.join("cyrus.index");
        let mut bytes = fs::read(&index)?;
        match way % 3 {
            0 => bytes.get_mut(..160).context("a header")?.fill(0),
            1 => bytes.truncate(160 + 112),
            _ => *bytes.get_mut(160 + 7).context("a record")? ^= 0xFF,
        }
        // Not in place: the server may have it mapped.
        let new = index.with_extension("new");
        fs::write(&new, &bytes)?;
        let owner = fs::metadata(&index)?;
        std::os::unix::fs::chown(&new, Some(owner.uid()), Some(owner.gid()))?;
        Ok(fs::rename(new, index)?)
    }

    /// The command, with the tools of the server at hand.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.plain_command(arguments)?;
        if arguments.first().is_some_and(|name| ["add", "run", "cancel", "doctor"].contains(name)) {
            command.arg("--cyrus-bin").arg(cyrus_tools(&self.server).0);
        }
        Ok(command)
    }

    /// The command, which is not told where these tools are.
    pub(crate) fn plain_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = rebuildq_command()?;
        let (_, environment) = cyrus_tools(&self.server);
        let account = self.server.cyrus().account();
        command.env("CYRUS_USER", &account.name).envs(environment);
        let (name, rest) = arguments.split_first().context("a subcommand")?;
        command.arg(name).arg("-C").arg(self.server.imapd_conf());
        command.arg("--incident").arg(&self.incident).args(rest);
        Ok(command)
    }

    /// A directory with the server's tools, of which `quota` tells in a file how it was called.
    pub(crate) fn tools_that_tell(&self) -> Result<(String, PathBuf)> {
        let (real, _) = cyrus_tools(&self.server);
        let (bin, log) = (self.server.path().join("tools"), self.server.path().join("called"));
        fs::create_dir(&bin)?;
        for tool in ["cyr_deny", "ctl_conversationsdb", "cyr_dbtool"] {
            std::os::unix::fs::symlink(real.join(tool), bin.join(tool))?;
        }
        let script = bin.join("quota");
        let real = real.join("quota");
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n",
            log.display(),
            real.display()
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok((bin.to_str().context("text")?.to_owned(), log))
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<ToolRun> {
        let run = ToolRun::of(&self.command(arguments)?.output()?);
        if arguments.contains(&"--json") { run.parsed() } else { Ok(run) }
    }

    /// Runs it, and it succeeds.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<ToolRun> {
        let run = self.run(arguments)?;
        ensure!(run.status == Some(0), "{arguments:?}: {run:?}");
        Ok(run)
    }

    /// Starts it, and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments)?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?)
    }

    /// What happened so far.
    pub(crate) fn events(&self) -> Result<Vec<Event>> {
        let run = self.ok(&["events", "--json"])?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = run.json.iter().map(|line| {
            Ok(Event {
                at: line["at"].as_i64().context("a time")?,
                user: text(&line["user"]),
                kind: text(&line["kind"]),
                detail: text(&line["detail"]),
            })
        });
        events.collect()
    }

    /// Whom events of this kind are about, in their order.
    pub(crate) fn whom(&self, kind: &str) -> Result<Vec<String>> {
        let events = self.events()?.into_iter();
        Ok(events.filter(|event| event.kind == kind).map(|event| event.user).collect())
    }

    /// The state of the job of each user that is not over, or else was the last.
    pub(crate) fn states(&self) -> Result<BTreeMap<String, String>> {
        let run = self.ok(&["list", "--json"])?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // Jobs that are over come after those that are not.
        let mut states = BTreeMap::new();
        for line in &run.json {
            states.entry(text(&line["user"])).or_insert_with(|| text(&line["state"]));
        }
        Ok(states)
    }

    /// Users who have an entry in the server's deny database, with what stands in it.
    pub(crate) fn denied(&self) -> Result<BTreeMap<String, String>> {
        let listed = self.server.tool_output("cyr_deny", &["-l"])?;
        let lines = listed.lines().skip(1).filter_map(|line| line.split_once(char::is_whitespace));
        Ok(lines.map(|(user, rest)| (user.to_owned(), rest.trim().to_owned())).collect())
    }

    /// Whether a user can log in.
    pub(crate) fn can_log_in(&self, user: &str) -> bool {
        self.server.login(user).is_ok()
    }

    /// That a user's mail is all there, with its flags.
    pub(crate) fn must_be_whole(&self, user: &str) -> Result<()> {
        let mut session = self.server.login(user)?;
        for folder in ["INBOX", "INBOX.Sent"] {
            session.select(folder)?;
            let flagged = session.search("FLAGGED")?.len();
            ensure!(flagged >= 1, "{user} {folder}: flags are lost");
            let all = session.search("ALL")?.len();
            let expected = usize::try_from(MESSAGES)?;
            ensure!(all >= expected, "{user} {folder}: {all} messages");
        }
        Ok(())
    }

    /// That on a copy of the store Cyrus's own tools find nothing to do.
    pub(crate) fn must_be_sound(&self) -> Result<()> {
        let verdict = mailstore_tests::judge(&self.server)?;
        ensure!(verdict.is_clean(), "{verdict:?}");
        Ok(())
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        ensure!(begun.elapsed() < Duration::from_mins(1), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
