//! `cargo xtask bench gapfill`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::index::{IndexHeader, IndexRecord, Layout};
use mailstore_format::mboxlist::name_to_db;
use mailstore_format::{Guid, ModSeq, Timestamp, Uid, UidValidity};

use super::measure::{Cost, median};
use crate::cargo::{Profile, build_program, workspace};
use crate::table::Table;

/// Of so many messages the live store lacks one.
const ONE_MISSING_IN: u32 = 1000;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sizes of the stores, in messages
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000")]
    messages: Vec<u32>,
    /// Messages of each mailbox
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    each: u32,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Where the trees are made [default: target/]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The gapfill to measure [default: this workspace's, built for release]
    #[arg(long, value_name = "PROGRAM")]
    gapfill: Option<PathBuf>,
    /// The rsync to compare with
    #[arg(long, value_name = "PROGRAM", default_value = "rsync")]
    rsync: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ours = match &arguments.gapfill {
        Some(program) => program.clone(),
        None => build_program("gapfill", Profile::Release)?,
    };
    let version = Command::new(&arguments.rsync).arg("--version").output();
    version.with_context(|| format!("{} does not run", arguments.rsync.display()))?;
    let heading = ["", "messages", "mailboxes", "seconds", "messages/s", "peak MiB", "times rsync"];
    let mut table = Table::new(&heading);
    for &messages in &arguments.messages {
        println!("xtask: two trees of {messages} messages");
        let parent = arguments.directory.clone().unwrap_or_else(|| workspace().join("target"));
        let trees = Trees::make(&parent, messages, arguments.each)?;
        let (mut of_ours, mut of_rsync) = (Vec::new(), Vec::new());
        // The first round fills the cache and does not count.
        for round in 0..=arguments.rounds {
            let (one, other) = (trees.gapfill(&ours)?, trees.rsync(&arguments.rsync)?);
            if round > 0 {
                of_ours.push(one);
                of_rsync.push(other);
            }
        }
        let seconds = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall));
        let (gapfill, rsync) = (seconds(&of_ours), seconds(&of_rsync));
        let (gapfill, rsync) = gapfill.zip(rsync).context("nothing was measured")?;
        let ratio = format!("{:.1}", rsync.as_secs_f64() / gapfill.as_secs_f64());
        for (name, wall, costs, ratio) in
            [("gapfill", gapfill, &of_ours, ratio), ("rsync -rcn", rsync, &of_rsync, "-".into())]
        {
            let peak = median(costs.iter().map(|cost| cost.peak_memory)).unwrap_or_default();
            table.row(vec![
                name.to_owned(),
                messages.to_string(),
                (messages / arguments.each).to_string(),
                format!("{:.2}", wall.as_secs_f64()),
                format!("{:.0}", f64::from(messages) / wall.as_secs_f64()),
                (peak >> 20).to_string(),
                ratio,
            ]);
        }
    }
    let cores = std::thread::available_parallelism()?;
    let built = match &arguments.gapfill {
        Some(program) => program.display().to_string(),
        None => "this workspace's gapfill, built for release".to_owned(),
    };
    let rounds = arguments.rounds;
    println!("\n{built}; {cores} cores, warm cache, medians of {rounds} rounds\n\n{table}");
    Ok(ExitCode::SUCCESS)
}

/// A rescued spool and a live store that lacks some of it. Message files are shared by hard links,
/// so that the cache holds both.
struct Trees {
    directory: tempfile::TempDir,
    missing: u32,
}

impl Trees {
    fn make(parent: &Path, messages: u32, each: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bench-gapfill-").tempdir_in(parent)?;
        let mut trees = Self { directory, missing: 0 };
        let (live, conf) = (trees.at("live"), trees.at("conf"));
        fs::create_dir_all(&conf)?;
        let mut list = Vec::new();
        for number in 0..messages / each {
            let first = number * each;
            trees.mailbox(number, first, each)?;
            let name = format!("user.u{number:06}");
            list.extend_from_slice(b"N");
            list.extend(name_to_db(name.as_bytes()));
            let id = uniqueid(number);
            let value = format!("\t%(T el I {id} P default V 7 M 1 A %(u{number:06} lrs))\n");
            list.extend(value.into_bytes());
        }
        fs::write(conf.join("mailboxes.db"), list)?;
        let text = format!(
            "configdirectory: {}\ndefaultpartition: default\npartition-default: {}\n",
            conf.display(),
            live.display()
        );
        fs::write(trees.at("imapd.conf"), text)?;
        Ok(trees)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A mailbox on both sides.
    fn mailbox(&mut self, number: u32, first: u32, messages: u32) -> Result<()> {
        let below = format!("user/u{number:06}");
        let (rescued, live) = (self.at("rescued").join(&below), self.at("live").join(&below));
        fs::create_dir_all(&rescued)?;
        fs::create_dir_all(&live)?;
        let (mut all, mut kept) = (Vec::new(), Vec::new());
        for uid in 1..=messages {
            let text = format!(
                "From: a@example.org\r\nTo: u{number:06}@example.org\r\nSubject: message {uid}\r\n\
                 Message-ID: <{number}.{uid}@example.org>\r\n\r\n{}\r\n",
                "It rained in Cologne. ".repeat(12)
            );
            let record = IndexRecord {
                uid: Uid(uid),
                guid: Guid::of(text.as_bytes()),
                size: u64::try_from(text.len())?,
                internaldate: Timestamp::from_seconds(1_700_000_000),
                modseq: ModSeq(u64::from(uid)),
                createdmodseq: ModSeq(u64::from(uid)),
                ..IndexRecord::default()
            };
            let file = rescued.join(format!("{uid}."));
            fs::write(&file, text)?;
            all.push(record);
            // The last ones of a mailbox: they came after the live store's state.
            if uid == messages && (first + uid).is_multiple_of(ONE_MISSING_IN) {
                self.missing += 1;
            } else {
                fs::hard_link(&file, live.join(format!("{uid}.")))?;
                kept.push(record);
            }
        }
        for (directory, records) in [(&rescued, &all), (&live, &kept)] {
            write_metadata(directory, number, records)?;
        }
        Ok(())
    }

    fn gapfill(&self, program: &Path) -> Result<Cost> {
        let mut command = Command::new(program);
        command.arg("--from").arg(self.at("rescued")).arg("--to").arg(self.at("imapd.conf"));
        let cost = Cost::of(command.arg("--quiet").env_remove("MAILSTORE_INCIDENT"))?;
        let expected = i32::from(self.missing > 0);
        ensure!(cost.status.code() == Some(expected), "gapfill: {}", cost.status);
        Ok(cost)
    }

    fn rsync(&self, program: &Path) -> Result<Cost> {
        let with_slash = |name: &str| format!("{}/", self.at(name).display());
        let mut command = Command::new(program);
        command
            .args(["-rcn", "--out-format=%n"])
            .arg(with_slash("rescued"))
            .arg(with_slash("live"));
        let cost = Cost::of(&mut command)?;
        ensure!(cost.status.success(), "rsync: {}", cost.status);
        Ok(cost)
    }
}

fn uniqueid(number: u32) -> String {
    format!("bench{number:019}")
}

fn write_metadata(directory: &Path, number: u32, records: &[IndexRecord]) -> Result<()> {
    let layout = Layout::of_version(17).context("version 17")?;
    let count = u32::try_from(records.len())?;
    let header = IndexHeader {
        num_records: count,
        exists: count,
        last_uid: records.last().map_or(Uid(0), |record| record.uid),
        uidvalidity: UidValidity(7),
        highestmodseq: ModSeq(u64::from(count)),
        ..IndexHeader::default()
    };
    let mut bytes = header.encode(layout);
    for record in records {
        record.encode_into(layout, &mut bytes);
    }
    fs::write(directory.join("cyrus.index"), bytes)?;
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.mbtype = Some(b"e".to_vec());
    header.name = Some(format!("user.u{number:06}").into_bytes());
    header.uniqueid = Some(uniqueid(number).into_bytes());
    header.acl = Some(format!("u{number:06}\tlrs\t").into_bytes());
    Ok(fs::write(directory.join("cyrus.header"), header.encode())?)
}
