//! Triage tells who is hit from metadata alone: it opens no message, takes no lock, changes nothing.

use std::fs;

use anyhow::{Context as _, Result};
use mailstore_tests::{Cyrus, Layout, Reconstruct, Server, ServerOptions, ToolRun, Tree};
use serde_json::Value;

const USERS: [&str; 5] = ["amy", "ben", "cleo", "dan", "eve"];

/// A server with five users of twelve messages each.
fn served(cyrus: &Cyrus) -> Result<Server> {
    let options = ServerOptions::new(Layout::ByName).with_conversations();
    let server = Server::start(cyrus, options.in_memory())?;
    for user in USERS {
        server.admin()?.create(&format!("user.{user}"))?;
        let mut session = server.login(user)?;
        for number in 0..12 {
            let text = format!("Subject: message {number}\r\n\r\nto {user}\r\n");
            session.append("INBOX", &["\\Seen"], None, text.as_bytes())?;
        }
        session.logout()?;
    }
    Ok(server)
}

fn triage(server: &Server) -> Result<ToolRun> {
    Reconstruct::bare()
        .env("CYRUS_USER", &server.cyrus().account().name)
        .args(["triage", "--json", "-C"])
        .arg(server.imapd_conf())
        .run()
}

fn of<'a>(run: &'a ToolRun, mailbox: &str) -> Result<&'a Value> {
    let found = run.json.iter().find(|line| line["mailbox"] == mailbox);
    found.with_context(|| format!("nothing is said of {mailbox}: {run:?}"))
}

fn codes(mailbox: &Value) -> Vec<(String, u64)> {
    let damage = mailbox["damage"].as_array().into_iter().flatten();
    let pair = |one: &Value| (one["code"].to_string(), one["count"].as_u64().unwrap_or(0));
    damage.map(pair).map(|(code, count)| (code.trim_matches('"').to_owned(), count)).collect()
}

#[test]
fn triage_tells_who_is_hit_how_badly_and_what_is_left() -> Result<()> {
    let name = "triage_tells_who_is_hit_how_badly_and_what_is_left";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus)?;
    let directory = |user: &str| server.mailbox_dir(&format!("user.{user}"));
    let sound = triage(&server)?;
    assert_eq!(sound.status, Some(0), "{sound:?}");

    fs::remove_file(directory("amy")?.join("cyrus.index"))?;
    let index = directory("ben")?.join("cyrus.index");
    let mut bytes = fs::read(&index)?;
    bytes[..160].fill(0xa5);
    fs::write(&index, bytes)?;
    fs::remove_file(directory("cleo")?.join("3."))?;
    fs::write(directory("cleo")?.join("cyrus.header"), b"garbage")?;
    fs::remove_dir_all(directory("dan")?)?;
    let before = Tree::read(&server.spool())?;

    let run = triage(&server)?;
    assert_eq!(run.status, Some(1), "{run:?}");
    let amy = of(&run, "user.amy")?;
    assert_eq!(amy["severity"], "lost");
    let expected = [("index-missing", 1), ("message-without-record", 12)];
    assert_eq!(codes(amy), expected.map(|(code, count)| (code.to_owned(), count)));
    assert_eq!(amy["to_read"], 12);
    let left = amy["left"].to_string();
    assert!(left.contains("conversations") && left.contains("mailbox_list"), "{left}");
    assert!(!left.contains("index"), "{left}");
    assert_eq!(of(&run, "user.ben")?["severity"], "damaged");
    let cleo = of(&run, "user.cleo")?;
    assert_eq!(cleo["severity"], "blemished");
    let expected = [("header-file-damaged", 1), ("message-missing", 1)];
    assert_eq!(codes(cleo), expected.map(|(code, count)| (code.to_owned(), count)));
    assert_eq!(of(&run, "user.dan")?["severity"], "unavailable");
    assert_eq!(of(&run, "user.eve")?["severity"], "sound");
    let summary = run.json.last().context("there is no summary")?;
    assert_eq!(summary["type"], "triage_summary");
    assert_eq!(summary["mailboxes"], serde_json::json!([1, 1, 1, 1, 1]));
    assert_eq!(summary["users_hit"], serde_json::json!(["amy", "ben", "cleo", "dan"]));
    assert_eq!(before.differences(&Tree::read(&server.spool())?), [""; 0]);
    Ok(())
}

#[test]
fn triage_opens_no_message_and_says_what_to_type_next() -> Result<()> {
    let name = "triage_opens_no_message_and_says_what_to_type_next";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus)?;
    let directory = server.mailbox_dir("user.amy")?;
    fs::remove_file(directory.join("cyrus.cache"))?;
    let atime = |uid: u32| fs::metadata(directory.join(format!("{uid}.")))?.accessed();
    let long_ago = std::time::UNIX_EPOCH;
    for uid in 1..=12 {
        let file = fs::File::options().append(true).open(directory.join(format!("{uid}.")))?;
        let times = fs::FileTimes::new().set_accessed(long_ago);
        file.set_times(times.set_modified(file.metadata()?.modified()?))?;
    }
    let run = Reconstruct::bare()
        .env("CYRUS_USER", &cyrus.account().name)
        .args(["triage", "--user", "amy", "-C"])
        .arg(server.imapd_conf())
        .run()?;
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.stdout.contains("blemished   user.amy: 12 messages"), "{}", run.stdout);
    assert!(run.stdout.contains("less than a minute at 1000 messages/s"), "{}", run.stdout);
    assert!(run.stdout.ends_with("--user amy\n"), "{}", run.stdout);
    for uid in 1..=12 {
        assert_eq!(atime(uid)?, long_ago, "{uid}. was read");
    }
    fs::read(directory.join("1."))?;
    assert_ne!(atime(1)?, long_ago, "a read would have been seen");
    Ok(())
}
