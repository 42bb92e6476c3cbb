//! `cargo xtask bench parse`: the message reader alone, beside mail-parser.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use mail_parser::MessageParser;
use mailstore_format::Guid;
use mailstore_format::message::MessageReader;
use mailstore_tests::oracle::{Corpus, LineEnds};

use super::mail::Mail;
use super::measure::median;
use crate::cargo::cargo;
use crate::table::Table;

/// The seed of the mail of `bench reconstruct`.
const SEED: u64 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Messages of the mix that bench reconstruct makes its store of
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// A corpus to measure on too [default: `MAIL_CORPUS`, else ../shared/corpus where it exists]
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// How often everything is measured
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

/// What is done to every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Cache record, index fields, digests of the whole and of every decoded part.
    Reader,
    /// The structure and all header fields, no digests.
    MailParser,
    /// Nothing but the digest of the whole: no reader can be faster.
    Digest,
}

impl Work {
    const ALL: [Self; 3] = [Self::Reader, Self::MailParser, Self::Digest];

    fn name(self) -> &'static str {
        match self {
            Self::Reader => "ours, with SHA-1 of the whole and of every part",
            Self::MailParser => "mail-parser, no digests",
            Self::Digest => "SHA-1 of the whole alone",
        }
    }

    fn time(self, messages: &[Vec<u8>]) -> Result<Duration> {
        let mut reader = MessageReader::default();
        let parser = MessageParser::default();
        let mut cache = Vec::new();
        let start = processor_time()?;
        for message in messages {
            match self {
                Self::Reader => {
                    cache.clear();
                    black_box(reader.read(message, &mut cache));
                }
                Self::MailParser => drop(black_box(parser.parse(message))),
                Self::Digest => drop(black_box(Guid::of(message))),
            }
        }
        Ok(processor_time()?.saturating_sub(start))
    }
}

/// What this thread has used of a core: other load on the machine does not count. (The first number
/// of `schedstat`, in nanoseconds: `Documentation/scheduler/sched-stats.rst` of Linux.)
fn processor_time() -> Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let nanoseconds = text.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse().with_context(|| format!("{path}: {text}"))?))
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return run_optimised(arguments);
    }
    let mut mail = Mail::new(SEED);
    let mix: Vec<_> = (0..arguments.messages).map(|_| mail.message()).collect();
    measure("the benchmark store's mix", &mix, arguments.rounds)?;
    match arguments.corpus.clone().or_else(Corpus::directory) {
        None => println!("no corpus: neither --corpus nor MAIL_CORPUS, no ../shared/corpus"),
        Some(directory) => {
            let samples = Corpus::read(&directory)?.messages;
            let corpus = samples.iter().map(|sample| LineEnds::Crlf.apply(&sample.bytes));
            let corpus: Vec<_> = corpus.collect();
            measure("the corpus, line ends CRLF", &corpus, arguments.rounds)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The same command by an optimised build: of anything else a figure means nothing.
fn run_optimised(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench", "parse"]);
    command.arg(format!("--messages={}", arguments.messages));
    command.arg(format!("--rounds={}", arguments.rounds));
    if let Some(corpus) = &arguments.corpus {
        command.arg("--corpus").arg(std::path::absolute(corpus)?);
    }
    let status = command.status().context("can't run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures all kinds of work on `messages`, in turn, and prints the medians.
fn measure(name: &str, messages: &[Vec<u8>], rounds: u16) -> Result<()> {
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let mut times = Vec::new();
    for _ in 0..rounds {
        for work in Work::ALL {
            times.push((work, work.time(messages)?));
        }
    }
    let of = |work| times.iter().filter(move |(done, _)| *done == work).map(|(_, time)| *time);
    let mut table = Table::new(&["", "messages/s", "MB/s", "µs a message"]);
    for work in Work::ALL {
        let seconds = median(of(work)).context("nothing was measured")?.as_secs_f64();
        table.row(vec![
            work.name().to_string(),
            format!("{:.0}", decimal(messages.len()) / seconds),
            format!("{:.0}", decimal(bytes) / 1e6 / seconds),
            format!("{:.1}", 1e6 * seconds / decimal(messages.len())),
        ]);
    }
    println!(
        "\n{name}: {} messages, {:.1} MB, processor time of one core, medians of {rounds} rounds\n\n{table}",
        messages.len(),
        decimal(bytes) / 1e6
    );
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
fn decimal(number: usize) -> f64 {
    number as f64
}
