//! A server's outage, from the damage to the second repair.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use mailstore_format::Guid;
use mailstore_tests::damage::Survivors;
use mailstore_tests::{Cyrus, Server, Store, ToolRun, Tree, run_within};

use super::claims::Claims;
use super::scoreboard::{self, Scores, Shown};
use super::{population, wreck};
use crate::cargo::{Profile, build_program};
use crate::demo::tool::Tool;

/// Who is hit; Dave is not.
const HIT: [&str; 3] = ["alice", "bob", "carol"];
/// How long Cyrus's own tool may take for a user.
const PATIENCE: Duration = Duration::from_secs(20);
/// Beside the partition, the server's account's: where the operator keeps plans and the incident.
const DESK: &str = "desk";
/// Below a partition's root: what is kept of the mailboxes.
const KEPT: &str = ".mailstore-recovery";

/// A server, what its users saw, and what is left of it.
pub(super) struct Outage {
    pub(super) server: Server,
    shown: Shown,
    left: BTreeMap<String, Survivors>,
    /// The partition right after the damage.
    wreckage: Tree,
}

impl Outage {
    /// Users have mail; then everything breaks. The server is left stopped.
    pub(super) fn befalls(cyrus: &Cyrus, seed: u64) -> Result<Self> {
        let mut server = population::served(cyrus, seed)?;
        let shown = scoreboard::shown(&server)?;
        server.stop()?;
        let sound = server.copy()?;
        let damages = wreck::inflict(&server, seed)?;
        let left = wreck::left(&sound, &server, shown.keys())?;
        let wreckage = Tree::read(&server.spool())?;
        let messages: usize = shown.values().map(|view| view.messages.len()).sum();
        let desk = server.path().join(DESK);
        fs::create_dir(&desk)?;
        cyrus.account().own(&desk)?;
        println!(
            "A Cyrus IMAP {} with four users, {} mailboxes and {messages} messages. It goes down, \
             and this is what comes up:\n",
            cyrus.version(),
            shown.len(),
        );
        println!("{}", wreck::table(&damages)?);
        Ok(Self { server, shown, left, wreckage })
    }

    /// What Cyrus's own `reconstruct` makes of a copy, as its manual has it.
    pub(super) fn repaired_by_cyrus(&self) -> Result<Scores> {
        let store: Store = self.server.copy()?;
        for user in HIT {
            let mut command = store.command("reconstruct");
            command.args(["-G", "-r", &format!("user.{user}")]);
            // Whether it succeeds is for what it leaves to tell.
            run_within(&mut command, PATIENCE)?;
        }
        let server = Server::serve(store).context("serving what Cyrus's own tool left")?;
        Ok(scoreboard::scores(&self.shown, &server, &self.left))
    }

    /// Our tool on this store, working in an incident that is made for it.
    pub(super) fn tool(&self) -> Result<Tool> {
        let incident = self.incident()?;
        incident.shown(&["new", &self.desk("incident"), "-C", &self.conf()])?;
        let program = build_program("reconstruct", Profile::Dev)?;
        let tool = Tool::beside("reconstruct", program, &self.server);
        let tool = tool.remembering(Path::new(&self.desk("incident")));
        Ok(tool.shortening(self.server.path(), "…"))
    }

    /// The command that keeps the incident.
    fn incident(&self) -> Result<Tool> {
        let program = build_program("incident", Profile::Dev)?;
        let tool = Tool::beside("incident", program, &self.server);
        Ok(tool.shortening(self.server.path(), "…"))
    }

    /// Triage and a saved plan: they tell what is wrong and what would be done, and change nothing.
    pub(super) fn is_looked_at(&self, tool: &Tool, claims: &mut Claims) -> Result<()> {
        tool.shown(&["triage", "-C", &self.conf(), "--all"])?;
        let triage = tool.run(&["triage", "-C", &self.conf(), "--all", "--json"])?;
        let users = &triage.json.last().context("triage said nothing")?["users_hit"];
        let named: Vec<&str> =
            users.as_array().into_iter().flatten().filter_map(|user| user.as_str()).collect();
        claims.add_if("triage names alice, bob and carol, and not dave", named == HIT);
        tool.shown(&[
            "-C",
            &self.conf(),
            "-n",
            "--all",
            "--check",
            "full",
            "--plan",
            &self.desk("plan.jsonl"),
        ])?;
        let untouched = self.wreckage.differences(&self.tree()?);
        claims.add("triage and planning changed nothing", untouched);
        Ok(())
    }

    /// The plan is applied, beside the running server.
    pub(super) fn is_repaired(
        &self,
        tool: &Tool,
        claims: &mut Claims,
    ) -> Result<(ToolRun, Scores)> {
        let repair = tool.shown(&["-C", &self.conf(), "--apply", &self.desk("plan.jsonl")])?;
        let scores = scoreboard::scores(&self.shown, &self.server, &self.left);
        claims.add(
            "everything of which any evidence was left is back, as its owner left it",
            scoreboard::shortfalls(&scores),
        );
        let destroyed = scoreboard::destroyed(&scores);
        let again = tool.run(&["-C", &self.conf(), "-n", "--all", "--check", "full", "--json"])?;
        let missed = again.findings("message-missing").len();
        claims.add_if(
            format!("the {destroyed} messages that the damage destroyed are named as missing"),
            missed == destroyed && repair.status == Some(i32::from(destroyed > 0)),
        );
        let left_to_do = again.summary()["planned"].clone();
        claims.add_if("a second look finds nothing more to repair", left_to_do == 0);
        let shown = self.incident()?.shown(&["show", &self.desk("incident")])?;
        let wanted = shown.stdout.lines().find_map(|line| line.strip_prefix("wanted: "));
        let count = wanted.and_then(|text| text.split(' ').next()?.parse::<usize>().ok());
        claims.add_if("the incident remembers that they are wanted", count == Some(destroyed));
        claims.add("every file that was there is still on the disk", self.vanished()?);
        Ok((repair, scores))
    }

    /// The undo: every name has again what it had.
    pub(super) fn is_undone(
        &self,
        tool: &Tool,
        repair: &ToolRun,
        claims: &mut Claims,
    ) -> Result<()> {
        let told =
            repair.stdout.lines().find_map(|line| line.strip_prefix("run ")?.split_once(':'));
        let (run, _) = told.context("the repair did not tell its name")?;
        tool.shown(&["undo", run, "-C", &self.conf()])?;
        let differences = self.wreckage.differences(&self.tree()?);
        claims.add("undo put every file back: same bytes, same times, same inodes", differences);
        Ok(())
    }

    /// What was undone can be done again.
    pub(super) fn is_repaired_again(&self, tool: &Tool, claims: &mut Claims) -> Result<()> {
        println!("And on third thoughts, without a plan:\n");
        tool.shown(&["-C", &self.conf(), "--all", "--check", "full", "-q"])?;
        let scores = scoreboard::scores(&self.shown, &self.server, &self.left);
        claims.add(
            "a repair after the undo brings all of it back again",
            scoreboard::shortfalls(&scores),
        );
        Ok(())
    }

    fn conf(&self) -> String {
        self.server.imapd_conf().display().to_string()
    }

    /// A path outside of the partition, where the operator keeps things.
    fn desk(&self, name: &str) -> String {
        self.server.path().join(DESK).join(name).display().to_string()
    }

    /// The partition without what the tool keeps.
    fn tree(&self) -> Result<Tree> {
        let mut tree = Tree::read(&self.server.spool())?;
        tree.entries.retain(|path, _| !path.starts_with(KEPT));
        // Its own time changes with the folder that the tool keeps in it.
        let root = self.wreckage.entries.get(Path::new(""));
        tree.entries.extend(root.map(|root| (PathBuf::new(), root.clone())));
        Ok(tree)
    }

    /// Contents that were on the partition after the damage and are nowhere on it now.
    fn vanished(&self) -> Result<Vec<String>> {
        let now = Tree::read(&self.server.spool())?;
        let contents: BTreeSet<Guid> = now.entries.values().map(|entry| entry.content).collect();
        let before = self.wreckage.entries.iter();
        let gone = before.filter(|(_, entry)| !contents.contains(&entry.content));
        Ok(gone.map(|(path, _)| format!("what {} held is gone", path.display())).collect())
    }
}
