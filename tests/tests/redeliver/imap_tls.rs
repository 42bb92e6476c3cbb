//! Over a network that nobody vouches for: only a server whose certificate is believed gets a password.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use mailstore_tests::{Certificates, Cyrus, Layout, ServerOptions, ToolRun};

use crate::folders::{Case, Folders, MISSING, states_of};
use crate::imap_access::password_file;
use crate::scene::redeliver;

/// A server that knows TLS, by the name of `localhost` and one that it cannot be reached by.
fn served(cyrus: &Cyrus) -> Result<(tempfile::TempDir, Certificates, Folders)> {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    let certificates = Certificates::make(directory.path(), &["localhost", "elsewhere.example"])?;
    let lines = [
        format!("tls_server_cert: {}", certificates.certificate.display()),
        format!("tls_server_key: {}", certificates.key.display()),
    ];
    let options = ServerOptions::new(Layout::ById);
    let options = lines.iter().fold(options, |options, line| options.with_line(line));
    let scene = Folders::with(cyrus, 2, options)?;
    Ok((directory, certificates, scene))
}

/// Delivers into `case` by way of `url`, believing in `authority`.
fn deliver(case: &Case, scene: &Folders, url: &str, authority: Option<&Path>) -> Result<ToolRun> {
    let mut command: Command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox, "--json", "--via", "imap", "--imap", url]);
    command.args(["--imap-admin", "cyrus", "--imap-password-file"]);
    command.arg(password_file(scene.server.path())?);
    if let Some(authority) = authority {
        command.arg("--imap-ca").arg(authority);
    }
    ToolRun::of(&command.output()?).parsed()
}

#[test]
fn mail_goes_through_tls_and_starttls_to_a_server_that_is_believed() -> Result<()> {
    const NAME: &str = "mail_goes_through_tls_and_starttls_to_a_server_that_is_believed";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (_directory, certificates, mut scene) = served(&cyrus)?;
    let ports = scene.server.ports();
    for url in
        [format!("imaps://localhost:{}", ports.imaps), format!("imap://localhost:{}", ports.imap)]
    {
        let case = scene.take()?;
        let run = deliver(&case, &scene, &url, Some(&certificates.authority))?;
        ensure!(run.status == Some(0), "{url}: {run:?}");
        assert_eq!(case.shown(&scene)?, scene.expected, "{url}");
    }
    // Both were within TLS: the server tells of each log-in how it came.
    let log = scene.server.log();
    let logins: Vec<_> = log.lines().filter(|line| line.contains("PLAIN")).collect();
    let of_redeliver = logins.iter().filter(|line| line.contains("PLAIN+TLS")).count();
    ensure!(of_redeliver >= 2, "{logins:#?}");
    scene.end()
}

#[test]
fn a_server_whose_certificate_is_not_believed_gets_neither_password_nor_mail() -> Result<()> {
    const NAME: &str = "a_server_whose_certificate_is_not_believed_gets_neither_password_nor_mail";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (_directory, certificates, mut scene) = served(&cyrus)?;
    let other = tempfile::tempdir()?;
    let other = Certificates::make(other.path(), &["localhost"]).map(|it| (it, other))?;
    let ports = scene.server.ports();
    let case = scene.take()?;
    let before = case.shown(&scene)?;
    let logins = scene.server.log().matches("PLAIN").count();
    let (ours, foreign) = (certificates.authority.as_path(), other.0.authority.as_path());
    for (name, authority) in
        [("localhost", Some(foreign)), ("127.0.0.1", Some(ours)), ("localhost", None)]
    {
        for (scheme, port) in [("imaps", ports.imaps), ("imap", ports.imap)] {
            let run = deliver(&case, &scene, &format!("{scheme}://{name}:{port}"), authority)?;
            ensure!(run.status == Some(2), "{scheme} {name} {authority:?}: {run:?}");
            let says = ["no secure connection", "trusts no certificate"];
            ensure!(says.iter().any(|says| run.stderr.contains(says)), "{run:?}");
            ensure!(states_of(&run).iter().all(|state| *state == "held"), "{run:?}");
        }
    }
    let log = scene.server.log();
    assert_eq!(log.matches("PLAIN").count(), logins, "{log}");
    assert_eq!(case.shown(&scene)?, before);
    let url = format!("imap://127.0.0.1:{}", ports.imap);
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox, "--json", "--via", "imap", "--imap", &url]);
    command.args(["--allow-plaintext", "--imap-admin", "cyrus", "--imap-password-file"]);
    command.arg(password_file(scene.server.path())?);
    let run = ToolRun::of(&command.output()?).parsed()?;
    assert_eq!((run.status, states_of(&run)), (Some(0), vec!["verified"; MISSING.len()]));
    scene.end()
}
