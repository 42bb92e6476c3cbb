//! A repair that is undone after its mailboxes have lived on: refused, or merged, and nothing that
//! came since is lost either way.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use mailstore_format::Guid;
use mailstore_tests::damage::{SeenMessage, Specimen, View};
use mailstore_tests::generate::Messages;
use mailstore_tests::{Reconstruct, Server, ToolRun, Tree, run_within};

use super::case::{PATIENCE, tell};

const DELIVERIES: usize = 100;
/// So many messages of each mailbox get a flag and a keyword.
const TOUCHED: usize = 3;

/// A repaired store that is served again.
pub(crate) struct Life {
    server: Server,
    /// The mailboxes that the run wrote to, as the tool calls them.
    repaired: Vec<&'static str>,
    run: String,
}

/// What came after the repair, by mailbox.
struct Since {
    delivered: BTreeSet<Guid>,
    touched: BTreeMap<&'static str, BTreeMap<u32, SeenMessage>>,
}

impl Life {
    /// After `run` on `server`; `None` where it wrote nothing.
    pub(crate) fn after(run: &ToolRun, server: Server) -> Option<Self> {
        let name = run.summary()["run"].as_str()?.to_owned();
        let was_repaired = |mailbox: &&str| run.mailbox(mailbox)["state"] == "repaired";
        let repaired = Specimen::DAMAGED.into_iter().filter(was_repaired).collect();
        Some(Self { server, repaired, run: name })
    }

    /// Lets it live on and undoes the run; what of it is not as promised.
    pub(crate) fn broken_promises(self, seed: u64) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let since = self.go_on(seed).context("living on after the repair")?;
        let lived = self.spool()?;
        let Some(refused) = self.undo(&[])? else { return Ok(vec!["undo hangs".into()]) };
        for mailbox in &self.repaired {
            let report = refused.mailbox(mailbox);
            if report["state"] != "refused" {
                broken.push(format!("undo was not refused: {report}"));
            }
        }
        let mut changed = lived.differences(&self.spool()?);
        changed.retain(|line| !line.contains(".mailstore-recovery"));
        tell(&mut broken, "a refusal changed", changed);

        let Some(merged) = self.undo(&["--merge"])? else {
            return Ok(vec!["undo --merge hangs".into()]);
        };
        if !matches!(merged.status, Some(0 | 1)) {
            broken.push(format!("undo --merge: {:?} {}", merged.status, merged.stderr));
        }
        tell(
            &mut broken,
            "after undo --merge",
            self.lost_since(&since).context("after undo --merge")?,
        );
        tell(&mut broken, "died", self.server.deaths());
        Ok(broken)
    }

    /// Mail comes, and flags are set in every mailbox.
    fn go_on(&self, seed: u64) -> Result<Since> {
        let (mut lmtp, mut messages) = (self.server.lmtp()?, Messages::new(seed ^ 0x6c69_6665));
        let before = self.view("user.alice")?;
        for _ in 0..DELIVERIES {
            let (status, text) = lmtp.deliver(Specimen::USER, &messages.message())?;
            ensure!(status == 250, "a delivery: {status} {text}");
        }
        let after = self.view("user.alice")?;
        let is_new = |(uid, _): &(&u32, &SeenMessage)| !before.messages.contains_key(uid);
        let new = after.messages.iter().filter(is_new);
        let delivered: BTreeSet<Guid> = new.filter_map(|(_, message)| message.body).collect();
        ensure!(delivered.len() == DELIVERIES, "{} deliveries are there", delivered.len());
        let mut touched = BTreeMap::new();
        for mailbox in Specimen::DAMAGED {
            touched.insert(mailbox, self.touch(mailbox)?);
        }
        Ok(Since { delivered, touched })
    }

    /// Flags the first messages of a mailbox; as they are seen then.
    fn touch(&self, mailbox: &str) -> Result<BTreeMap<u32, SeenMessage>> {
        let uids: Vec<u32> = self.view(mailbox)?.messages.into_keys().take(TOUCHED).collect();
        let mut session = self.server.login(Specimen::USER)?;
        session.select(&as_seen(mailbox))?;
        for uid in &uids {
            session.ok(&format!("UID STORE {uid} +FLAGS (\\Flagged $New)"))?;
        }
        session.unselect()?;
        session.logout()?;
        let mut messages = self.view(mailbox)?.messages;
        messages.retain(|uid, _| uids.contains(uid));
        Ok(messages)
    }

    /// The mail. Beside it the server that runs makes and removes files as it likes.
    fn spool(&self) -> Result<Tree> {
        Tree::read(&self.server.path().join("spool"))
    }

    fn view(&self, mailbox: &str) -> Result<View> {
        View::over_imap(&self.server, Specimen::USER, &as_seen(mailbox))
            .with_context(|| format!("looking at {mailbox}"))
    }

    fn undo(&self, arguments: &[&str]) -> Result<Option<ToolRun>> {
        let store = &self.server;
        let tool = Reconstruct::bare().args(["undo", &self.run, "--json", "-C"]);
        let tool = tool.arg(store.imapd_conf()).args(arguments);
        let tool = tool.env("CYRUS_USER", &store.cyrus().account().name);
        let tool = tool.env("TZ", &store.options().timezone);
        let output = run_within(&mut tool.command()?, PATIENCE)?;
        output.map(|output| ToolRun::of(&output).parsed()).transpose()
    }

    /// Deliveries and flags that are no longer seen.
    fn lost_since(&self, since: &Since) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        for (mailbox, touched) in &since.touched {
            let now = self.view(mailbox)?.messages;
            if *mailbox == "user.alice" {
                let there: BTreeSet<Guid> = now.values().filter_map(|seen| seen.body).collect();
                let gone = since.delivered.difference(&there);
                lost.extend(gone.map(|guid| format!("{mailbox}: a delivery is gone: {guid}")));
            }
            for (uid, before) in touched {
                let after = now.get(uid);
                let kept = after.is_some_and(|after| {
                    after.system == before.system
                        && after.keywords == before.keywords
                        && after.body == before.body
                });
                if !kept {
                    lost.push(format!("{mailbox} {uid}: was {before:?}, is {after:?}"));
                }
            }
        }
        Ok(lost)
    }
}

/// The name by which its owner sees a mailbox.
fn as_seen(mailbox: &str) -> String {
    mailbox.replace("user.alice", "INBOX")
}
