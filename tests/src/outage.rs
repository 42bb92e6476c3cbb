//! Two servers that were one, and a ledger of what became of each copy of each message.
//!
//! The ledger knows nothing of files, records and UIDs but what the servers' replies say: it follows
//! each copy through both stores and says from that what a comparison must find.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::Guid;

use crate::configuration::{Layout, ServerOptions};
use crate::cyrus::Cyrus;
use crate::generate::Random;
use crate::imap::{ImapClient, Reply};
use crate::server::Server;
use crate::store::Store;
use crate::tool::{ToolRun, gapfill_command, incident_command};
use serde_json::Value;

/// The users.
pub const USERS: [&str; 2] = ["alice", "bob"];
/// Folders that both sides have, below each user's INBOX.
const FOLDERS: [&str; 4] = ["INBOX", "INBOX.Work", "INBOX.Old", "INBOX.Stale"];

/// How many messages each of them has at the fork.
const FIRST_COPIES: usize = 6;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one whose volume is rescued.
    Rescued,
    /// The one that users live on.
    Live,
}

/// Where a copy is on a side, by the name the folder had at the fork.
type At = Option<(String, u32)>;

/// One copy of a message.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Whose it is.
    pub user: &'static str,
    /// The SHA-1 of its bytes.
    pub guid: Guid,
    /// Where it is on the rescued side.
    pub rescued: At,
    /// Where it is on the live side.
    pub live: At,
    /// Where both sides had it at the fork.
    fork: At,
    /// Whether it was copied: then it is not moved or deleted, which would look like a move.
    copied: bool,
    /// Whether it was moved on a side: a copy of it is not then told from what was moved.
    moved: bool,
    /// Whether its flags changed on the rescued side alone.
    flagged: bool,
}

/// A gap as a comparison has to tell it: mailbox, GUID and class.
pub type Expected = (String, String, String);

/// Both servers and the ledger.
#[derive(Debug)]
pub struct World {
    /// The one whose volume is rescued.
    pub rescued: Server,
    /// The one that users live on.
    pub live: Server,
    /// Every copy of every message.
    pub copies: Vec<Copy>,
    random: Random,
    /// Every UID that the live side gave out, by user and folder.
    live_uids: BTreeSet<(&'static str, String, u32)>,
    /// Folders that only the rescued side has.
    new_folders: BTreeSet<String>,
    number: u32,
}

impl World {
    /// A server with some mail, and its copy, both running.
    pub fn fork(cyrus: &Cyrus, layout: Layout, seed: u64) -> Result<Self> {
        let options = ServerOptions::new(layout).with_conversations().in_memory();
        let rescued = Server::start(cyrus, options)?;
        let mut admin = rescued.admin()?;
        for user in USERS {
            admin.create(&format!("user.{user}"))?;
            let mut session = rescued.login(user)?;
            FOLDERS.iter().skip(1).try_for_each(|folder| session.create(folder))?;
        }
        let store = rescued.into_store()?;
        let live = Server::at_rest(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut world = Self {
            rescued,
            live,
            copies: Vec::new(),
            random: Random::new(seed),
            live_uids: BTreeSet::new(),
            new_folders: BTreeSet::new(),
            number: 0,
        };
        for user in USERS {
            for folder in FOLDERS {
                for _ in 0..FIRST_COPIES {
                    world.append(Side::Rescued, user, folder)?;
                }
            }
        }
        world.part()
    }

    /// From here on each side goes its own way: the live one begins as the rescued one is now.
    fn part(self) -> Result<Self> {
        let store = self.rescued.into_store()?;
        let live = Server::serve(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut world = Self { rescued, live, ..self };
        for copy in &mut world.copies {
            (copy.live, copy.fork) = (copy.rescued.clone(), copy.rescued.clone());
            if let Some((folder, uid)) = &copy.live {
                world.live_uids.insert((copy.user, folder.clone(), *uid));
            }
        }
        Ok(world)
    }

    fn server(&self, side: Side) -> &Server {
        match side {
            Side::Rescued => &self.rescued,
            Side::Live => &self.live,
        }
    }

    fn session(&self, side: Side, user: &str, folder: &str) -> Result<ImapClient> {
        let mut session = self.server(side).login(user)?;
        session.select(folder)?;
        Ok(session)
    }

    fn text(&mut self, user: &str) -> Vec<u8> {
        self.number += 1;
        let number = self.number;
        format!(
            "From: sender@example.com\r\nTo: {user}@example.com\r\nSubject: number {number}\r\n\
             Message-ID: <{number}@example.com>\r\n\r\nThis is message {number}.\r\n"
        )
        .into_bytes()
    }

    /// APPENDs a new message.
    pub fn append(&mut self, side: Side, user: &'static str, folder: &str) -> Result<()> {
        let text = self.text(user);
        self.append_text(side, user, folder, &text)
    }

    fn append_text(
        &mut self,
        side: Side,
        user: &'static str,
        folder: &str,
        text: &[u8],
    ) -> Result<()> {
        let (flags, date) = looks_of(self.number);
        let uid = self.server(side).login(user)?.append(folder, flags, date, text)?;
        self.add(side, user, folder, uid, Guid::of(text));
        Ok(())
    }

    fn add(&mut self, side: Side, user: &'static str, folder: &str, uid: u32, guid: Guid) {
        let at = Some((folder.to_owned(), uid));
        let (rescued, live) = match side {
            Side::Rescued => (at, None),
            Side::Live => (None, at),
        };
        if side == Side::Live {
            self.live_uids.insert((user, folder.to_owned(), uid));
        }
        let copy = Copy {
            user,
            guid,
            rescued,
            live,
            fork: None,
            copied: false,
            moved: false,
            flagged: false,
        };
        self.copies.push(copy);
    }

    /// APPENDs the same bytes twice, with other flags and the same date: of equal messages it
    /// depends on their order which date the server's threads have.
    fn append_twice(&mut self, side: Side, user: &'static str, folder: &str) -> Result<()> {
        // Even numbers have a date of their own.
        self.number |= 1;
        let text = self.text(user);
        self.append_text(side, user, folder, &text)?;
        self.number += 2;
        self.append_text(side, user, folder, &text)
    }

    /// Delivers by LMTP, which adds header fields.
    fn deliver(&mut self, side: Side, user: &'static str) -> Result<()> {
        let text = self.text(user);
        let (code, said) = self.server(side).lmtp()?.deliver(user, &text)?;
        ensure!(code == 250, "{code} {said}");
        let mut session = self.session(side, user, "INBOX")?;
        let uid = session.search("ALL")?.into_iter().max().context("a message")?;
        let fetched = session.fetch(&uid.to_string(), "(BODY.PEEK[])")?;
        let body = fetched.first().context("a body")?.item("BODY[]")?;
        let guid = Guid::of(body.bytes().context("a literal")?);
        self.add(side, user, "INBOX", uid, guid);
        Ok(())
    }

    /// A copy that is on this side and can be moved or deleted.
    fn choose(&mut self, side: Side) -> Option<usize> {
        let at = |copy: &Copy| match side {
            Side::Rescued => copy.rescued.clone(),
            Side::Live => copy.live.clone(),
        };
        let free: Vec<usize> = (0..self.copies.len())
            .filter(|&n| {
                let copy = &self.copies[n];
                let movable = |(folder, _): (String, u32)| {
                    folder != "INBOX.Old"
                        && folder != "INBOX.Stale"
                        && !self.new_folders.contains(&folder)
                };
                !copy.copied && !copy.flagged && at(copy).is_some_and(movable)
            })
            .collect();
        (!free.is_empty()).then(|| free[self.random.below(free.len())])
    }

    fn place(&self, side: Side, n: usize) -> Result<(String, u32)> {
        let copy = &self.copies[n];
        let at = if side == Side::Rescued { &copy.rescued } else { &copy.live };
        at.clone().context("a copy that is on this side")
    }

    fn set(&mut self, side: Side, n: usize, at: At) {
        if let (Side::Live, Some((folder, uid))) = (side, &at) {
            self.live_uids.insert((self.copies[n].user, folder.clone(), *uid));
        }
        let copy = &mut self.copies[n];
        *(if side == Side::Rescued { &mut copy.rescued } else { &mut copy.live }) = at;
    }

    fn expunge(&mut self, side: Side) -> Result<()> {
        let Some(n) = self.choose(side) else { return Ok(()) };
        let (folder, uid) = self.place(side, n)?;
        let mut session = self.session(side, self.copies[n].user, &folder)?;
        session.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
        session.ok(&format!("UID EXPUNGE {uid}"))?;
        self.set(side, n, None);
        Ok(())
    }

    fn move_one(&mut self, side: Side) -> Result<()> {
        let Some(n) = self.choose(side) else { return Ok(()) };
        let (folder, uid) = self.place(side, n)?;
        let to = other_folder(&folder);
        let mut session = self.session(side, self.copies[n].user, &folder)?;
        let reply = session.move_to(&uid.to_string(), to)?;
        self.copies[n].moved = true;
        self.set(side, n, Some((to.to_owned(), new_uid(&reply)?)));
        Ok(())
    }

    fn copy_one(&mut self, side: Side) -> Result<()> {
        let Some(n) = self.choose(side).filter(|&n| !self.copies[n].moved) else { return Ok(()) };
        let (folder, uid) = self.place(side, n)?;
        let to = other_folder(&folder);
        let Copy { user, guid, .. } = self.copies[n];
        let reply = self.session(side, user, &folder)?.copy(&uid.to_string(), to)?;
        self.copies[n].copied = true;
        self.add(side, user, to, new_uid(&reply)?, guid);
        if let Some(copy) = self.copies.last_mut() {
            copy.copied = true;
        }
        Ok(())
    }

    /// Flags a message that both sides have in one place, on the rescued side.
    fn flag(&mut self) -> Result<()> {
        let Some(n) = self.choose(Side::Rescued) else { return Ok(()) };
        if self.copies[n].moved || self.copies[n].rescued != self.copies[n].live {
            return Ok(());
        }
        let (folder, uid) = self.place(Side::Rescued, n)?;
        let mut session = self.session(Side::Rescued, self.copies[n].user, &folder)?;
        session.store(&uid.to_string(), "+FLAGS (\\Flagged)")?;
        self.copies[n].flagged = true;
        Ok(())
    }

    /// A day of mail on the rescued side, and then what came and what users did on the live one.
    pub fn traffic(&mut self, steps: usize) -> Result<()> {
        self.traffic_on(Side::Rescued, steps)?;
        // Indexes tell time in whole seconds, and an outage takes longer than one.
        std::thread::sleep(Duration::from_millis(1100));
        self.traffic_on(Side::Live, steps / 2)
    }

    fn traffic_on(&mut self, side: Side, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let user = *self.random.pick(&[&USERS[0], &USERS[1]]);
            match self.random.below(9) {
                0 | 1 => self.deliver(side, user)?,
                2 => self.append(side, user, "INBOX.Work")?,
                3 => self.append_twice(side, user, "INBOX")?,
                4 => self.copy_one(side)?,
                5 | 6 => self.move_one(side)?,
                7 => self.expunge(side)?,
                _ if side == Side::Rescued => self.flag()?,
                _ => self.expunge(side)?,
            }
        }
        Ok(())
    }

    /// What happens to whole folders: one is renamed, one deleted on each side after it got mail,
    /// one made with mail.
    pub fn folders(&mut self) -> Result<()> {
        let user = USERS[0];
        self.append(Side::Rescued, user, "INBOX.Old")?;
        self.append(Side::Rescued, user, "INBOX.Stale")?;
        let mut rescued = self.rescued.login(user)?;
        rescued.create("INBOX.New")?;
        self.new_folders.insert("INBOX.New".to_owned());
        self.append(Side::Rescued, user, "INBOX.New")?;
        self.append(Side::Rescued, user, "INBOX.New")?;
        rescued.rename("INBOX.Work", "INBOX.Projects")?;
        rescued.delete("INBOX.Old")?;
        self.live.login(user)?.delete("INBOX.Stale")?;
        Ok(())
    }

    /// Stops the rescued side; a copy of its tree.
    pub fn rescue(self) -> Result<(Store, Ledger, Server)> {
        let ledger = Ledger {
            copies: self.copies,
            live_uids: self.live_uids,
            new_folders: self.new_folders,
        };
        Ok((self.rescued.into_store()?, ledger, self.live))
    }
}

/// The flags and the date with which the message of this number is appended.
fn looks_of(number: u32) -> (&'static [&'static str], Option<&'static str>) {
    let flags: &[&str] = match number % 3 {
        0 => &["\\Answered", "later", "$Work"],
        1 => &["\\Seen"],
        _ => &[],
    };
    (flags, number.is_multiple_of(2).then_some("07-Nov-2006 10:11:12 +0100"))
}

fn other_folder(folder: &str) -> &'static str {
    if folder == "INBOX" { "INBOX.Work" } else { "INBOX" }
}

fn new_uid(reply: &Reply) -> Result<u32> {
    let code = reply.code("COPYUID").context("no COPYUID")?;
    Ok(code.rsplit(' ').next().context("half a COPYUID")?.parse()?)
}

/// What became of each copy.
#[derive(Debug)]
pub struct Ledger {
    /// Every copy of every message.
    pub copies: Vec<Copy>,
    live_uids: BTreeSet<(&'static str, String, u32)>,
    new_folders: BTreeSet<String>,
}

impl Ledger {
    /// The class of a copy, where anything is to be told of it.
    #[must_use]
    pub fn class(&self, copy: &Copy) -> Option<&'static str> {
        let deleted_later = |folder: &str| {
            copy.user == USERS[0] && (folder == "INBOX.Old" || folder == "INBOX.Stale")
        };
        match (&copy.rescued, &copy.live) {
            (Some(rescued), Some(live)) if rescued.0 == live.0 => {
                copy.flagged.then_some("state-behind")
            }
            (Some(_), Some(_)) => Some("moved"),
            (Some((folder, _)), None) if deleted_later(folder) => None,
            (Some(_), None) if copy.fork.is_some() => Some("deleted"),
            (Some((folder, _)), None) if self.new_folders.contains(folder) => None,
            (Some((folder, uid)), None) => {
                let taken = self.live_uids.contains(&(copy.user, folder.clone(), *uid));
                Some(if taken { "uid-taken" } else { "missing" })
            }
            // Whoever moved it since wants it.
            (None, Some(_)) if copy.live == copy.fork => Some("state-behind"),
            (None, _) => None,
        }
    }

    /// The mailbox, as the live server's operators call it, that a copy is told under.
    fn mailbox(copy: &Copy) -> String {
        let at = copy.rescued.as_ref().or(copy.live.as_ref());
        let folder = at.map_or("INBOX", |(folder, _)| folder.as_str());
        folder.replacen("INBOX", &format!("user.{}", copy.user), 1)
    }

    /// All that a comparison has to tell of single messages, sorted.
    #[must_use]
    pub fn expected(&self) -> Vec<Expected> {
        let told = self.copies.iter().filter_map(|copy| {
            let class = self.class(copy)?;
            Some((Self::mailbox(copy), copy.guid.to_string(), class.to_owned()))
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    }
}

/// A run of `gapfill` on the live server's store.
pub fn gapfill(live: &Store, from: &[PathBuf], arguments: &[&str]) -> Result<ToolRun> {
    let mut command = gapfill_command()?;
    for path in from {
        command.arg("--from").arg(path);
    }
    command.arg("--to").arg(live.imapd_conf()).args(arguments).arg("--json");
    command.env("CYRUS_USER", &live.cyrus().account().name);
    ToolRun::of(&command.output().context("can't run gapfill")?).parsed()
}

/// Makes an incident about a live server's store in `directory`.
pub fn new_incident(live: &Store, directory: &Path) -> Result<()> {
    let mut command = incident_command()?;
    command.env("CYRUS_USER", &live.cyrus().account().name);
    let output = command.arg("new").arg(directory).arg("-C").arg(live.imapd_conf()).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// The lines of an incident's export that have this type.
pub fn exported(live: &Store, incident: &Path, line_type: &str) -> Result<Vec<Value>> {
    let mut command = incident_command()?;
    command.env("CYRUS_USER", &live.cyrus().account().name);
    let output = command.arg("export").arg(incident).arg("--json").output()?;
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let lines = lines.collect::<serde_json::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| line["type"] == line_type).collect())
}

/// What a run told of single messages, sorted.
#[must_use]
pub fn told(run: &ToolRun) -> Vec<Expected> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_message = |line: &&Value| line["type"] == "gap" && line["guid"] != "0".repeat(40);
    let lines = run.json.iter().filter(of_message);
    let mut told: Vec<_> =
        lines.map(|l| (text(&l["mailbox"]), text(&l["guid"]), text(&l["class"]))).collect();
    told.sort();
    told
}

/// What a run told of whole mailboxes: class and number of messages by mailbox.
#[must_use]
pub fn told_of_mailboxes(run: &ToolRun) -> BTreeMap<String, (String, u64)> {
    let of_mailbox = |line: &&Value| line["type"] == "gap" && line["guid"] == "0".repeat(40);
    let lines = run.json.iter().filter(of_mailbox).map(|line| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (text("mailbox"), (text("class"), line["messages"].as_u64().unwrap_or_default()))
    });
    lines.collect()
}
