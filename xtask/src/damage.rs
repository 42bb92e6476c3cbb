//! `cargo xtask damage`: does to a store what outages do.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use mailstore_tests::damage::{Kind, RANDOM, Wreck};

use crate::table::Table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Another number, another damage; the same number, the same damage
    #[arg(required_unless_present = "list")]
    seed: Option<u64>,
    /// The kind of damage (--list), or "random" for one to four of them at once
    #[arg(required_unless_present = "list")]
    kind: Option<String>,
    /// The configuration of the store; no server may run on it
    #[arg(required_unless_present = "list", value_name = "IMAPD.CONF")]
    store: Option<PathBuf>,
    /// Only this mailbox, as user.alice.Sent; repeatable
    #[arg(long)]
    mailbox: Vec<String>,
    /// The configuration of an older copy of the store, whose files some kinds lay over newer ones
    #[arg(long, value_name = "IMAPD.CONF")]
    older: Option<PathBuf>,
    /// List the kinds
    #[arg(long)]
    list: bool,
    /// Print one JSON object a damage
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        let mut table = Table::new(&["Kind", "What happens to a mailbox"]);
        for kind in Kind::all() {
            table.row(vec![kind.name.into(), kind.what.into()]);
        }
        table.row(vec![RANDOM.into(), "one to four of these, drawn by the seed".into()]);
        print!("{table}");
        return Ok(ExitCode::SUCCESS);
    }
    let seed = arguments.seed.context("a seed")?;
    let kind = arguments.kind.as_deref().context("a kind")?;
    let mut wreck = Wreck::of(arguments.store.as_ref().context("a store")?, seed)?;
    if let Some(older) = &arguments.older {
        wreck = wreck.with_older(older)?;
    }
    let all = wreck.mailboxes();
    let named: Vec<&str> = arguments.mailbox.iter().map(String::as_str).collect();
    let mut done = 0;
    for mailbox in if named.is_empty() { all } else { named } {
        for damage in wreck.inflict(kind, mailbox)? {
            done += 1;
            if arguments.json {
                println!("{}", serde_json::to_string(&damage)?);
            } else {
                println!("{}: {}: {}", damage.mailbox, damage.kind, damage.detail);
            }
        }
    }
    if done == 0 {
        eprintln!("xtask: nothing was there that {kind} could hit");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
