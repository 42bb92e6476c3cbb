//! What the command does with its arguments. Everything that matters is in the library.

mod add;
mod change;
mod desk;
mod doctor;
mod events;
mod intake;
mod link;
mod list;
mod note;
mod pause;
mod publish;
mod requests;
mod run;
mod show;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Rebuild the mailboxes of many users, the urgent first, and tell them how far it is.
///
/// Jobs, one a user, wait in the incident; runners work on them, as many as you start. Users can be
/// kept from logging in until their mailboxes are verified, while their mail is delivered. Whoever
/// is killed leaves nothing half done: another runner goes on.
#[derive(Debug, Parser)]
#[command(name = "rebuildq", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  rebuildq add --all --deny --status-url https://status.example.com/
  rebuildq run --jobs 4 --until-empty        as many of these as you like
  rebuildq bump alice                        alice is next
  rebuildq note 'The second disk is copied.' everybody reads it on the status page
  rebuildq list                              how far is it?
  rebuildq doctor                            is anybody left denied?

The incident is that of --incident or $MAILSTORE_INCIDENT, the store that of -C.

Exit status:
  0  done
  1  done in part: jobs were set aside, users are not known, something is left to mend
  2  could not run";

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Add),
    Bump(change::Bump),
    Hold(change::Hold),
    Release(change::Release),
    Retry(change::Retry),
    Cancel(change::Cancel),
    List(list::List),
    Show(show::Show),
    Events(events::Events),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Run(run::Run),
    Intake(intake::IntakeArgs),
    Requests(requests::Requests),
    Note(note::Note),
    Link(link::Link),
    Status(publish::Status),
    Serve(publish::Serve),
    Doctor(doctor::Doctor),
}

/// Does what was asked for. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        Command::Add(args) => args.run(),
        Command::Bump(args) => args.run(),
        Command::Hold(args) => args.run(),
        Command::Release(args) => args.run(),
        Command::Retry(args) => args.run(),
        Command::Cancel(args) => args.run(),
        Command::List(args) => args.run(),
        Command::Show(args) => args.run(),
        Command::Events(args) => args.run(),
        Command::Pause(args) => args.run(),
        Command::Resume(args) => args.run(),
        Command::Run(args) => args.run(),
        Command::Intake(args) => Ok(args.run()),
        Command::Requests(args) => args.run(),
        Command::Note(args) => args.run(),
        Command::Link(args) => args.run(),
        Command::Status(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Doctor(args) => args.run(),
    }
}
