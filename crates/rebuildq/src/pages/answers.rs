//! What each request gets: from its address to the bytes of a page.
//!
//! Addresses are compared as they come, undecoded: what is not one of ours, byte by byte, is not
//! there. The [`Source`] may block, so it is asked on threads of their own, by few at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::layout::POLICY;
use super::renewal::Renewal;
use super::{Site, Source, SourceError, json, notices, own, public, token};
use crate::status::Status;

/// How long a request waits for the source.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long an answer of the source about all is given to further requests.
const FRESH: Duration = Duration::from_secs(1);

/// How many requests may ask for single accounts at a time.
const AT_ONCE: usize = 4;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// How long others may keep the public pages; those of accounts, and errors, never.
const PUBLIC: &str = "public, max-age=1";
const NEVER: &str = "no-store";

/// Nothing could be read, or not in time. Whoever implements the source knows more.
#[derive(Debug, Clone, Copy)]
struct Unavailable;

impl From<SourceError> for Unavailable {
    fn from(_: SourceError) -> Self {
        Self
    }
}

/// The public pages of one reading.
struct PublicPages {
    status: Status,
    page: Bytes,
    still: Bytes,
    json: Bytes,
}

/// What came of reading once, for all who ask.
type Reading = Result<Arc<PublicPages>, Unavailable>;

/// Answers requests.
pub(super) struct Answers {
    source: Arc<dyn Source>,
    site: Site,
    /// The last reading, and when it was.
    last: Mutex<Option<(Instant, Reading)>>,
    /// Who reads for all: one at a time.
    reader: Arc<Semaphore>,
    /// Those who ask for single accounts.
    askers: Arc<Semaphore>,
}

impl Answers {
    pub(super) fn new(source: Arc<dyn Source>, site: Site) -> Arc<Self> {
        let [reader, askers] = [1, AT_ONCE].map(|places| Arc::new(Semaphore::new(places)));
        Arc::new(Self { source, site, last: Mutex::new(None), reader, askers })
    }

    /// The answer to a request, with a body for HEAD too: the server leaves that out.
    pub(super) async fn answer(
        self: Arc<Self>,
        method: &Method,
        path: &str,
    ) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            return not_allowed(&self.site);
        }
        let answer = match path {
            "/" | "/index.html" => self.public_page(HTML, |pages| &pages.page).await,
            "/still.html" => self.public_page(HTML, |pages| &pages.still).await,
            "/status.json" => self.public_page(JSON, |pages| &pages.json).await,
            _ => match path.strip_prefix("/u/").and_then(token::of_file) {
                Some(token) => self.own(token.to_owned()).await,
                None => Ok(not_found(&self.site)),
            },
        };
        answer.unwrap_or_else(|Unavailable| unavailable(&self.site))
    }

    async fn public_page(
        self: &Arc<Self>,
        kind: &'static str,
        part: fn(&PublicPages) -> &Bytes,
    ) -> Result<Response<Full<Bytes>>, Unavailable> {
        let pages = self.public_pages().await?;
        Ok(response(StatusCode::OK, kind, PUBLIC, part(&pages).clone()))
    }

    async fn own(self: &Arc<Self>, token: String) -> Result<Response<Full<Bytes>>, Unavailable> {
        // First: a page is then at least as new as the time that it names.
        let pages = self.public_pages().await?;
        let (source, site) = (Arc::clone(&self.source), self.site.clone());
        let page = ask(&self.askers, move || {
            let own = source.own(&token)?;
            Ok(own.map(|own| own::page(&own, &pages.status, &site, Renewal::Constant)))
        });
        Ok(match page.await? {
            Some(page) => response(StatusCode::OK, HTML, NEVER, page.into()),
            None => not_found(&self.site),
        })
    }

    /// The last reading where it is fresh, else another.
    async fn public_pages(self: &Arc<Self>) -> Reading {
        if let Some(fresh) = self.fresh() {
            return fresh;
        }
        let this = Arc::clone(self);
        ask(&self.reader, move || {
            // Others have waited for the same reading.
            this.fresh().unwrap_or_else(|| this.read())
        })
        .await
    }

    fn fresh(&self) -> Option<Reading> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, read) = last.as_ref()?;
        (at.elapsed() < FRESH).then(|| read.clone())
    }

    fn read(&self) -> Reading {
        let read = read_public(self.source.as_ref(), &self.site).map(Arc::new);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), read.clone()));
        read
    }
}

fn read_public(source: &dyn Source, site: &Site) -> Result<PublicPages, Unavailable> {
    let status = source.status()?;
    let json = json::document(&status).map_err(|_| Unavailable)?.into();
    let [page, still] = [true, false].map(|itself| public::page(&status, site, itself).into());
    Ok(PublicPages { status, page, still, json })
}

/// Asks what may block, as one of those for whom `places` has room. One that hangs keeps its place,
/// so that no more threads hang than there are places.
async fn ask<T: Send + 'static>(
    places: &Arc<Semaphore>,
    question: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
) -> Result<T, Unavailable> {
    let asked = async {
        let place = Arc::clone(places).acquire_owned().await.map_err(|_| Unavailable)?;
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question();
            drop(place);
            answer
        });
        answer.await.map_err(|_| Unavailable)?
    };
    timeout(PATIENCE, asked).await.map_err(|_| Unavailable)?
}

fn not_found(site: &Site) -> Response<Full<Bytes>> {
    response(StatusCode::NOT_FOUND, HTML, NEVER, notices::not_found(site).into())
}

fn unavailable(site: &Site) -> Response<Full<Bytes>> {
    let body = notices::unavailable(site).into();
    let mut response = response(StatusCode::SERVICE_UNAVAILABLE, HTML, NEVER, body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

fn not_allowed(site: &Site) -> Response<Full<Bytes>> {
    let body = notices::not_allowed(site).into();
    let mut response = response(StatusCode::METHOD_NOT_ALLOWED, HTML, NEVER, body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn response(
    status: StatusCode,
    kind: &'static str,
    kept: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, kept),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page itself cannot say who may frame it.
    let policy = HeaderValue::try_from(format!("{}; frame-ancestors 'none'", *POLICY));
    if let Ok(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
