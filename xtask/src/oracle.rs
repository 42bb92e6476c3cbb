//! `cargo xtask oracle`: what our `reconstruct` derives from messages beside what a real Cyrus does.

mod expected;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use mailstore_tests::Cyrus;
use mailstore_tests::oracle::{Corpus, LineEnds, Mutants, NastyMessages, Sample, Start, Trial};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The messages: every file below this directory, those of several messages split
    #[arg(value_name = "CORPUS-DIR", required_unless_present = "nasty")]
    corpus: Option<PathBuf>,
    /// What is done to line ends first
    #[arg(long, value_enum, default_value_t = LineEndsArg::Crlf, conflicts_with = "nasty")]
    line_ends: LineEndsArg,
    /// Instead of the messages, this many that were made of them by cutting and changing bytes
    #[arg(long, value_name = "N")]
    mutants: Option<usize>,
    /// Instead of a corpus, this many messages that break every rule there is
    #[arg(long, value_name = "N", conflicts_with_all = ["corpus", "mutants"])]
    nasty: Option<usize>,
    /// Which mutants, or which nasty messages
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The time zone of both tools: sent dates are midnights in it
    #[arg(long, value_name = "NAME", default_value = "UTC")]
    timezone: String,
    /// Leave both stores on disk, and say where
    #[arg(long)]
    keep: bool,
    /// Leave out what Cyrus's reconstruct -G does to both rebuilds
    #[arg(long)]
    no_judge: bool,
    /// Write what Cyrus derives beside each message: NAME.expected beside NAME.eml
    #[arg(long, requires = "corpus", conflicts_with_all = ["mutants", "timezone"])]
    write_expected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LineEndsArg {
    /// CRLF, as a spool has them
    Crlf,
    /// Bare line feeds
    Lf,
    /// As they are
    Raw,
}

impl From<LineEndsArg> for LineEnds {
    fn from(argument: LineEndsArg) -> Self {
        match argument {
            LineEndsArg::Crlf => Self::Crlf,
            LineEndsArg::Lf => Self::Lf,
            LineEndsArg::Raw => Self::Raw,
        }
    }
}

impl Arguments {
    fn samples(&self) -> Result<Vec<Sample>> {
        if let Some(number) = self.nasty {
            return Ok(NastyMessages::new(self.seed).take(number).collect());
        }
        let corpus = self.corpus.as_deref().context("neither a corpus nor --nasty")?;
        let line_ends = LineEnds::from(self.line_ends);
        let mut samples = Corpus::read(corpus)?.messages;
        for sample in &mut samples {
            sample.bytes = line_ends.apply(&sample.bytes);
        }
        if let Some(number) = self.mutants {
            samples = Mutants::new(&samples, self.seed).take(number).collect();
        }
        Ok(samples)
    }

    fn start(&self) -> Start {
        let is_as_delivered = self.line_ends == LineEndsArg::Crlf && self.mutants.is_none();
        if is_as_delivered && self.nasty.is_none() { Start::Nothing } else { Start::Guids }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cyrus = Cyrus::find().context("there is no Cyrus to ask")?;
    let samples = arguments.samples()?;
    ensure!(!samples.is_empty(), "there are no messages");
    let trial = Trial::run_in_zone(&cyrus, &samples, arguments.start(), &arguments.timezone)?;
    report::print(trial.comparison());
    if !arguments.no_judge {
        report::print_verdicts(&trial.judge()?);
    }
    if let Some(corpus) = arguments.corpus.as_deref().filter(|_| arguments.write_expected) {
        expected::write(corpus, &samples, &trial)?;
    }
    let is_identical = trial.comparison().differences.is_empty();
    if arguments.keep {
        let [by_cyrus, by_us] = trial.keep();
        println!("kept: Cyrus's rebuild {}, ours {}", by_cyrus.display(), by_us.display());
    }
    Ok(if is_identical { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
