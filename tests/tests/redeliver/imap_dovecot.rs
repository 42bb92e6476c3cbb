//! Into a server of another make.

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, Dovecot, ImapClient, Point, Proxy, ToolRun, kill, quoted, redeliver_command,
};

use crate::folders::{Folders, MISSING, messages, states_of};
use crate::imap_access::as_admin;
use crate::scene::Kept;

/// A delivery of everything into Dovecot, through `port`: without the store's configuration, as on
/// another machine.
fn command(scene: &Folders, dovecot: &Dovecot, port: u16) -> Result<std::process::Command> {
    let mut command = redeliver_command()?;
    command.args(["--json", "--to", "/nonexistent/imapd.conf", "--incident"]).arg(&scene.incident);
    command.args(as_admin(dovecot.path(), port)?);
    Ok(command)
}

fn deliver(scene: &Folders, dovecot: &Dovecot) -> Result<ToolRun> {
    ToolRun::of(&command(scene, dovecot, dovecot.port())?.output()?).parsed()
}

/// What is in a folder, sorted, as far as a delivery must keep it.
fn shown(session: &mut ImapClient, folder: &str) -> Result<Vec<Kept>> {
    session.ok(&examine(folder))?;
    let mut shown = Vec::new();
    for fetched in session.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")? {
        let body = fetched.item("BODY[]")?;
        let body = mailstore_format::Guid::of(body.bytes().context("a literal")?).to_string();
        let mut flags = fetched.flags()?;
        flags.retain(|flag| flag != "\\Recent");
        flags.sort();
        let date = fetched.item("INTERNALDATE")?.text().context("a date")?;
        // Cyrus has a blank where Dovecot has a nought.
        let date = date.strip_prefix('0').map_or(date.clone(), |rest| format!(" {rest}"));
        shown.push((body, flags, date));
    }
    shown.sort();
    Ok(shown)
}

/// As a command: Dovecot tells no HIGHESTMODSEQ that nobody asks for.
fn examine(folder: &str) -> String {
    format!("EXAMINE {}", quoted(folder))
}

/// Dovecot's name of a folder of Cyrus's.
fn on_dovecot(folder: &str) -> String {
    folder.replacen("INBOX.", "", 1)
}

#[test]
fn dovecot_gets_each_message_once_with_its_flags_and_date() -> Result<()> {
    const NAME: &str = "dovecot_gets_each_message_once_with_its_flags_and_date";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let Some(dovecot) = Dovecot::started_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 3)?;
    let mut session = dovecot.login("alice")?;
    // Of three folders one is not there.
    let (whole, other, gone) = (scene.take()?, scene.take()?, scene.take()?);
    for case in [&whole, &other] {
        session.create(&on_dovecot(&case.folder))?;
        session.append_all(&on_dovecot(&case.folder), &messages(&crate::folders::PRESENT))?;
    }
    let run = |arguments: &[&str]| {
        let mut command = command(&scene, &dovecot, dovecot.port())?;
        ToolRun::of(&command.args(arguments).output()?).parsed()
    };
    let dry = run(&["-n"])?;
    ensure!(dry.status == Some(1) && dry.summary()["intended"] == 3 * MISSING.len(), "{dry:?}");
    let run = run(&["--missing-mailbox", "skip"])?;
    ensure!(run.status == Some(1), "{run:?}");
    assert_eq!(run.summary()["verified"], 2 * MISSING.len(), "{run:?}");
    assert_eq!(run.summary()["held"], MISSING.len(), "{run:?}");
    let note = run.mailbox(&gone.mailbox)["messages"][0]["note"].to_string();
    ensure!(note.contains("create it"), "{note}");
    for case in [&whole, &other] {
        assert_eq!(shown(&mut session, &on_dovecot(&case.folder))?, scene.expected);
    }
    let run = deliver(&scene, &dovecot)?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; MISSING.len()]));
    assert_eq!(run.findings("mailbox-made").len(), 1, "{run:?}");
    assert_eq!(shown(&mut session, &on_dovecot(&gone.folder))?.len(), MISSING.len());
    let again = deliver(&scene, &dovecot)?;
    assert_eq!((again.status, states_of(&again)), (Some(0), Vec::new()), "{again:?}");
    scene.end()
}

#[test]
fn what_dovecot_could_not_confirm_is_there_once_after_the_next_run() -> Result<()> {
    const NAME: &str = "what_dovecot_could_not_confirm_is_there_once_after_the_next_run";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let Some(dovecot) = Dovecot::started_or_skip(NAME) else { return Ok(()) };
    let points =
        [Point::BeforeAppend, Point::InLiteral(20), Point::InLiteral(90), Point::BeforeAnswer];
    for point in points {
        let mut scene = Folders::new(&cyrus, 1)?;
        let case = scene.take()?;
        let mut session = dovecot.login("alice")?;
        let folder = on_dovecot(&case.folder);
        if session.ok(&examine(&folder)).is_ok() {
            session.unselect()?;
            session.delete(&folder)?;
        }
        session.create(&folder)?;
        session.append_all(&folder, &messages(&crate::folders::PRESENT))?;
        let proxy = Proxy::to(dovecot.port(), point.clone())?;
        let mut child = command(&scene, &dovecot, proxy.port())?.spawn()?;
        proxy.wait()?;
        ensure!(kill(&mut child)?, "it had ended by itself");
        proxy.cut();
        let run = deliver(&scene, &dovecot)?;
        ensure!(run.status == Some(0), "{point:?}: {run:?}");
        assert_eq!(shown(&mut session, &folder)?, scene.expected, "{point:?}");
        session.unselect()?;
        scene.end()?;
    }
    Ok(())
}
