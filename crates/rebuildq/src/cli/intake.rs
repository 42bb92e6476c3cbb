//! `rebuildq intake`

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use incident::queue::{Job, Roster as _};
use jiff::Zoned;
use jiff::tz::TimeZone;
use rebuildq::board::Board;
use rebuildq::intake::{Intake, Reply};
use rebuildq::request::{Policy, Request};

use super::desk::{Desk, DeskArgs};

/// What tells a mail server to try again later (`EX_TEMPFAIL`): a request is not lost because the
/// queue was busy.
const TRY_AGAIN: u8 = 75;
/// How long the list of mailboxes is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Read a mail that asks for a priority rebuild on standard input, and answer on standard output
///
/// For an alias that pipes to it. Who has an account raises their own; an operator who is named
/// here raises whom they name. Nothing is printed where nobody is to be answered. What is not
/// clear is kept: `rebuildq requests --unclear`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0   done, or kept for the operators
  75  could not: the mail server tries again later")]
pub(super) struct IntakeArgs {
    #[command(flatten)]
    desk: DeskArgs,

    /// The address of somebody who may ask for everybody; repeatable
    #[arg(long, value_name = "ADDRESS")]
    operator: Vec<String>,

    /// A domain in which what stands before the @ is an account; repeatable
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,

    /// So many requests of a sender count within an hour
    #[arg(long, value_name = "N", default_value_t = 5)]
    per_hour: u64,

    /// Print a whole mail from this address, for `sendmail -t`, not only the text
    #[arg(long, value_name = "ADDRESS")]
    reply_from: Option<String>,
}

impl IntakeArgs {
    pub(super) fn run(&self) -> u8 {
        match self.take() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("rebuildq: {error:#}");
                TRY_AGAIN
            }
        }
    }

    fn take(&self) -> Result<()> {
        // All of it, whatever comes: who pipes must not be cut off.
        let request = Request::read(&mut std::io::stdin().lock())?;
        let desk = self.desk.open()?;
        let accounts = OnceCell::new();
        let is_account = |name: &str| is_account(&desk, &accounts, name);
        let board = Board::new(desk.incident.clone(), desk.store);
        let estimate = |job: &Job| board.estimate_of(job).ok().flatten();
        let policy = Policy { operators: self.operator.clone(), domains: self.domain.clone() };
        let intake = Intake {
            queue: &*desk.incident,
            store: desk.store,
            is_account: &is_account,
            policy: &policy,
            per_hour: self.per_hour,
            estimate: &estimate,
        };
        if let Some(reply) = intake.take(&request)? {
            std::io::stdout().write_all(self.written(&reply).as_bytes())?;
        }
        Ok(())
    }

    fn written(&self, reply: &Reply) -> String {
        let text = reply.answer.text(&TimeZone::system());
        let Some(from) = &self.reply_from else { return text };
        let date = jiff::fmt::rfc2822::to_string(&Zoned::now()).unwrap_or_default();
        format!(
            "From: {from}\nTo: {}\nSubject: Your request for a priority rebuild\nDate: {date}\n\
             Auto-Submitted: auto-replied\nMIME-Version: 1.0\n\
             Content-Type: text/plain; charset=utf-8\n\n{text}",
            reply.to
        )
    }
}

/// Whether the queue or, where that does not know it, the store has this account.
fn is_account(desk: &Desk, accounts: &OnceCell<HashSet<Vec<u8>>>, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    if matches!(desk.incident.job_of(desk.store, name), Ok(Some(_))) {
        return true;
    }
    let accounts = accounts.get_or_init(|| {
        let Ok(store) = desk.open_store(PATIENCE) else { return HashSet::new() };
        let owners = store.mailboxes().iter();
        owners.filter_map(|entry| store.namespace().owner(&entry.name)).collect()
    });
    accounts.contains(name.as_bytes())
}
