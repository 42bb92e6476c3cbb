//! The connection: bytes there and back, bounded in size and time.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::address::Address;
use crate::error::Error;
use crate::reader::ReplyReader;
use crate::tls::Trust;

/// So much is read at once.
const CHUNK: usize = 64 * 1024;
/// How many bytes of a reply buy its server as much time again as a reply has.
const PROGRESS: usize = 1024 * 1024;

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Between the two.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    peer: IpAddr,
    patience: Duration,
    reader: ReplyReader,
}

impl Wire {
    pub(crate) fn open(address: &Address, patience: Duration) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: address.to_string(), source };
        let resolved = (address.host.as_str(), address.port).to_socket_addrs().map_err(failed)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for to in resolved {
            match TcpStream::connect_timeout(&to, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    stream.set_write_timeout(Some(patience)).map_err(failed)?;
                    let (stream, peer) = (Stream::Plain(stream), to.ip());
                    return Ok(Self { stream, peer, patience, reader: ReplyReader::default() });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.to_canonical()
    }

    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// From now on all is encrypted. What came before in the clear is not taken for an answer.
    pub(crate) fn secure(&mut self, trust: &Trust, address: &Address) -> Result<(), Error> {
        let insecure = |why: String| Error::Insecure { address: address.to_string(), why };
        if self.reader.has_more() {
            return Err(insecure("it goes on in the clear behind STARTTLS".to_owned()));
        }
        let mut connection = trust.connection(address)?;
        let Stream::Plain(mut stream) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(insecure("it is encrypted already".to_owned()));
        };
        stream.set_read_timeout(Some(self.patience))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(|error| insecure(error.to_string()))?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let stream: &mut dyn Write = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream,
            Stream::Closed => return Err(closed()),
        };
        stream.write_all(bytes)?;
        Ok(stream.flush()?)
    }

    /// The next reply, as [`ReplyReader::next_reply`] has it.
    pub(crate) fn reply(&mut self, longest: usize) -> Result<Vec<u8>, Error> {
        let mut deadline = Deadline::new(self.patience);
        let Self { stream, reader, .. } = self;
        reader.next_reply(longest, &mut |received| receive(stream, received, &mut deadline))
    }
}

/// Appends what has come to `received`; waits until anything has.
fn receive(
    stream: &mut Stream,
    received: &mut Vec<u8>,
    deadline: &mut Deadline,
) -> Result<(), Error> {
    let left = deadline.left()?;
    let tcp = match stream {
        Stream::Plain(stream) => stream,
        Stream::Tls(stream) => stream.get_ref(),
        Stream::Closed => return Err(closed()),
    };
    tcp.set_read_timeout(Some(left))?;
    // A server that leaves Nagle's algorithm on and answers in several writes waits 40 ms for
    // our delayed acknowledgement. The kernel forgets this option, so it is set each time.
    rustix::net::sockopt::set_tcp_quickack(tcp, true).map_err(io::Error::from)?;
    let start = received.len();
    received.resize(start + CHUNK, 0);
    let room = received.get_mut(start..).unwrap_or_default();
    let count = loop {
        let read = match stream {
            Stream::Plain(stream) => stream.read(room),
            Stream::Tls(stream) => stream.read(room),
            Stream::Closed => Ok(0),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    received.truncate(start + count.as_ref().copied().unwrap_or(0));
    if count? == 0 {
        return Err(closed());
    }
    deadline.has_come(received.len() - start);
    Ok(())
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Without it a server that waits for a literal would wait for its own time-out.
        if let Stream::Plain(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Until when a reply must have come. A long one has more time, as long as it comes.
struct Deadline {
    patience: Duration,
    end: Instant,
    came: usize,
}

impl Deadline {
    fn new(patience: Duration) -> Self {
        Self { patience, end: Instant::now() + patience, came: 0 }
    }

    fn left(&self) -> Result<Duration, Error> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut).into()) } else { Ok(left) }
    }

    fn has_come(&mut self, bytes: usize) {
        self.came = self.came.saturating_add(bytes);
        if self.came >= PROGRESS {
            self.came = 0;
            self.end = Instant::now() + self.patience;
        }
    }
}

fn closed() -> Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}
