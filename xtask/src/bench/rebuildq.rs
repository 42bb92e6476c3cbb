//! `cargo xtask bench rebuildq`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use incident::queue::{
    Chronicle as _, MailboxEnd, NewJob, ProgressSample, Roster as _, Size, Work as _,
};
use incident::{Incident, MailboxId, StoreBinding, StoreId};
use mailstore_format::Timestamp;
use rebuildq::board::Board;
use rebuildq::link::new_token;
use rebuildq::pages::{Site, path_of, serve};

use super::measure::median;
use crate::cargo::workspace;
use crate::table::Table;

/// Mailboxes of each job.
const MAILBOXES: u64 = 5;
/// So many jobs come into the queue at once.
const AT_ONCE: usize = 1000;
/// A page for everybody is told anew after this time.
const PAGE_LASTS: Duration = Duration::from_millis(1_050);
/// Samples of a long outage.
const SAMPLES: i64 = 20_000;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Jobs in the queue
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How often everything is measured
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let directory = tempfile::tempdir_in(workspace().join("target"))?;
    let binding =
        StoreBinding { config_directory: "/var/imap".into(), imapd_conf: "/etc/imapd.conf".into() };
    let stores = std::slice::from_ref(&binding);
    let incident = Arc::new(Incident::create(&directory.path().join("outage"), stores, "")?);
    let store = incident.store(&binding)?;
    println!("xtask: a queue of {} jobs", arguments.jobs);
    let begun = Instant::now();
    fill(&incident, store, arguments.jobs)?;
    println!("xtask: filled in {:.1} s", begun.elapsed().as_secs_f64());
    let mut table = Table::new(&["", "median ms", "slowest ms"]);
    work(&incident, store, arguments, &mut table)?;
    serve_pages(&incident, store, arguments, &mut table)?;
    println!("\n{} jobs of {MAILBOXES} mailboxes\n\n{table}", arguments.jobs);
    Ok(ExitCode::SUCCESS)
}

fn fill(incident: &Incident, store: StoreId, jobs: usize) -> Result<()> {
    let numbers: Vec<usize> = (0..jobs).collect();
    for portion in numbers.chunks(AT_ONCE) {
        let jobs: Vec<NewJob> = portion.iter().map(|number| job(*number)).collect();
        incident.enqueue(store, &jobs)?;
    }
    for number in 0..SAMPLES {
        let at = Timestamp::from_seconds(1_795_000_000 + number * 10);
        let estimate = Some((at, at));
        let sample = ProgressSample { at, users: 0, mailboxes: 0, messages: 0, estimate };
        incident.sample(store, &sample, Timestamp(at.0 - 1))?;
    }
    Ok(())
}

fn job(number: usize) -> NewJob {
    let mailbox = |place: u64| {
        let uniqueid = format!("{number:08x}{place:02x}");
        let size = Size { mailboxes: 1, messages: 400, to_read: 400, bytes_to_read: 6_000_000 };
        (MailboxId { name: format!("user.user{number}.{place}"), uniqueid }, size)
    };
    NewJob {
        user: format!("user{number}"),
        mailboxes: (0..MAILBOXES).map(mailbox).collect(),
        priority: 0,
        deny: false,
    }
}

/// A runner's steps, on jobs one after the other.
fn work(
    incident: &Incident,
    store: StoreId,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let runner = incident.begin_runner("bench", 1)?;
    let (mut claims, mut ends, mut completes) = (Vec::new(), Vec::new(), Vec::new());
    // The first half is done before anything is measured.
    let before = arguments.jobs / 2;
    for number in 0..before + usize::from(arguments.rounds) * 20 {
        let begun = Instant::now();
        let claimed = incident.claim(store, runner)?;
        let claiming = begun.elapsed();
        let Some((claim, _)) = claimed else { break };
        let mut ending = Duration::ZERO;
        for position in 0..u32::try_from(MAILBOXES)? {
            let at = Timestamp::from_seconds(1_796_000_000 + i64::try_from(number)?);
            let end = MailboxEnd { outcome: Some("repaired".to_owned()), seconds: 1.0, at };
            let begun = Instant::now();
            ensure!(incident.mailbox_ended(claim, position, &end)?);
            ending = begun.elapsed();
        }
        let begun = Instant::now();
        incident.complete(claim)?.context("the claim counts")?;
        if number >= before {
            claims.push(claiming);
            ends.push(ending);
            completes.push(begun.elapsed());
        }
    }
    row(table, "claim a job", &claims);
    row(table, "note that a mailbox is done", &ends);
    row(table, "complete a job", &completes);
    Ok(())
}

/// The pages as a browser gets them, each made anew.
fn serve_pages(
    incident: &Arc<Incident>,
    store: StoreId,
    arguments: &Arguments,
    table: &mut Table,
) -> Result<()> {
    let last = format!("user{}", arguments.jobs - 1);
    let token = incident.link(store, &last, &new_token()?)?;
    let own = format!("/{}", path_of(&token).context("a token")?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let board = Arc::new(Board::new(Arc::clone(incident), store));
    let stop = AtomicBool::new(false);
    let (mut public, mut of_user) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| -> Result<()> {
        let is_asked = || stop.load(Ordering::Relaxed);
        let server = scope.spawn(move || serve(listener, board, Site::default(), &is_asked));
        let mut measure = || -> Result<()> {
            for _ in 0..arguments.rounds {
                std::thread::sleep(PAGE_LASTS);
                public.push(get(address, "/")?);
                of_user.push(get(address, &own)?);
            }
            Ok(())
        };
        let measured = measure();
        stop.store(true, Ordering::Relaxed);
        server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
        measured
    })?;
    row(table, "the page for everybody", &public);
    row(table, "the page of the last user", &of_user);
    Ok(())
}

fn get(address: SocketAddr, path: &str) -> Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(begun.elapsed())
}

fn row(table: &mut Table, what: &str, times: &[Duration]) {
    let told = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0))
    };
    let slowest = times.iter().max().copied();
    table.row(vec![what.to_owned(), told(median(times.iter().copied())), told(slowest)]);
}
