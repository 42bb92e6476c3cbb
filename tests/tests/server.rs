//! The harness itself, on a real server.

use anyhow::{Context as _, Result};
use mailstore_tests::{Cyrus, Layout, Server, ServerOptions};

#[test]
fn a_private_server_starts_and_takes_an_append() -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip("a_private_server_starts_and_takes_an_append")
    else {
        return Ok(());
    };
    let begun = std::time::Instant::now();
    let mut server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    println!("{} started in {:?}", cyrus.version(), begun.elapsed());
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    let uid = alice.append("INBOX", &["\\Seen", "work"], None, b"Subject: x\r\n\r\nbody\r\n")?;
    alice.select("INBOX")?;
    let fetched = alice.fetch(&uid.to_string(), "(FLAGS BODY.PEEK[])")?;
    let message = fetched.first().context("the message is there")?;
    assert_eq!(message.flags()?, ["\\Seen", "work"]);
    println!("{}", server.tool_output("ctl_mboxlist", &["-d"])?);
    let begun = std::time::Instant::now();
    server.stop()?;
    println!("stopped in {:?}", begun.elapsed());
    println!("{}", server.log());
    Ok(())
}
