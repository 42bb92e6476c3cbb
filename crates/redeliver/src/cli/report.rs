//! `redeliver report`: what came back, for those whose mail it is.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use command_line::{Console, store_configuration};
use incident::{Incident, StoreBinding};
use mailstore::config::ImapdConf;
use mailstore::identity::StoreAccount;
use mailstore::namespace::Namespace;
use redeliver::{DEFAULT_MARK, Letter};
use serde::Serialize;

use super::args::StoreArgs;

/// Tell users what came back: for each a text with folders, counts and dates, ready to be sent.
///
/// Over all runs of the incident, whichever way they delivered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  redeliver report --incident /srv/outage --user alice
  redeliver report --incident /srv/outage --to store7 --letters /srv/letters

Exit status:
  0  told
  2  could not run: usage, configuration, an I/O error")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Write a file USER.txt for each user into this directory, as the server's account; none is
    /// overwritten
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    letters: Option<PathBuf>,

    /// The keyword that ambiguous messages got; '' is none
    #[arg(long, value_name = "KEYWORD", default_value = DEFAULT_MARK)]
    mark: String,

    /// One JSON object a line on stdout (docs/json.md)
    #[arg(long)]
    json: bool,
}

/// A folder of a user in the JSON output.
#[derive(Serialize)]
#[serde(tag = "type", rename = "folder")]
struct FolderLine<'a> {
    user: &'a str,
    folder: &'a str,
    mailbox: &'a str,
    messages: u64,
    ambiguous: u64,
    held: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<i64>,
}

/// Does it. Returns the exit status.
pub(crate) fn run(args: &ReportArgs) -> Result<u8> {
    let configuration = store_configuration(&args.store.to, args.store.stores.as_deref())?;
    let conf = ImapdConf::load(&configuration)
        .map_err(|error| anyhow!("{error}; correct it, or name the server's with --to"))?;
    StoreAccount::of_server(&conf, &command_line::account_hints())?.become_account()?;
    let incident = Incident::open(args.store.incident()?)?;
    let store = incident.store(&StoreBinding::of(&conf)?)?;
    let mut letters = Letter::all(&incident, store, &Namespace::from(&conf))?;
    letters.retain(|letter| args.store.user.is_empty() || args.store.user.contains(&letter.user));
    let console = Console::new("redeliver", false);
    let mark = Some(args.mark.as_str()).filter(|mark| !mark.is_empty());
    for letter in &letters {
        if args.json {
            folder_lines(letter).for_each(|line| console.print_json(&line));
        } else if let Some(directory) = &args.letters {
            write(directory, letter, mark)?;
        } else {
            console.print(format!("To: {}\n\n{}\n", letter.user, letter.text(mark)));
        }
    }
    console.finish()?;
    Ok(0)
}

fn folder_lines(letter: &Letter) -> impl Iterator<Item = FolderLine<'_>> {
    letter.folders.iter().map(|(folder, recovered)| FolderLine {
        user: &letter.user,
        folder,
        mailbox: &recovered.mailbox.name,
        messages: recovered.messages,
        ambiguous: recovered.of_class,
        held: recovered.held,
        oldest: recovered.received.map(|(first, _)| first.0),
        newest: recovered.received.map(|(_, last)| last.0),
    })
}

/// Writes a letter; what it says is for its user alone.
fn write(directory: &Path, letter: &Letter, mark: Option<&str>) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    let path = directory.join(format!("{}.txt", letter.user.replace('/', "%2F")));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.with_context(|| format!("can't write {}", path.display()))?;
    file.write_all(letter.text(mark).as_bytes())
        .with_context(|| format!("can't write {}", path.display()))
}
