//! `cargo xtask bench`: our tools beside what else there is, in one run.

mod beside;
mod bombs;
mod gapfill;
mod lacking;
mod mail;
mod measure;
mod parse;
mod population;
mod rates;
mod rebuildq;
mod reconstruct;
mod redeliver;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Our reconstruct beside Cyrus's: checking everything, checking by size, from nothing
    ///
    /// Every tool runs in turn on one store, with warm caches; the table shows the medians of all
    /// rounds. Ratios can be compared between machines, seconds can't. With the default sizes the
    /// store has about 1.5 GB.
    Reconstruct(reconstruct::Arguments),
    /// The message reader alone, on one core, beside mail-parser
    ///
    /// Ours makes the cache record and the digests of the whole message and of every decoded part;
    /// mail-parser makes its own structure, and no digests.
    Parse(parse::Arguments),
    /// Our gapfill beside `rsync -rcn`: what does the live store lack?
    ///
    /// Two trees that share their message files, of which the live one lacks 0.1 %; both tools run
    /// in turn, with warm caches. Gapfill is built for release, unless another is named. The larger default size takes 5 GB of disk.
    Gapfill(gapfill::Arguments),
    /// Our redeliver beside mbsync: the same messages, between the same two servers
    ///
    /// Every way brings them into a fresh copy of one store, in turn. What gapfill found and staged
    /// before is not counted; mbsync reads from the server that has them.
    Redeliver(redeliver::Arguments),
    /// How long a server's deliveries take while our redeliver works
    Beside(beside::Arguments),
    /// The queue of rebuilds with very many jobs: how long do its steps and its pages take?
    Rebuildq(rebuildq::Arguments),
    /// How long reconstruct takes for mailboxes of many sizes: what rebuildq's estimates are tried on
    ///
    /// Warm, from disk, and beside a load; up to four at a time. Takes some minutes and 1.5 GB
    /// of disk.
    Rates(rates::Arguments),
    /// The decoders on input made to be expensive: how does time grow with it?
    ///
    /// Every input at one length, and at 8 times that: what is linear takes about 8 times the time,
    /// what is quadratic 64 times.
    Bombs,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.tool {
        Tool::Reconstruct(arguments) => reconstruct::run(arguments),
        Tool::Parse(arguments) => parse::run(arguments),
        Tool::Gapfill(arguments) => gapfill::run(arguments),
        Tool::Redeliver(arguments) => redeliver::run(arguments),
        Tool::Beside(arguments) => beside::run(arguments),
        Tool::Rebuildq(arguments) => rebuildq::run(arguments),
        Tool::Rates(arguments) => rates::run(arguments),
        Tool::Bombs => bombs::run(),
    }
}
