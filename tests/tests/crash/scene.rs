//! A server with one mailbox after the other that all hold the same and are damaged alike, so that
//! each interrupted repair can be compared with one that nobody disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::Guid;
use mailstore_format::header_file::HeaderFile;
use mailstore_tests::generate::{Messages, Random};
use mailstore_tests::{
    Cyrus, ImapClient, IndexImage, Layout, NewMessage, Reconstruct, Server, ServerOptions, Status,
    ToolRun, Tree, Value, judge,
};
use serde_json::Value as Json;

const SEED: u64 = 9_000;
const RUN: &str = "interrupted";
/// What every mailbox holds before it is damaged: UIDs 1 to 14, of which these were expunged.
const MESSAGES: usize = 14;
const EXPUNGED: &str = "4,14";
/// The message whose record is lost, and those whose files are.
const WITHOUT_RECORD: u32 = 7;
const WITHOUT_FILE: [u32; 2] = [5, 9];
/// A keyword that is set on messages when its name is lost.
const LOST_KEYWORD: &str = "projekt-x";

/// What is wrong with a mailbox, and so what its repair has to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A new index and a new cache.
    CacheGarbage,
    /// The same from nothing.
    IndexLost,
    /// A new `cyrus.header` as well.
    KeywordUnnamed,
    /// A message has to be given a new UID, and so a new name.
    RecordLost,
    /// Records are to be pruned, and come back when their messages do.
    MessagesMissing,
    /// Messages are to be put under the names of their records: two that changed places, three that
    /// did so in a circle, one with other line ends, and one under a bad name beside a dangling link.
    Misplaced,
}

/// The server and what is put on it.
pub(crate) struct Scene {
    server: Server,
    messages: Vec<NewMessage>,
    cases: usize,
}

impl Scene {
    pub(crate) fn new(cyrus: &Cyrus, layout: Layout) -> Result<Self> {
        eprintln!("mailboxes of seed {SEED}");
        let server = Server::start(cyrus, ServerOptions::new(layout).in_memory())?;
        server.admin()?.create("user.alice")?;
        let (mut messages, mut random) = (Messages::new(SEED), Random::new(SEED));
        let mut new_message = |number: usize| {
            let mut flags = random.some_of(&["\\Seen", "\\Answered", "\\Flagged"], 2);
            flags.extend(random.some_of(&["$Forwarded", "later", LOST_KEYWORD], 2));
            if number == 0 {
                flags.push(LOST_KEYWORD.into());
            }
            NewMessage {
                flags,
                internaldate: Some(messages.internaldate()),
                bytes: messages.message(),
            }
        };
        let messages = (0..MESSAGES).map(&mut new_message).collect();
        Ok(Self { server, messages, cases: 0 })
    }

    /// A new mailbox with this damage.
    pub(crate) fn damaged(&mut self, damage: Damage) -> Result<Case> {
        self.cases += 1;
        let name = format!("case{:03}", self.cases);
        let folder = format!("INBOX.{name}");
        let mut session = self.server.login("alice")?;
        session.create(&folder)?;
        session.append_all(&folder, &self.messages)?;
        session.select(&folder)?;
        session.store(EXPUNGED, "+FLAGS (\\Deleted)")?;
        session.expunge()?;
        session.store("3", "+FLAGS (\\Deleted \\Seen)")?;
        session.ok("UID STORE 5 ANNOTATION (/comment (value.shared \"remember this\"))")?;
        session.unselect()?;
        let intact = Served::by(&mut session, &folder)?;
        session.logout()?;
        ensure!(matches!(intact, Served::Mailbox { .. }), "the server refuses its own mailbox");

        let mailbox = format!("user.alice.{name}");
        let directory = self.server.mailbox_dir(&mailbox)?;
        let case = Case { mailbox, folder, directory, damage, intact };
        case.inflict(self)?;
        Ok(case)
    }

    /// Removes all that runs left, so that the next case begins on a partition without any.
    pub(crate) fn clear_runs(&self) -> Result<()> {
        let kept = self.server.spool().join(".mailstore-recovery");
        fs::remove_dir_all(kept).context("no run kept anything")
    }

    /// Nothing has died meanwhile, and Cyrus has nothing to say against any of the mailboxes.
    pub(crate) fn end(self) -> Result<()> {
        ensure!(self.server.deaths().is_empty(), "deaths: {:?}", self.server.deaths());
        let store = self.server.into_store()?;
        let verdict = judge(&store)?;
        ensure!(verdict.is_clean(), "Cyrus's opinion:\n{verdict}");
        Ok(())
    }
}

/// A damaged mailbox.
pub(crate) struct Case {
    mailbox: String,
    folder: String,
    directory: PathBuf,
    pub(crate) damage: Damage,
    /// As it was served before the damage.
    pub(crate) intact: Served,
}

impl Case {
    fn inflict(&self, scene: &Scene) -> Result<()> {
        let at = |name: &str| self.directory.join(name);
        match self.damage {
            Damage::CacheGarbage => self.scramble_cache()?,
            Damage::IndexLost => fs::remove_file(at("cyrus.index"))?,
            Damage::KeywordUnnamed => {
                self.scramble_cache()?;
                let mut header = HeaderFile::decode(&fs::read(at("cyrus.header"))?)?;
                let slot = header.flag_names.slot_of(LOST_KEYWORD.as_bytes());
                header.flag_names.set(slot.context("the keyword is in use")?, None);
                let bytes = header.encode();
                fs::write(at("cyrus.header"), &bytes)?;
                let mut index = IndexImage::read(&self.directory)?;
                index.set_header("header_file_crc", crc32fast::hash(&bytes).into())?;
                index.write()?;
            }
            Damage::RecordLost => {
                let mut index = IndexImage::read(&self.directory)?;
                index.remove_record(WITHOUT_RECORD)?;
                index.set_header("exists", index.header("exists")? - 1)?;
                index.write()?;
            }
            Damage::MessagesMissing => {
                for uid in WITHOUT_FILE {
                    fs::rename(at(&format!("{uid}.")), self.away(scene, uid))?;
                }
            }
            Damage::Misplaced => self.misplace()?,
        }
        Ok(())
    }

    fn misplace(&self) -> Result<()> {
        let at = |name: &str| self.directory.join(name);
        let circles: [&[&str]; 2] = [&["1.", "2."], &["5.", "6.", "8."]];
        for circle in circles {
            let first = circle.first().context("a circle of none")?;
            fs::rename(at(first), at("between"))?;
            for (to, from) in circle.iter().zip(circle.iter().skip(1)) {
                fs::rename(at(from), at(to))?;
            }
            fs::rename(at("between"), at(circle.last().context("a circle of none")?))?;
        }
        let bytes: Vec<u8> =
            fs::read(at("11."))?.into_iter().filter(|byte| *byte != b'\r').collect();
        fs::write(at("11."), bytes)?;
        fs::rename(at("12."), at("0012."))?;
        std::os::unix::fs::symlink("/nowhere/at/all", at("12.")).context("making a link")
    }

    fn scramble_cache(&self) -> Result<()> {
        let path = self.directory.join("cyrus.cache");
        let length = fs::read(&path)?.len();
        let mut random = Random::new(SEED);
        let garbage: Vec<u8> =
            std::iter::repeat_with(|| random.bits().to_be_bytes()).flatten().take(length).collect();
        fs::write(path, garbage).context("scrambling a cache")
    }

    fn away(&self, scene: &Scene, uid: u32) -> PathBuf {
        scene.server.path().join(format!("{}-{uid}", self.mailbox))
    }

    /// Every entry of its directory.
    pub(crate) fn tree(&self) -> Result<Tree> {
        Tree::read(&self.directory)
    }

    /// A message comes, and a flag is set.
    pub(crate) fn go_on_living(&self, scene: &Scene) -> Result<()> {
        let message = scene.messages.first().context("there are messages")?;
        let mut session = scene.server.login("alice")?;
        session.append_all(&self.folder, std::slice::from_ref(message))?;
        session.select(&self.folder)?;
        session.ok("UID STORE 2 +FLAGS (\\Flagged $Since)")?;
        session.unselect()?;
        session.logout()
    }

    /// Its index, and what the server shows of it.
    pub(crate) fn state(&self, scene: &Scene) -> Result<State> {
        let index = fs::read(self.directory.join("cyrus.index")).ok();
        let mut session = scene.server.login("alice")?;
        let served = Served::by(&mut session, &self.folder)?;
        session.logout()?;
        Ok(State { index, served })
    }

    /// Repairs it through the library up to `end` (see `repair_to_step`).
    pub(crate) fn repair_to(&self, scene: &Scene, end: &str) -> Result<Interrupted> {
        let prune = if self.damage == Damage::MessagesMissing { "prune" } else { "keep" };
        self.work_to(scene, RUN, prune, end)
    }

    /// Undoes the repair through the library up to `end`; merging, where that is asked for.
    pub(crate) fn undo_to(&self, scene: &Scene, merge: bool, end: &str) -> Result<Interrupted> {
        let work = if merge { "merge" } else { "undo" };
        self.work_to(scene, "undoing", &format!("{work}={RUN}"), end)
    }

    fn work_to(&self, scene: &Scene, run: &str, work: &str, end: &str) -> Result<Interrupted> {
        let store = &scene.server;
        let output = Command::new(env!("CARGO_BIN_EXE_repair_to_step"))
            .arg(store.imapd_conf())
            .args([&self.mailbox, run, work, end])
            .env("CYRUS_USER", &store.cyrus().account().name)
            .env("TZ", &store.options().timezone)
            .output()
            .context("can't run repair_to_step")?;
        Ok(Interrupted {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs the command on it, with `--prune` where the damage calls for it.
    pub(crate) fn reconstruct(&self, scene: &Scene, arguments: &[&str]) -> Result<ToolRun> {
        let prune = (self.damage == Damage::MessagesMissing).then_some("--prune");
        let tool = Reconstruct::new(&scene.server).args(["--mailbox", &self.mailbox]);
        tool.args(prune).args(arguments).run()
    }

    /// A full check finds nothing to do.
    pub(crate) fn must_be_sound(&self, scene: &Scene) -> Result<()> {
        let run = self.reconstruct(scene, &["--json", "-n", "--check", "full"])?;
        let state = &run.mailbox(&self.mailbox)["state"];
        ensure!(run.status == Some(0) && state == "sound", "damage is left: {run:?}");
        Ok(())
    }

    /// Where records have been pruned, all of them can be read in a journal.
    pub(crate) fn must_have_journal(&self, scene: &Scene) -> Result<()> {
        if self.damage != Damage::MessagesMissing {
            return Ok(());
        }
        let mut journaled = Vec::new();
        for run in fs::read_dir(scene.server.spool().join(".mailstore-recovery"))? {
            for mailbox in fs::read_dir(run?.path())? {
                let journal = mailbox?.path().join("journal.jsonl");
                let text = fs::read_to_string(journal).unwrap_or_default();
                let lines = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
                journaled.extend(lines.filter_map(|line| line["uid"].as_u64()));
            }
        }
        let is_journaled = |uid: &u32| journaled.contains(&u64::from(*uid));
        ensure!(WITHOUT_FILE.iter().all(is_journaled), "the journals have {journaled:?} only");
        Ok(())
    }

    /// Puts back what was missing: all must be as it was before.
    pub(crate) fn undo(&self, scene: &Scene) -> Result<()> {
        if self.damage != Damage::MessagesMissing {
            return Ok(());
        }
        for uid in WITHOUT_FILE {
            fs::rename(self.away(scene, uid), self.directory.join(format!("{uid}.")))?;
        }
        let run = self.reconstruct(scene, &["--json"])?;
        ensure!(run.status == Some(0), "the run after the messages' return: {run:?}");
        let differences = self.intact.differences(&self.state(scene)?.served);
        ensure!(differences.is_empty(), "not as before the prune: {differences:?}\n{run:?}");
        Ok(())
    }
}

/// What became of a run of `repair_to_step`.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    stdout: String,
    #[allow(dead_code, reason = "shown where a test fails")]
    stderr: String,
}

impl Interrupted {
    /// The steps that it came to.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.stdout.lines().filter(|line| !line.starts_with('{')).map(String::from).collect()
    }

    /// What it said of the mailbox.
    pub(crate) fn report(&self) -> Result<Json> {
        let line = self.stdout.lines().last().context("it printed nothing")?;
        serde_json::from_str(line).with_context(|| format!("no report: {line}"))
    }
}

/// A mailbox at one time.
pub(crate) struct State {
    /// The bytes of `cyrus.index`; none where there is no such file.
    pub(crate) index: Option<Vec<u8>>,
    pub(crate) served: Served,
}

/// A mailbox as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// The server opens it.
    Mailbox {
        uidvalidity: u32,
        uidnext: u32,
        highestmodseq: u64,
        /// By UID: what it is, and its modseq.
        messages: BTreeMap<u32, (Vec<String>, u64)>,
    },
    /// The server does not.
    Refused(String),
}

impl Served {
    fn by(session: &mut ImapClient, folder: &str) -> Result<Self> {
        let opened = session.command(&format!("EXAMINE {}", mailstore_tests::quoted(folder)))?;
        if opened.status != Status::Ok {
            return Ok(Self::Refused(opened.text));
        }
        let selected = session.examine(folder)?;
        let items = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE MODSEQ \
                     ANNOTATION (/comment value.shared))";
        let mut messages = BTreeMap::new();
        for fetched in session.fetch("1:*", items)? {
            let text = |name: &str| fetched.item(name).map(Value::to_string);
            let mut facts = vec![fetched.flags()?.join(" ")];
            for name in ["INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "ANNOTATION"] {
                facts.push(text(name)?);
            }
            messages.insert(fetched.uid()?, (facts, fetched.number("MODSEQ")?));
        }
        let uids: Vec<u32> = messages.keys().copied().collect();
        let fetch = |uid| session.start(format!("UID FETCH {uid} (BODY.PEEK[])").as_bytes());
        let tags = uids.iter().map(fetch).collect::<Result<Vec<_>>>()?;
        for (uid, tag) in uids.iter().zip(tags) {
            let reply = session.finish(&tag)?;
            let fetched = reply.fetched()?;
            let body = fetched.iter().find_map(|message| message.item("BODY[]").ok()?.bytes());
            let body = body.map_or("no body".into(), |body| Guid::of(body).to_string());
            messages.entry(*uid).or_default().0.push(body);
        }
        session.unselect()?;
        Ok(Self::Mailbox {
            uidvalidity: selected.uidvalidity,
            uidnext: selected.uidnext,
            highestmodseq: selected.highestmodseq,
            messages,
        })
    }

    /// Messages that are served neither as `before` nor as `after`; UIDVALIDITY and modseqs aside.
    pub(crate) fn outside_of(&self, before: &Self, after: &Self) -> Vec<String> {
        let messages = |served: &Self| match served {
            Self::Mailbox { messages, .. } => messages.clone(),
            Self::Refused(_) => BTreeMap::new(),
        };
        if let Self::Refused(why) = self {
            let alike = matches!(before, Self::Refused(_)) || matches!(after, Self::Refused(_));
            return if alike { Vec::new() } else { vec![why.clone()] };
        }
        let (now, before, after) = (messages(self), messages(before), messages(after));
        let uids: BTreeSet<u32> =
            now.keys().chain(before.keys()).chain(after.keys()).copied().collect();
        let facts = |messages: &BTreeMap<u32, (Vec<String>, u64)>, uid: u32| {
            messages.get(&uid).map(|(facts, _)| facts.clone())
        };
        let outside = uids
            .into_iter()
            .filter(|&uid| ![facts(&before, uid), facts(&after, uid)].contains(&facts(&now, uid)));
        outside.map(|uid| format!("UID {uid}: {:?}", facts(&now, uid))).collect()
    }

    /// How `other`, another mailbox with the same history, differs; UIDVALIDITY and modseqs aside.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let (
            Self::Mailbox { uidnext, messages, .. },
            Self::Mailbox { uidnext: other_uidnext, messages: others, .. },
        ) = (self, other)
        else {
            return vec![format!("{self:?} against {other:?}")];
        };
        let mut found = Vec::new();
        if uidnext != other_uidnext {
            found.push(format!("UIDNEXT {uidnext} and {other_uidnext}"));
        }
        for (uid, (facts, _)) in messages {
            match others.get(uid) {
                None => found.push(format!("UID {uid} is gone")),
                Some((other, _)) if other != facts => {
                    found.push(format!("UID {uid}: {facts:?} and {other:?}"));
                }
                Some(_) => {}
            }
        }
        let new = others.keys().filter(|uid| !messages.contains_key(uid));
        found.extend(new.map(|uid| format!("UID {uid} is new")));
        found
    }

    /// What clients remember of `before` is still true.
    pub(crate) fn must_not_fall_below(&self, before: &Self) -> Result<()> {
        let (
            Self::Mailbox { uidvalidity, uidnext, highestmodseq, .. },
            Self::Mailbox {
                uidvalidity: old_uidvalidity,
                uidnext: old_uidnext,
                highestmodseq: old_highest,
                ..
            },
        ) = (self, before)
        else {
            anyhow::bail!("{self:?} after {before:?}");
        };
        ensure!(uidvalidity == old_uidvalidity, "another UIDVALIDITY");
        ensure!(uidnext >= old_uidnext, "UIDNEXT fell from {old_uidnext} to {uidnext}");
        ensure!(highestmodseq >= old_highest, "HIGHESTMODSEQ fell");
        Ok(())
    }
}
