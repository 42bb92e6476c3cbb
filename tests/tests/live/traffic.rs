//! What clients do to an INBOX while it is repaired, with a ledger of what the server acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::generate::Random;
use mailstore_tests::{ImapClient, MailboxSnapshot, Server};

/// Flags that clients set and take away.
const FLAGS: [&str; 5] = ["\\Answered", "\\Flagged", "\\Seen", "later", "work"];

/// Everything that the server acknowledged, and so has to show.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The flags and the token of each message that a client knows the UID of.
    pub(crate) messages: BTreeMap<u32, Known>,
    /// UIDs that were expunged.
    pub(crate) expunged: BTreeSet<u32>,
    /// Tokens of messages that were delivered, under whatever UIDs.
    pub(crate) delivered: Vec<String>,
    /// Acknowledged commands, by kind.
    pub(crate) counts: BTreeMap<&'static str, u32>,
    /// The longest that a command took.
    pub(crate) slowest: Duration,
}

/// A message whose UID is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) token: String,
    pub(crate) flags: BTreeSet<String>,
}

impl Ledger {
    fn timed<T>(&mut self, kind: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let done = work().with_context(|| format!("{kind}, after {:?}", self.counts));
        self.slowest = self.slowest.max(started.elapsed());
        *self.counts.entry(kind).or_default() += 1;
        done
    }

    /// Adds what another client was told.
    pub(crate) fn add(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.expunged.extend(other.expunged);
        self.delivered.extend(other.delivered);
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.slowest = self.slowest.max(other.slowest);
    }

    /// Whether the mailbox is exactly what was acknowledged, each message once.
    pub(crate) fn must_be_kept(&self, mailbox: &MailboxSnapshot) -> Result<()> {
        let mut tokens = BTreeMap::<&str, Vec<u32>>::new();
        for (uid, message) in &mailbox.messages {
            tokens.entry(token_in(&message.envelope)).or_default().push(*uid);
        }
        for (token, uids) in &tokens {
            ensure!(uids.len() == 1, "{token} is served as {uids:?}");
        }
        for (uid, known) in &self.messages {
            let served = mailbox.messages.get(uid);
            let served = served.with_context(|| format!("UID {uid}, {known:?}, is gone"))?;
            ensure!(token_in(&served.envelope) == known.token, "UID {uid}: {served:?}, {known:?}");
            let flags: BTreeSet<String> = served.flags.iter().cloned().collect();
            ensure!(flags == known.flags, "UID {uid} has {flags:?}, acknowledged: {known:?}");
        }
        for token in &self.delivered {
            ensure!(tokens.contains_key(token.as_str()), "{token} was delivered and is gone");
        }
        let revenant = self.expunged.iter().find(|uid| mailbox.messages.contains_key(uid));
        ensure!(revenant.is_none(), "UID {revenant:?} was expunged and is back");
        let expected = self.messages.len() + self.delivered.len();
        ensure!(mailbox.messages.len() == expected, "{} messages", mailbox.messages.len());
        Ok(())
    }
}

/// A message that names itself in its subject.
pub(crate) fn message(token: &str) -> Vec<u8> {
    let body = token.repeat(1 + token.len() % 7);
    format!(
        "From: sender@example.com\r\nSubject: <{token}>\r\nMessage-ID: <{token}@live>\r\n\r\n\
         {body}\r\n"
    )
    .into_bytes()
}

fn token_in(envelope: &str) -> &str {
    let token = envelope.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    token.map_or("no token", |(token, _)| token)
}

/// The clients of one INBOX.
pub(crate) struct Traffic<'a> {
    pub(crate) server: &'a Server,
    pub(crate) user: &'a str,
    pub(crate) seed: u64,
    pub(crate) stop: &'a AtomicBool,
    /// How many clients have begun.
    pub(crate) begun: &'a AtomicUsize,
}

impl Traffic<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A session that is in the mailbox from beginning to end: appends, changes flags, expunges and
    /// reads. `known` are messages that nobody else touches.
    pub(crate) fn work(&self, known: BTreeMap<u32, Known>) -> Result<Ledger> {
        let mut ledger = Ledger { messages: known, ..Ledger::default() };
        let mut random = Random::new(self.seed);
        let mut session = self.server.login(self.user)?;
        session.select("INBOX")?;
        self.begins();
        while self.goes_on() {
            match random.below(10) {
                0 | 1 => self.append(&mut session, &mut ledger, "worker")?,
                2..5 => change_flags(&mut session, &mut ledger, &mut random)?,
                5 => expunge(&mut session, &mut ledger, &mut random)?,
                6 => drop(ledger.timed("NOOP", || session.noop())?),
                _ => read(&mut session, &mut ledger, &mut random)?,
            }
        }
        session.logout()?;
        Ok(ledger)
    }

    /// A session that is in IDLE most of the time.
    pub(crate) fn idle(&self) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        let mut random = Random::new(self.seed ^ 1);
        let mut session = self.server.login(self.user)?;
        session.select("INBOX")?;
        self.begins();
        while self.goes_on() {
            session.idle_start()?;
            let deadline = Instant::now() + Duration::from_millis(900);
            while self.goes_on() && Instant::now() < deadline {
                session.idle_wait(Duration::from_millis(200)).context("in IDLE")?;
            }
            ledger.timed("IDLE", || session.idle_done())?;
            self.append(&mut session, &mut ledger, "idler")?;
            change_flags(&mut session, &mut ledger, &mut random)?;
            read(&mut session, &mut ledger, &mut random)?;
        }
        session.logout()?;
        Ok(ledger)
    }

    /// Deliveries, one after the other.
    pub(crate) fn deliver(&self, pause: Duration) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        let mut session = self.server.lmtp()?;
        self.begins();
        while self.goes_on() {
            let token = format!("lmtp-{}-{}", self.seed, ledger.delivered.len());
            let reply =
                ledger.timed("delivery", || session.deliver(self.user, &message(&token)))?;
            ensure!(reply.0 == 250, "lmtpd said {reply:?}");
            ledger.delivered.push(token);
            std::thread::sleep(pause);
        }
        Ok(ledger)
    }

    /// POP3 sessions that come and go.
    pub(crate) fn fetch_mail(&self) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        self.begins();
        while self.goes_on() {
            let mut session = ledger.timed("POP3 login", || self.server.pop3(self.user))?;
            let (count, _) = session.stat()?;
            session.retr(count).context("the last message")?;
            std::thread::sleep(Duration::from_millis(250));
            session.retr(1).context("the first message")?;
            ledger.timed("POP3 quit", || session.quit())?;
            std::thread::sleep(Duration::from_millis(600));
        }
        Ok(ledger)
    }

    fn append(&self, session: &mut ImapClient, ledger: &mut Ledger, who: &str) -> Result<()> {
        let number = ledger.counts.get("APPEND").copied().unwrap_or_default();
        let token = format!("{who}-{}-{number}", self.seed);
        let flags: &[&str] = if number % 2 == 0 { &["\\Flagged", "work"] } else { &[] };
        let append = || session.append("INBOX", flags, None, &message(&token));
        let uid = ledger.timed("APPEND", append)?;
        let flags = flags.iter().map(ToString::to_string).collect();
        let earlier = ledger.messages.insert(uid, Known { token, flags });
        ensure!(earlier.is_none(), "UID {uid} was given twice");
        Ok(())
    }
}

fn some_uid(ledger: &Ledger, random: &mut Random) -> Option<u32> {
    ledger.messages.keys().copied().nth(random.below(ledger.messages.len()))
}

fn change_flags(session: &mut ImapClient, ledger: &mut Ledger, random: &mut Random) -> Result<()> {
    let Some(uid) = some_uid(ledger, random) else { return Ok(()) };
    let flag = random.pick(&FLAGS);
    let sign = if random.one_in(3) { '-' } else { '+' };
    let change = format!("{sign}FLAGS ({flag})");
    ledger.timed("STORE", || session.store(&uid.to_string(), &change))?;
    let known = ledger.messages.entry(uid).or_default();
    if sign == '+' {
        known.flags.insert(flag.to_string());
    } else {
        known.flags.remove(flag);
    }
    Ok(())
}

fn expunge(session: &mut ImapClient, ledger: &mut Ledger, random: &mut Random) -> Result<()> {
    let Some(uid) = some_uid(ledger, random) else { return Ok(()) };
    ledger.timed("STORE", || session.store(&uid.to_string(), "+FLAGS (\\Deleted)"))?;
    ledger.timed("EXPUNGE", || session.ok(&format!("UID EXPUNGE {uid}")))?;
    ledger.messages.remove(&uid);
    ledger.expunged.insert(uid);
    Ok(())
}

fn read(session: &mut ImapClient, ledger: &mut Ledger, random: &mut Random) -> Result<()> {
    let Some(uid) = some_uid(ledger, random) else { return Ok(()) };
    let items = "(FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])";
    let fetched = ledger.timed("FETCH", || session.fetch(&uid.to_string(), items))?;
    let known = &ledger.messages[&uid];
    let answer = fetched.iter().find(|message| message.item("BODY[]").is_ok());
    let answer = answer.with_context(|| format!("no answer for UID {uid}, {known:?}"))?;
    let body = answer.item("BODY[]")?.bytes().unwrap_or_default();
    ensure!(body == message(&known.token), "UID {uid} is {}", body.escape_ascii());
    ensure!(token_in(&answer.item("ENVELOPE")?.to_string()) == known.token, "UID {uid}: envelope");
    let flags: BTreeSet<String> = answer.flags()?.into_iter().collect();
    ensure!(flags == known.flags, "UID {uid} has {flags:?}, acknowledged: {known:?}");
    Ok(())
}
