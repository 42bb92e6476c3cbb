//! A store being served.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::configuration::{Ports, ServerOptions, cyrus_conf, server_name};
use crate::cyrus::Cyrus;
use crate::imap::ImapClient;
use crate::lmtp::LmtpClient;
use crate::pop3::Pop3Client;
use crate::processes::{PATIENCE, Processes};
use crate::store::Store;

/// A store and the server on it, if it runs. Everything of [`Store`] can be asked of it.
/// When it is dropped, its processes are ended and its store is removed.
#[derive(Debug)]
pub struct Server {
    // Before the store: its processes must have ended when the directories go.
    processes: Option<Processes>,
    ports: Ports,
    store: Store,
}

impl Deref for Server {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Server {
    /// A running server on a new, empty store.
    pub fn start(cyrus: &Cyrus, options: ServerOptions) -> Result<Self> {
        Self::serve(Store::create(cyrus, options)?)
    }

    /// A server on `store` that does not run yet.
    pub fn at_rest(store: Store) -> Result<Self> {
        Ok(Self { processes: None, ports: free_ports()?, store })
    }

    /// A running server on `store`.
    pub fn serve(store: Store) -> Result<Self> {
        let mut server = Self::at_rest(store)?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after [`Server::stop`] or [`Server::kill`]. Its ports may be others than before.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.processes.is_none(), "the server is already running");
        // Another process may take a port between its being picked and being listened on.
        for _ in 0..5 {
            self.ports = free_ports()?;
            let processes = Processes::spawn(master(&self.store, self.ports)?)?;
            match self.await_greeting(processes) {
                Ok(processes) => {
                    self.processes = Some(processes);
                    return Ok(());
                }
                Err(StartFailure::PortTaken) => {}
                Err(StartFailure::Other(error)) => return Err(error),
            }
        }
        bail!("no free ports in five attempts")
    }

    /// Ends it in an orderly way (SIGTERM to the master process) and waits until no process is left.
    pub fn stop(&mut self) -> Result<()> {
        self.processes.take().map_or(Ok(()), Processes::stop)
    }

    /// Ends all its processes with SIGKILL, wherever they are, and waits until none is left.
    pub fn kill(&mut self) -> Result<()> {
        self.processes.take().map_or(Ok(()), Processes::kill)
    }

    /// [`Server::stop`] and [`Server::start_again`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Whether the master process is alive.
    pub fn is_running(&mut self) -> Result<bool> {
        let Some(processes) = &mut self.processes else { return Ok(false) };
        Ok(processes.master.try_wait()?.is_none())
    }

    /// Stops the server and keeps the store.
    pub fn into_store(mut self) -> Result<Store> {
        self.stop()?;
        Ok(self.store)
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// An IMAP session of `user`.
    pub fn login(&self, user: &str) -> Result<ImapClient> {
        let mut client = ImapClient::connect(address(self.ports.imap))?;
        client.login(user, "any")?;
        Ok(client)
    }

    /// An IMAP session of the administrator, who names mailboxes as `user.alice.Sent`.
    pub fn admin(&self) -> Result<ImapClient> {
        self.login("cyrus")
    }

    /// An LMTP session, trusted.
    pub fn lmtp(&self) -> Result<LmtpClient> {
        LmtpClient::connect(address(self.ports.lmtp))
    }

    /// A POP3 session of `user`.
    pub fn pop3(&self, user: &str) -> Result<Pop3Client> {
        Pop3Client::login(address(self.ports.pop3), user, "any")
    }

    /// Log entries that say that a process of the server died of a signal or gave up with a fatal
    /// error: for asserting that none did.
    #[must_use]
    pub fn deaths(&self) -> Vec<String> {
        let tells_of_death = |line: &&str| {
            // A daemon that was still starting when the server was stopped dies of that signal.
            let was_stopped = line.contains("signal 15 (Terminated)");
            line.contains("signaled to death") && !was_stopped
                || line.contains("Fatal error")
                || line.contains("ssertion")
        };
        self.log().lines().filter(tells_of_death).map(String::from).collect()
    }

    fn await_greeting(&self, mut processes: Processes) -> Result<Processes, StartFailure> {
        let deadline = Instant::now() + PATIENCE;
        // With its name, for the port may have become another test's server's in the meantime.
        let name = server_name(self.store.path());
        loop {
            if greeting(self.ports.imap).is_some_and(|line| line.contains(&name)) {
                return Ok(processes);
            }
            let status = processes.master.try_wait().map_err(anyhow::Error::from)?;
            if status.is_some() || Instant::now() > deadline {
                let log = self.log();
                if log.contains("unable to bind") || log.contains("Address already in use") {
                    let _ = fs::remove_file(self.log_file());
                    return Err(StartFailure::PortTaken);
                }
                let tail: Vec<&str> = log.lines().rev().take(12).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                let what = status.map_or("does not answer".into(), |s| format!("ended: {s}"));
                return Err(anyhow::anyhow!("the server {what}; its log ends with:\n{tail}").into());
            }
            std::thread::sleep(Duration::from_millis(15));
        }
    }
}

/// The master process of the server on a store.
fn master(store: &Store, ports: Ports) -> Result<Command> {
    let cyrus_conf_path = store.path().join("cyrus.conf");
    fs::write(&cyrus_conf_path, cyrus_conf(store.cyrus(), &store.imapd_conf(), ports))?;
    let output = File::create(store.path().join("master.output"))?;
    let mut command = store.command("master");
    command.arg("-M").arg(cyrus_conf_path);
    command.arg("-p").arg(store.conf().join("master.pid"));
    // Without -D it closes stdout and stderr, and with them what a dying daemon says.
    command.arg("-D").stdout(output.try_clone()?).stderr(output);
    Ok(command)
}

enum StartFailure {
    PortTaken,
    Other(anyhow::Error),
}

impl From<anyhow::Error> for StartFailure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn free_ports() -> Result<Ports> {
    // All are held at once, so that they differ.
    let listeners = [(); 5].map(|()| TcpListener::bind(address(0)));
    let mut ports = [0; 5];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        let listener =
            listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
        *port = listener.local_addr()?.port();
    }
    let [imap, lmtp, pop3, sync, imaps] = ports;
    Ok(Ports { imap, lmtp, pop3, sync, imaps })
}

pub(crate) fn greeting(port: u16) -> Option<String> {
    let stream = TcpStream::connect(address(port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Layout;
    use crate::skipped::skip;

    #[test]
    fn a_port_that_was_taken_meanwhile_is_noticed() -> Result<()> {
        const NAME: &str = "a_port_that_was_taken_meanwhile_is_noticed";
        let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
        if !cyrus.can_log() {
            skip(NAME, "no C compiler, so no log that would tell");
            return Ok(());
        }
        let taken = TcpListener::bind(address(0))?;
        let store = Store::create(&cyrus, ServerOptions::new(Layout::ById))?;
        let ports = Ports { lmtp: taken.local_addr()?.port(), ..free_ports()? };
        let server = Server { processes: None, ports, store };
        let started = server.await_greeting(Processes::spawn(master(&server.store, ports)?)?);
        assert!(matches!(started, Err(StartFailure::PortTaken)), "{}", server.log());
        Ok(())
    }
}
