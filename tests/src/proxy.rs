//! A TCP connection that is held, and then cut, at a chosen point of what a client delivers over IMAP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// How long the point may not be reached.
const PATIENCE: Duration = Duration::from_mins(1);

/// A point of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The client has begun an APPEND, and no byte of it has come through.
    BeforeAppend,
    /// So many bytes behind the size of an APPEND's first literal have come through.
    InLiteral(usize),
    /// The server has answered an APPEND, and no byte of the answer has come through.
    BeforeAnswer,
    /// The client has begun this command, and no byte of it has come through.
    BeforeCommand(&'static str),
    /// The server has answered this command, and no byte of the answer has come through.
    BeforeAnswerTo(&'static str),
    /// These bytes are about to come through, each time.
    Always(Vec<u8>),
}

/// Stands between a client and a server on this machine. Connections come through until one reaches
/// the point; what comes after that waits until it is cut. Later ones come through to their end.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    reached: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    point: Point,
    /// How often the point was reached.
    reached: AtomicUsize,
    /// What is held at the point may go; its connection is cut.
    cut: AtomicBool,
    tell: Mutex<Sender<()>>,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Proxy {
    /// One to the server at `upstream`.
    pub fn to(upstream: u16, point: Point) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let (tell, reached) = channel();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            point,
            reached: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            tell: Mutex::new(tell),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_listener.ended.load(Ordering::SeqCst) {
                    break;
                }
                // Where the server is gone, the client's connection ends: nothing else is to be done.
                let _ = of_listener.serve(client);
            }
        });
        Ok(Self { port, shared, reached: Mutex::new(reached) })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server listens somewhere else now.
    pub fn set_upstream(&self, port: u16) {
        self.shared.upstream.store(port, Ordering::SeqCst);
    }

    /// How often the point was reached.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.reached.load(Ordering::SeqCst)
    }

    /// Waits until the point is reached; what is there is held.
    pub fn wait(&self) -> Result<()> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.recv_timeout(PATIENCE).context("no delivery reached the point")
    }

    /// Cuts the connection that is held, and every other one that there is.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
        self.shared.sever();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        // So that the listener looks up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// What both directions of a connection know of it.
#[derive(Debug, Default)]
struct Seen {
    /// The tag of its first APPEND, or whatever command the point is at.
    tag: Option<Vec<u8>>,
}

impl Shared {
    fn sever(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn serve(self: &Arc<Self>, client: TcpStream) -> Result<()> {
        let upstream = self.upstream.load(Ordering::SeqCst);
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            let kept = stream.try_clone()?;
            self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        for (from, to, is_up) in
            [(client.try_clone()?, server.try_clone()?, true), (server, client, false)]
        {
            let (shared, seen) = (Arc::clone(self), Arc::clone(&seen));
            std::thread::spawn(move || shared.carry(from, to, is_up, &seen));
        }
        Ok(())
    }

    /// Carries bytes one way until that ends, or the point is reached and cut.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, is_up: bool, seen: &Mutex<Seen>) {
        let (mut all, mut carried, mut chunk) = (Vec::new(), 0, [0; 4096]);
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            all.extend(chunk.iter().take(count));
            let stop = self.is_armed().then(|| self.stop_of(&all, is_up, seen)).flatten();
            let end = stop.unwrap_or(all.len()).max(carried);
            let fresh = all.get(carried..end).unwrap_or_default();
            if to.write_all(fresh).is_err() {
                break;
            }
            carried = end;
            if stop.is_some() {
                self.hold();
                break;
            }
        }
        for stream in [from, to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn is_armed(&self) -> bool {
        matches!(self.point, Point::Always(_)) || !self.cut.load(Ordering::SeqCst)
    }

    /// Up to where bytes may go before the point, where that is among them.
    fn stop_of(&self, all: &[u8], is_up: bool, seen: &Mutex<Seen>) -> Option<usize> {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_up {
            let answer = [b"\r\n", seen.tag.as_deref()?, b" "].concat();
            let is_point = matches!(self.point, Point::BeforeAnswer | Point::BeforeAnswerTo(_));
            return find(all, &answer).filter(|_| is_point).map(|at| at + 2);
        }
        if let Point::Always(bytes) = &self.point {
            return find(all, bytes);
        }
        let command = match self.point {
            Point::BeforeCommand(command) | Point::BeforeAnswerTo(command) => command,
            _ => "APPEND",
        };
        let verb = find(all, format!(" {command} ").as_bytes())?;
        let line = all.get(..verb)?.iter().rposition(|&byte| byte == b'\n')? + 1;
        seen.tag = Some(all.get(line..verb)?.to_vec());
        match self.point {
            Point::BeforeAppend | Point::BeforeCommand(_) => Some(line),
            Point::InLiteral(bytes) => {
                let literal = verb + find(all.get(verb..)?, b"}\r\n")? + 3;
                (literal + bytes < all.len()).then_some(literal + bytes)
            }
            Point::BeforeAnswer | Point::BeforeAnswerTo(_) | Point::Always(_) => None,
        }
    }

    fn hold(&self) {
        self.reached.fetch_add(1, Ordering::SeqCst);
        if matches!(self.point, Point::Always(_)) {
            return;
        }
        let _ = self.tell.lock().unwrap_or_else(PoisonError::into_inner).send(());
        while !self.cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn find(all: &[u8], what: &[u8]) -> Option<usize> {
    all.windows(what.len().max(1)).position(|window| window == what)
}

/// Ends a process with SIGKILL, whether or not it has ended by itself; whether that ended it.
pub fn kill(child: &mut std::process::Child) -> Result<bool> {
    child.kill()?;
    let status = child.wait()?;
    ensure!(status.code().is_none_or(|code| code <= 2), "{status}");
    Ok(status.code().is_none())
}
