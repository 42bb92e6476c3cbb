//! What the server keeps outside of a repaired mailbox, brought in step by its own tools.
//!
//! Each [`FollowUp`] is a step for Cyrus's tools. Where [`ServerTools`] says where these are, the
//! steps are carried out: what concerns one mailbox right after its repair, what concerns a user or
//! the server once, when the run is over. What is not carried out stays in the reports, and
//! [`ServerTools::calls`] gives the commands for an operator to type. Replication and the search
//! indexer are told through their log.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mailstore::config::ImapdConf;
use mailstore::sync_log::SyncLog;
use serde::Serialize;

use crate::report::{FollowUp, MailboxReport, State};
use crate::target::Target;

/// How much of what a tool says is told when it fails.
const TOLD: usize = 500;
/// Of so many steps of one kind the commands are told.
const TYPED: usize = 3;

/// Cyrus's tools and what they have to be told.
#[derive(Debug, Clone)]
pub struct ServerTools {
    bin: Option<PathBuf>,
    config: PathBuf,
    /// The status cache's path and type, where the server keeps one.
    status_cache: Option<(PathBuf, String)>,
    /// Where conversations are dumped before they are counted anew.
    dumps: PathBuf,
    /// The only user whose quotas are reckoned; none for all.
    user: Option<String>,
}

/// One call of one of Cyrus's tools. Prints as a shell would take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    program: &'static str,
    arguments: Vec<OsString>,
    /// Where its output goes, where that is wanted.
    output: Option<PathBuf>,
}

/// What is done after repairs, and for whom.
#[derive(Debug, Default)]
pub struct Aftercare {
    tools: Option<ServerTools>,
    sync_logs: Vec<SyncLog>,
    lock_timeout: Duration,
    /// Where each mailbox of the server would have its `cyrus.expunge`.
    expunge_files: Vec<PathBuf>,
    /// What is done once, when the run is over.
    at_the_end: Mutex<BTreeSet<FollowUp>>,
}

/// A step that was to be carried out and failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What was to be done; nothing where a log was to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<FollowUp>,
    /// What went wrong.
    pub why: String,
}

impl ServerTools {
    /// The tools in the directory `bin`, or none that are known, for the server with this
    /// configuration. Dumps of conversations go to `dumps`, which is made when there is one.
    #[must_use]
    pub fn new(conf: &ImapdConf, bin: Option<PathBuf>, dumps: PathBuf) -> Self {
        let status_cache =
            conf.status_cache().map(|path| (path, conf.database_type("statuscache_db")));
        Self { bin, config: conf.path().to_owned(), status_cache, dumps, user: None }
    }

    /// The directory of the tools, where it is known.
    #[must_use]
    pub fn bin(&self) -> Option<&Path> {
        self.bin.as_deref()
    }

    /// For a run on the mailboxes of `user` alone.
    #[must_use]
    pub fn for_user(&self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self.clone() }
    }

    /// The calls that carry `follow_up` out, in their order.
    #[must_use]
    pub fn calls(&self, follow_up: &FollowUp) -> Vec<ToolCall> {
        let conversations =
            |option: &str, user: &str| self.call("ctl_conversationsdb", [option, user]);
        match follow_up {
            FollowUp::Quota => vec![match &self.user {
                None => self.call("quota", ["-f", "-q"]),
                Some(user) => self.call("quota", ["-f", "-q", "-u", user]),
            }],
            FollowUp::Conversations(user) => vec![conversations("-b", user)],
            // `-R` drops all rows before it counts anew, so they are dumped first. It gives no
            // message a thread that has none: `-b` does.
            FollowUp::ConversationCounts(user) => {
                let file = format!("{}.conversations", user.replace('/', "%2f"));
                let dump =
                    ToolCall { output: Some(self.dumps.join(file)), ..conversations("-d", user) };
                vec![dump, conversations("-R", user), conversations("-b", user)]
            }
            FollowUp::StatusCache(mailbox) => {
                let Some((path, database_type)) = &self.status_cache else { return Vec::new() };
                let key = format!("{mailbox}%");
                let mut call = self.call("cyr_dbtool", []);
                call.arguments.push(path.into());
                call.arguments.extend([database_type, "delete", &key].map(OsString::from));
                vec![call]
            }
        }
    }

    /// The commands that carry all of `follow_up` out, for an operator to type; empty where there is
    /// nothing to do.
    #[must_use]
    pub fn typed(&self, follow_up: &BTreeSet<FollowUp>) -> String {
        if follow_up.is_empty() {
            return String::new();
        }
        let mut text = "next, as the server's user (or give --cyrus-bin):\n".to_owned();
        let steps: Vec<_> = follow_up.iter().collect();
        for alike in steps.chunk_by(|one, next| discriminant(*one) == discriminant(*next)) {
            for call in alike.iter().take(TYPED).flat_map(|step| self.calls(step)) {
                let _ = writeln!(text, "  {call}");
            }
            if let Some(more) = alike.len().checked_sub(TYPED).filter(|&more| more > 0) {
                let _ = writeln!(text, "  … and likewise for {more} more (--json names them)");
            }
        }
        text
    }

    fn call<const N: usize>(&self, program: &'static str, arguments: [&str; N]) -> ToolCall {
        let config = ["-C".into(), self.config.clone().into_os_string()];
        let arguments = config.into_iter().chain(arguments.map(OsString::from)).collect();
        ToolCall { program, arguments, output: None }
    }

    fn carry_out(&self, bin: &Path, follow_up: &FollowUp) -> Result<(), String> {
        self.calls(follow_up).iter().try_for_each(|call| {
            call.run(bin).map_err(|error| format!("{} failed: {error}", call.program))
        })
    }
}

impl ToolCall {
    fn run(&self, bin: &Path) -> io::Result<()> {
        let mut command = Command::new(bin.join(self.program));
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(path) = &self.output {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            command.stdout(File::options().write(true).create_new(true).open(path)?);
        }
        let output = command.stderr(Stdio::piped()).spawn()?.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(TOLD).collect();
        Err(io::Error::other(format!("{}: {said}", output.status)))
    }
}

impl fmt::Display for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(&argument.to_string_lossy()))?;
        }
        match &self.output {
            Some(path) => write!(f, " > {}", quoted(&path.to_string_lossy())),
            None => Ok(()),
        }
    }
}

/// An argument as a shell takes it for one word.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@%+=:,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

impl Aftercare {
    /// Nothing is done after repairs; the reports say what is left to do.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Uses these tools and tells these logs, whose locks are waited for so long.
    #[must_use]
    pub fn new(tools: ServerTools, sync_logs: Vec<SyncLog>, lock_timeout: Duration) -> Self {
        let tools = Some(tools);
        Self { tools, sync_logs, lock_timeout, ..Self::default() }
    }

    /// With the paths of every `cyrus.expunge` that a mailbox of the server can have: as long as
    /// there is one, nothing is done that opens mailboxes which were not repaired, because the
    /// server's tools delete the messages that it lists.
    #[must_use]
    pub fn held_back_by(self, expunge_files: Vec<PathBuf>) -> Self {
        Self { expunge_files, ..self }
    }

    /// With what is to be done at the end in any case, because a run that was cut short may have left
    /// it undone.
    #[must_use]
    pub fn owing(self, follow_up: impl IntoIterator<Item = FollowUp>) -> Self {
        let mut owed = self.at_the_end.into_inner().unwrap_or_else(PoisonError::into_inner);
        owed.extend(follow_up);
        Self { at_the_end: Mutex::new(owed), ..self }
    }

    /// Does what concerns a changed mailbox alone, and notes what is to be done at the end.
    pub(crate) fn of_mailbox(&self, target: &Target, report: &mut MailboxReport) {
        if !matches!(report.state, State::Repaired | State::Delivered | State::Undone) {
            return;
        }
        self.tell_logs(target, report);
        let Some((tools, bin)) = self.usable_tools() else { return };
        for follow_up in std::mem::take(&mut report.follow_up) {
            if !matches!(follow_up, FollowUp::StatusCache(_)) {
                let mut later = self.at_the_end.lock().unwrap_or_else(PoisonError::into_inner);
                later.insert(follow_up);
                continue;
            }
            if let Err(why) = tools.carry_out(bin, &follow_up) {
                let follow_up = Some(follow_up);
                report.aftercare_failures.push(Failure { follow_up, why });
            }
        }
    }

    /// Does what concerns users or the server as a whole. Tells what failed.
    pub(crate) fn of_run(&self) -> Vec<Failure> {
        let mut pending = self.at_the_end.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = std::mem::take(&mut *pending);
        let Some((tools, bin)) = self.usable_tools() else { return Vec::new() };
        let order = self.expunge_files.iter().find(|path| path.symlink_metadata().is_ok());
        if let Some(order) = order.filter(|_| !pending.is_empty()) {
            return held_back(pending, order);
        }
        // Counting anew gives threads too.
        let counted: BTreeSet<_> = pending
            .iter()
            .filter_map(|follow_up| match follow_up {
                FollowUp::ConversationCounts(user) => Some(user.clone()),
                _ => None,
            })
            .collect();
        let is_needed = |follow_up: &FollowUp| match follow_up {
            FollowUp::Conversations(user) => !counted.contains(user),
            _ => true,
        };
        let mut failures = Vec::new();
        for follow_up in pending.into_iter().filter(is_needed) {
            if let Err(why) = tools.carry_out(bin, &follow_up) {
                failures.push(Failure { follow_up: Some(follow_up), why });
            }
        }
        failures
    }

    fn usable_tools(&self) -> Option<(&ServerTools, &Path)> {
        let tools = self.tools.as_ref()?;
        Some((tools, tools.bin.as_deref()?))
    }

    fn tell_logs(&self, target: &Target, report: &mut MailboxReport) {
        let name = target.internal_name();
        for log in &self.sync_logs {
            if let Err(error) = log.tell(&name, self.lock_timeout) {
                let why = error.to_string();
                report.aftercare_failures.push(Failure { follow_up: None, why });
            }
        }
    }
}

/// What is not done because `order` lists messages that the tools would delete.
fn held_back(pending: BTreeSet<FollowUp>, order: &Path) -> Vec<Failure> {
    let why = format!(
        "held back: {} is there, and Cyrus's tools delete what it lists; repair that mailbox first",
        order.display()
    );
    let held = |follow_up| Failure { follow_up: Some(follow_up), why: why.clone() };
    pending.into_iter().map(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(directory: &Path) -> ServerTools {
        ServerTools {
            bin: None,
            config: directory.join("imapd.conf"),
            status_cache: Some(("/var/lib/cyrus/statuscache.db".into(), "twoskip".into())),
            dumps: directory.join("dumps"),
            user: None,
        }
    }

    fn typed(follow_up: &FollowUp) -> Vec<String> {
        let calls = tools(Path::new("/etc")).calls(follow_up);
        calls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commands_are_printed_as_a_shell_takes_them() {
        assert_eq!(typed(&FollowUp::Quota), ["quota -C /etc/imapd.conf -f -q"]);
        assert_eq!(
            typed(&FollowUp::StatusCache("user.o'hara.Sent Mail".to_owned())),
            ["cyr_dbtool -C /etc/imapd.conf /var/lib/cyrus/statuscache.db twoskip delete \
                 'user.o'\\''hara.Sent Mail%'"]
        );
    }

    #[test]
    fn quotas_are_reckoned_of_one_user_where_only_theirs_can_have_changed() {
        let tools = tools(Path::new("/etc")).for_user("alice");
        let calls = tools.calls(&FollowUp::Quota);
        assert_eq!(calls[0].to_string(), "quota -C /etc/imapd.conf -f -q -u alice");
    }

    #[test]
    fn conversations_are_dumped_before_their_rows_are_dropped() {
        let typed = typed(&FollowUp::ConversationCounts("alice".to_owned()));
        assert_eq!(
            typed,
            [
                "ctl_conversationsdb -C /etc/imapd.conf -d alice > /etc/dumps/alice.conversations",
                "ctl_conversationsdb -C /etc/imapd.conf -R alice",
                "ctl_conversationsdb -C /etc/imapd.conf -b alice",
            ]
        );
    }

    #[test]
    fn a_failed_dump_keeps_the_rows_from_being_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let (bin, dumps) = (directory.path().join("bin"), directory.path().join("dumps"));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&dumps).unwrap();
        std::fs::write(dumps.join("alice.conversations"), b"an earlier dump").unwrap();
        let tools = tools(directory.path());
        let failed = tools.carry_out(&bin, &FollowUp::ConversationCounts("alice".to_owned()));
        assert!(failed.unwrap_err().starts_with("ctl_conversationsdb failed"));
        let kept = std::fs::read(dumps.join("alice.conversations")).unwrap();
        assert_eq!(kept, b"an earlier dump");
    }
}
