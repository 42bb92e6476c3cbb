//! A TCP connection to a line-oriented mail protocol, with timeouts that lose no bytes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How long a server may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct LineConnection {
    stream: TcpStream,
    received: Vec<u8>,
    /// Up to where `received` has been handed out.
    consumed: usize,
}

impl LineConnection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)
            .with_context(|| format!("can't connect to {address}"))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new(), consumed: 0 })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the server takes no more commands")
    }

    /// The next line, without its CRLF; an error after [`TIMEOUT`].
    pub(crate) fn line(&mut self) -> Result<Vec<u8>> {
        self.line_within(TIMEOUT)?.context("the server did not answer in time")
    }

    /// The next line, without its CRLF, or `None` if it is not complete within `time`.
    pub(crate) fn line_within(&mut self, time: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + time;
        loop {
            let unread = self.received.get(self.consumed..).unwrap_or_default();
            if let Some(end) = unread.iter().position(|&byte| byte == b'\n') {
                let line = unread.get(..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.consumed += end + 1;
                return Ok(Some(line));
            }
            if !self.receive_until(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Exactly `count` bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        let deadline = Instant::now() + TIMEOUT;
        while self.received.len() - self.consumed < count {
            ensure!(self.receive_until(deadline)?, "the server sent only a part of a literal");
        }
        let end = self.consumed + count;
        let bytes = self.received.get(self.consumed..end).unwrap_or_default().to_vec();
        self.consumed = end;
        Ok(bytes)
    }

    /// Whether anything came before `deadline`.
    fn receive_until(&mut self, deadline: Instant) -> Result<bool> {
        if self.consumed == self.received.len() {
            self.received.clear();
            self.consumed = 0;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(left))?;
        // Cyrus leaves Nagle's algorithm on and answers in several writes, which then wait 40 ms for
        // our delayed acknowledgement. The kernel forgets this option, so it is set each time.
        rustix::net::sockopt::set_tcp_quickack(&self.stream, true)?;
        let mut chunk = [0; 16384];
        match self.stream.read(&mut chunk) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(count) => {
                self.received.extend(chunk.iter().take(count));
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(false),
                ErrorKind::Interrupted => Ok(true),
                _ => Err(error).context("the connection to the server broke"),
            },
        }
    }
}
