//! The pages, live: a small HTTP server, which a reverse proxy may stand before.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::answers::Answers;
use super::{Site, Source};

/// How many connections there are at a time; further ones wait.
const CONNECTIONS: usize = 256;

/// Within what time a request's header has to be there.
const HEADER_WITHIN: Duration = Duration::from_secs(10);

/// Within what time a connection has to be over, whose one request is answered.
const OVER_WITHIN: Duration = Duration::from_secs(30);

/// How much of a header is read, and how many fields it may have.
const HEADER_BYTES: usize = 16 * 1024;
const HEADER_FIELDS: usize = 64;

/// How often it is looked whether to stop, and how long those that are being answered then have.
const LOOK: Duration = Duration::from_millis(100);
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serving could not begin.
#[derive(Debug, Error)]
#[error("cannot serve the status pages: {source}")]
pub struct ServeError {
    /// What the system said.
    #[from]
    source: io::Error,
}

/// Answers requests on `listener` until `stop` says so, which is asked ten times a second; those that
/// are being answered then have five seconds.
///
/// A source that fails or takes more than five seconds gives a page that says that nothing can be
/// told. It is asked for the public page at most once a second, and for single accounts by four
/// threads at most.
///
/// # Errors
/// Where the listener or the threads cannot be had.
pub fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    site: Site,
    stop: &dyn Fn() -> bool,
) -> Result<(), ServeError> {
    let answers = Answers::new(source, site);
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_io().enable_time().build()?;
    let served = runtime.block_on(accept(listener, answers, stop));
    // A source that hangs is not waited for.
    runtime.shutdown_timeout(LOOK);
    Ok(served?)
}

async fn accept(
    listener: TcpListener,
    answers: Arc<Answers>,
    stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    while !stop() {
        let place = timeout(LOOK, Arc::clone(&places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { continue };
        match timeout(LOOK, listener.accept()).await {
            Ok(Ok((stream, _))) => converse(stream, place, &answers, &graceful),
            // That of one connection, or too many open files: neither is the end.
            Ok(Err(_)) => sleep(LOOK).await,
            Err(_) => {}
        }
    }
    drop(listener);
    // Whoever is not done by then is cut off.
    let _ = timeout(LAST_WORDS, graceful.shutdown()).await;
    Ok(())
}

/// Has the request of a connection answered.
fn converse(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    answers: &Arc<Answers>,
    graceful: &GracefulShutdown,
) {
    let answers = Arc::clone(answers);
    let service = service_fn(move |request: hyper::Request<_>| {
        let answers = Arc::clone(&answers);
        async move {
            let (head, _body): (_, hyper::body::Incoming) = request.into_parts();
            Ok::<_, Infallible>(answers.answer(&head.method, head.uri.path()).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_FIELDS)
        // A page is one request, and the next comes half a minute later.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // How it ended is the visitor's concern.
        let _ = timeout(OVER_WITHIN, connection).await;
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Instant;

    use super::super::SourceError;
    use super::super::sample::{Still, TOKEN, alice, running};
    use super::*;
    use crate::status::{OwnStatus, Status};

    /// A server that stops when it is dropped.
    struct Served {
        address: SocketAddr,
        stop: Arc<AtomicBool>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Served {
        fn new(source: impl Source + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&stop);
            let thread = std::thread::spawn(move || {
                let stop = || asked.load(Ordering::SeqCst);
                serve(listener, Arc::new(source), Site::default(), &stop).unwrap();
            });
            Self { address, stop, thread: Some(thread) }
        }

        /// All that comes back for what is sent.
        fn exchange(&self, sent: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // The server may refuse the rest of what is too long.
            let _ = stream.write_all(sent);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        }

        fn ask(&self, method: &str, path: &str) -> Answer {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let text = self.exchange(request.as_bytes());
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
            let head: Vec<_> = head.lines().filter(|line| !line.starts_with("date:")).collect();
            Answer { head: head.join("\n"), body: body.to_owned() }
        }

        fn get(&self, path: &str) -> Answer {
            self.ask("GET", path)
        }
    }

    impl Drop for Served {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::SeqCst);
            self.thread.take().unwrap().join().unwrap();
        }
    }

    #[derive(Debug, PartialEq)]
    struct Answer {
        head: String,
        body: String,
    }

    impl Answer {
        fn status(&self) -> &str {
            self.head.split(' ').nth(1).unwrap_or_default()
        }

        fn has(&self, field: &str) -> bool {
            self.head.lines().any(|line| line == field)
        }
    }

    /// Asked how often, and slow or failing where it is told to be.
    #[derive(Default)]
    struct Counting {
        asked: Arc<AtomicU64>,
        delay: Duration,
        fails: bool,
    }

    impl Source for Counting {
        fn status(&self) -> Result<Status, SourceError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(self.delay);
            if self.fails { Err("secret path".into()) } else { Ok(running()) }
        }
        fn own(&self, _: &str) -> Result<Option<OwnStatus>, SourceError> {
            panic!("a source with a fault")
        }
        fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
            Ok(vec![(TOKEN.to_owned(), alice())])
        }
    }

    #[test]
    fn pages_come_with_headers_that_keep_them_to_themselves() {
        let served = Served::new(Still::new());
        let kinds = [
            ("/", "text/html; charset=utf-8", "public, max-age=1"),
            ("/index.html?from=mail", "text/html; charset=utf-8", "public, max-age=1"),
            ("/still.html", "text/html; charset=utf-8", "public, max-age=1"),
            ("/status.json", "application/json", "public, max-age=1"),
            ("/u/kT4vJ0wYq2-N7_R5", "text/html; charset=utf-8", "no-store"),
            ("/u/kT4vJ0wYq2-N7_R5.html", "text/html; charset=utf-8", "no-store"),
        ];
        for (path, kind, kept) in kinds {
            let answer = served.get(path);
            assert_eq!(answer.status(), "200", "{path}");
            assert!(answer.has(&format!("content-type: {kind}")), "{path}: {}", answer.head);
            assert!(answer.has(&format!("cache-control: {kept}")), "{path}: {}", answer.head);
            assert!(answer.has("referrer-policy: no-referrer"), "{path}");
            assert!(answer.has("x-content-type-options: nosniff"), "{path}");
            assert!(answer.head.contains("frame-ancestors 'none'"), "{path}");
            assert_eq!(answer.body.contains("alice"), path.starts_with("/u/"), "{path}");
        }
    }

    #[test]
    fn whatever_has_no_page_looks_alike_to_the_byte() {
        let served = Served::new(Still::new());
        let unknown = served.get("/u/0123456789abcdef.html");
        assert_eq!(unknown.status(), "404");
        let long = format!("/u/{}", "a".repeat(4000));
        for path in [
            "/u/0123456789abcdef",
            "/u/short.html",
            "/u/",
            "/u",
            "/u/alice",
            "/u/../index.html",
            "/u/%2e%2e%2findex.html",
            "/u/%ff%fe",
            "/u/kT4vJ0wYq2-N7_R5/",
            "/u/kT4vJ0wYq2-N7_R5.html.html",
            "/u/kt4vj0wyq2-n7_r5",
            "/u/%6bT4vJ0wYq2-N7_R5",
            "//",
            "/INDEX.HTML",
            "/favicon.ico",
            "/../../etc/passwd",
            &long,
        ] {
            assert_eq!(served.get(path), unknown, "{path}");
        }
    }

    #[test]
    fn pages_can_only_be_read() {
        let served = Served::new(Still::new());
        let head = served.ask("HEAD", "/");
        assert_eq!((head.status(), head.body.as_str()), ("200", ""));
        assert_eq!(head.head, served.get("/").head);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            for path in ["/", "/u/kT4vJ0wYq2-N7_R5", "/u/0123456789abcdef"] {
                let answer = served.ask(method, path);
                assert_eq!(answer.status(), "405", "{method} {path}");
                assert!(answer.has("allow: GET, HEAD"), "{}", answer.head);
            }
        }
    }

    #[test]
    fn requests_that_are_too_long_or_none_are_turned_away_and_others_still_served() {
        let served = Served::new(Still::new());
        let field = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(100_000));
        let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
        let body = format!("POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n{}", "a".repeat(99));
        for sent in [field.as_str(), &fields, &body, "\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
            let answer = served.exchange(sent.as_bytes());
            assert!(!answer.contains(" 200 "), "{answer}");
        }
        assert_eq!(served.get("/").status(), "200");
    }

    #[test]
    fn many_who_ask_at_once_are_one_question() {
        let source = Counting { delay: Duration::from_millis(200), ..Counting::default() };
        let asked = Arc::clone(&source.asked);
        let served = Served::new(source);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..20).map(|_| scope.spawn(|| served.get("/"))).collect();
            assert!(all.into_iter().all(|one| one.join().unwrap().status() == "200"));
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        std::thread::sleep(Duration::from_millis(1100));
        served.get("/status.json");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_source_that_fails_or_panics_gives_a_page_that_tells_nothing_of_why() {
        let source = Counting { fails: true, ..Counting::default() };
        let asked = Arc::clone(&source.asked);
        let served = Served::new(source);
        for _ in 0..3 {
            let answer = served.get("/");
            assert_eq!(answer.status(), "503");
            assert!(answer.has("retry-after: 30") && answer.has("cache-control: no-store"));
            assert!(!answer.body.contains("secret") && answer.body.contains("cannot be told"));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let served = Served::new(Counting::default());
        assert_eq!(served.get("/u/kT4vJ0wYq2-N7_R5").status(), "503");
        assert_eq!(served.get("/").status(), "200");
    }

    #[test]
    fn a_source_that_hangs_is_not_waited_for_not_even_at_the_end() {
        let source = Counting { delay: Duration::from_mins(1), ..Counting::default() };
        let begun = Instant::now();
        let served = Served::new(source);
        assert_eq!(served.get("/").status(), "503");
        drop(served);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }

    #[test]
    fn who_sends_nothing_is_hung_up_on() {
        let served = Served::new(Still::new());
        let begun = Instant::now();
        assert_eq!(served.exchange(b"GET / HTTP/1.1\r\nHost:"), "");
        let taken = begun.elapsed();
        assert!(taken > HEADER_WITHIN / 2 && taken < HEADER_WITHIN * 3 / 2, "{taken:?}");
    }
}
