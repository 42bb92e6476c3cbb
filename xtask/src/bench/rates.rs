//! `cargo xtask bench rates`: how long reconstruct takes for mailboxes of many sizes.
//!
//! Its rows are what the estimates of rebuildq are tried on.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use mailstore::replace::FileOps;
use mailstore_format::Guid;
use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::index::IndexFile;
use mailstore_tests::generate::Random;
use reconstruct::triage::{MailboxTriage, triage};
use reconstruct::{
    MailboxReport, Observer, Options, Progress, Run, Silent, Site, State, Target, Workshop,
};
use rustix::fs::{Advice, fadvise};

use super::mail::Mail;

/// No mailbox has more messages.
const LARGEST: f64 = 4000.0;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Mailboxes in each of the circumstances
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u16).range(4..))]
    mailboxes: u16,
    /// Where they are made, one circumstance after the other; the disk that is measured
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Where the rows go
    #[arg(long, value_name = "FILE", default_value = "crates/rebuildq/testdata/rates.tsv")]
    write: PathBuf,
}

/// Under what circumstances mailboxes are rebuilt.
#[derive(Debug, Clone, Copy)]
struct Circumstances {
    name: &'static str,
    at_once: usize,
    /// Nothing of the messages is in memory.
    is_cold: bool,
    /// Threads that hash and write beside.
    load: usize,
}

const CIRCUMSTANCES: [Circumstances; 6] = [
    Circumstances { name: "warm", at_once: 1, is_cold: false, load: 0 },
    Circumstances { name: "warm", at_once: 2, is_cold: false, load: 0 },
    Circumstances { name: "warm", at_once: 4, is_cold: false, load: 0 },
    Circumstances { name: "cold", at_once: 2, is_cold: true, load: 0 },
    Circumstances { name: "loaded", at_once: 2, is_cold: false, load: 2 },
    Circumstances { name: "loaded", at_once: 4, is_cold: false, load: 2 },
];

/// What a mailbox lacks.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Its index: every message is read.
    Index,
    /// Every second record.
    Records,
    /// Its cache.
    Cache,
    /// The CRC of its index's header: no message is read.
    Header,
}

impl Damage {
    const ALL: [Self; 4] = [Self::Index, Self::Records, Self::Cache, Self::Header];

    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Records => "records",
            Self::Cache => "cache",
            Self::Header => "header",
        }
    }

    /// Inflicts it on a mailbox that is sound.
    fn inflict(self, mailbox: &Path) -> Result<()> {
        let index = mailbox.join("cyrus.index");
        match self {
            Self::Index => fs::remove_file(index)?,
            Self::Cache => fs::remove_file(mailbox.join("cyrus.cache"))?,
            Self::Records | Self::Header => {
                let mut bytes = fs::read(&index)?;
                let header = IndexFile::open(&bytes)?.header().clone();
                let (first, size) = (header.start_offset as usize, header.record_size as usize);
                let starts = (first..bytes.len()).step_by(2 * size);
                let hit = match self {
                    Self::Records => starts.map(|start| start + 8).collect(),
                    _ => vec![first - 1],
                };
                for at in hit {
                    bytes[at] ^= 0x55;
                }
                fs::write(index, bytes)?;
            }
        }
        Ok(())
    }
}

/// One mailbox as triage saw it, and what its repair was.
struct Row {
    damage: Damage,
    told: MailboxTriage,
    read: u64,
    bytes_read: u64,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut rows = String::from(
        "# Made by `cargo xtask bench rates`: mailboxes of mail of about 15 KB each, damaged, and \
         repaired by reconstruct's library with one reading thread each, `at_once` of them at a time. \
         to_read and bytes_to_read are what triage told before.\n\
         circumstances\tat_once\tdamage\tmessages\tto_read\tbytes_to_read\tread\tbytes_read\tseconds\n",
    );
    for (number, circumstances) in CIRCUMSTANCES.into_iter().enumerate() {
        println!("{} × {} …", circumstances.at_once, circumstances.name);
        let directory = match &arguments.directory {
            Some(directory) => tempfile::tempdir_in(directory)?,
            None => tempfile::tempdir()?,
        };
        let seed = 1 + number as u64;
        for row in measure(circumstances, directory.path(), arguments.mailboxes, seed)? {
            let Row { damage, told, read, bytes_read, seconds } = row;
            writeln!(
                rows,
                "{}\t{}\t{}\t{}\t{}\t{}\t{read}\t{bytes_read}\t{seconds:.6}",
                circumstances.name,
                circumstances.at_once,
                damage.name(),
                told.messages,
                told.to_read,
                told.bytes_to_read,
            )?;
        }
    }
    let shown = arguments.write.display();
    fs::write(&arguments.write, rows).with_context(|| format!("can't write {shown}"))?;
    println!("{shown}");
    Ok(ExitCode::SUCCESS)
}

fn measure(
    circumstances: Circumstances,
    directory: &Path,
    mailboxes: u16,
    seed: u64,
) -> Result<Vec<Row>> {
    let mut mail = Mail::new(seed);
    let mut random = Random::new(seed);
    let mut made = Vec::new();
    for number in 0..usize::from(mailboxes) {
        let mailbox = directory.join(number.to_string()).join("mailbox");
        fs::create_dir_all(&mailbox)?;
        for uid in 1..=size(&mut random) {
            fs::write(mailbox.join(format!("{uid}.")), mail.message())?;
        }
        fs::write(mailbox.join("cyrus.header"), header_file(number))?;
        repair(&mailbox, "make", &Silent);
        let damage = Damage::ALL[number % Damage::ALL.len()];
        damage.inflict(&mailbox)?;
        made.push((mailbox, damage));
    }
    if circumstances.is_cold {
        made.iter().try_for_each(|(mailbox, _)| forget(mailbox))?;
    }
    let done = AtomicBool::new(false);
    let (queue, rows) = (Mutex::new(made.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for number in 0..circumstances.load {
            let (file, done) = (directory.join(format!("load{number}")), &done);
            scope.spawn(move || load(&file, done));
        }
        let worker = || {
            while let Some((mailbox, damage)) = locked(&queue).next() {
                let row = row(&mailbox, damage);
                locked(&rows).push(row);
            }
        };
        let workers: Vec<_> = (0..circumstances.at_once).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let _ = worker.join();
        }
        done.store(true, Ordering::Relaxed);
    });
    Ok(rows.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Without one, nothing is repaired where no server knows the mailbox.
fn header_file(number: usize) -> Vec<u8> {
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.name = Some(format!("user.bench{number}").into_bytes());
    header.uniqueid = Some(format!("bench{number}").into_bytes());
    header.acl = Some(b"bench\tlrswipkxtecda\t".to_vec());
    header.encode()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many messages a mailbox has: every power of ten as often as the next.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 4000")]
fn size(random: &mut Random) -> usize {
    let share = f64::from((random.bits() >> 32) as u32) / f64::from(u32::MAX);
    LARGEST.powf(share).round() as usize
}

fn row(mailbox: &Path, damage: Damage) -> Row {
    let told = Mutex::new(None);
    triage(&Site::none(), &[Target::in_directory(mailbox)], 1, &|mailbox| {
        *locked(&told) = Some(mailbox.clone());
    });
    let seen = Seen::default();
    let begun = Instant::now();
    repair(mailbox, "measured", &seen);
    let seconds = begun.elapsed().as_secs_f64();
    let (read, bytes_read) = *locked(&seen.0);
    let told = locked(&told).take().expect("triage tells of every mailbox");
    Row { damage, told, read, bytes_read, seconds }
}

/// What a repair read.
#[derive(Default)]
struct Seen(Mutex<(u64, u64)>);

impl Observer for Seen {
    fn finished(&self, report: &MailboxReport) {
        assert_eq!(report.state, State::Repaired, "{:?}", report.findings);
        *locked(&self.0) = (report.messages_read, report.bytes_read);
    }
}

fn repair(mailbox: &Path, run: &str, observer: &dyn Observer) {
    let targets = [Target::in_directory(mailbox)];
    let options = Options { jobs: 1, ..Options::default() };
    let workshop = Workshop::new(FileOps::new(), run, 0o077);
    let progress = Progress::new(&targets[0].recovery);
    let site = Site::none();
    Run::new(&options, &site, observer).repair(&targets, &workshop, &progress);
}

/// Has the kernel drop what it keeps of a mailbox's files.
fn forget(mailbox: &Path) -> Result<()> {
    for entry in fs::read_dir(mailbox)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Keeps a core and the disk busy.
fn load(file: &Path, done: &AtomicBool) {
    let bytes = vec![7; 1 << 20];
    while !done.load(Ordering::Relaxed) {
        for _ in 0..8 {
            std::hint::black_box(Guid::of(&bytes));
        }
        let _ = fs::write(file, &bytes).and_then(|()| File::open(file)?.sync_all());
    }
}
