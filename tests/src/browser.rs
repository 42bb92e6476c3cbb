//! A real browser without a window: Debian's Chromium, spoken to in its own protocol through a pair
//! of pipes, so that nothing else is needed to drive it and it ends when we do.
//!
//! It can reach this machine only: no other name is resolved. What pages nevertheless ask for is in
//! its own log of the network, see [`Browser::close`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::skipped::skip;

/// How long the browser may take for anything that it is told to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Its protocol's pipes are the descriptors 3 and 4.
const WITH_PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>"$BROWSER_LOG""#;

/// Nothing that it would do on its own, and no host but this one.
const ARGUMENTS: [&str; 14] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--hide-scrollbars",
    "--lang=en",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Whether the page's scripts run.
    pub scripts: bool,
    /// Whether the reader prefers dark.
    pub dark: bool,
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
}

impl Default for View {
    /// A window of a desktop, light, with scripts.
    fn default() -> Self {
        Self { scripts: true, dark: false, width: 1024, height: 900 }
    }
}

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    orders: ChildStdin,
    reports: Receiver<Value>,
    /// Its profile, and its logs.
    directory: TempDir,
    last_order: u64,
    /// What happened on each page, in the order of time.
    events: BTreeMap<String, Vec<Value>>,
}

/// A page of a [`Browser`], by the name of its session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page(String);

impl Browser {
    /// The machine's Chromium; where there is none, prints and records that `test` is skipped.
    ///
    /// # Panics
    /// Instead of skipping, where `MAILSTORE_REQUIRE_CYRUS` is set.
    #[must_use]
    pub fn available_or_skip(test: &str) -> Option<Self> {
        Self::start().map_err(|error| skip(test, &format!("no Chromium: {error:#}"))).ok()
    }

    fn start() -> Result<Self> {
        let program = program()?;
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let mut command = Command::new("sh");
        command.args(["-c", WITH_PIPES, "sh"]).arg(program).args(ARGUMENTS);
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command
            .arg(format!("--user-data-dir={}", path("profile").display()))
            .arg(format!("--log-net-log={}", path("network.json").display()))
            .arg("about:blank")
            .env("BROWSER_LOG", path("log"))
            .env("HOME", directory.path())
            // Where it is killed, it leaves what it has there.
            .env("TMPDIR", directory.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut process = command.spawn().context("can't run sh")?;
        let orders = process.stdin.take().context("it has a standard input")?;
        let output = process.stdout.take().context("it has a standard output")?;
        let (sender, reports) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let Ok(report) = serde_json::from_slice(&message) else { continue };
                if sender.send(report).is_err() {
                    break;
                }
            }
        });
        let events = BTreeMap::new();
        let mut browser = Self { process, orders, reports, directory, last_order: 0, events };
        browser.order(None, "Browser.getVersion", json!({})).with_context(|| browser.log())?;
        Ok(browser)
    }

    /// Opens an empty page.
    pub fn page(&mut self, view: View) -> Result<Page> {
        let target = self.order(None, "Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.order(None, "Target.attachToTarget", attach)?;
        let page = Page(text_of(&attached["sessionId"])?);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            self.tell(&page, &format!("{domain}.enable"), json!({}))?;
        }
        let metrics = json!({
            "width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.tell(&page, "Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell(&page, "Emulation.setEmulatedMedia", features)?;
        let off = json!({"value": !view.scripts});
        self.tell(&page, "Emulation.setScriptExecutionDisabled", off)?;
        Ok(page)
    }

    /// Goes to an address and waits until it is loaded, whatever the server's answer.
    pub fn goto(&mut self, page: &Page, url: &str) -> Result<()> {
        let loads = self.loads(page);
        let gone = self.tell(page, "Page.navigate", json!({ "url": url }))?;
        ensure!(gone["errorText"].is_null(), "{url}: {}", gone["errorText"]);
        self.wait_for_load(page, loads, PATIENCE)
    }

    /// Loads the page again.
    pub fn reload(&mut self, page: &Page) -> Result<()> {
        let loads = self.loads(page);
        self.tell(page, "Page.reload", json!({}))?;
        self.wait_for_load(page, loads, PATIENCE)
    }

    /// How often something was loaded in the page.
    #[must_use]
    pub fn loads(&self, page: &Page) -> usize {
        self.events_of(page, "Page.loadEventFired").count()
    }

    /// Waits until the page was loaded more than `loads` times, by itself or because it was told to.
    pub fn wait_for_load(&mut self, page: &Page, loads: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.loads(page) <= loads {
            let report = self.report(deadline).context("the page was not loaded")?;
            self.keep(report);
        }
        Ok(())
    }

    /// What an expression of the page is. Works where the page's own scripts are off, too.
    pub fn value(&mut self, page: &Page, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.tell(page, "Runtime.evaluate", asked)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].take())
    }

    /// What a reader sees: no text that is hidden.
    pub fn text(&mut self, page: &Page) -> Result<String> {
        text_of(&self.value(page, "document.body.innerText")?)
    }

    /// The page as those hear it who do not see it: role, name and value of what is not passed over.
    pub fn heard(&mut self, page: &Page) -> Result<Vec<(String, String, String)>> {
        let tree = self.tell(page, "Accessibility.getFullAXTree", json!({}))?;
        let nodes = tree["nodes"].as_array().context("a tree has nodes")?;
        let part = |node: &Value, name: &str| match &node[name]["value"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let told = nodes.iter().filter(|node| node["ignored"] != json!(true));
        Ok(told.map(|node| (part(node, "role"), part(node, "name"), part(node, "value"))).collect())
    }

    /// Every address that the page asked for.
    #[must_use]
    pub fn asked(&self, page: &Page) -> Vec<String> {
        let sent = self.events_of(page, "Network.requestWillBeSent");
        sent.filter_map(|event| event["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// What the browser complained of on the page: errors of scripts, what its policy forbade, what
    /// could not be loaded.
    #[must_use]
    pub fn complaints(&self, page: &Page) -> Vec<String> {
        let kinds = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        let all = kinds.into_iter().flat_map(|kind| self.events_of(page, kind));
        all.map(Value::to_string).collect()
    }

    /// Writes a picture of what is in the window.
    pub fn picture(&mut self, page: &Page, file: &Path) -> Result<()> {
        let form = json!({"format": "png", "optimizeForSpeed": false});
        let picture = self.tell(page, "Page.captureScreenshot", form)?;
        let bytes = BASE64_STANDARD.decode(text_of(&picture["data"])?)?;
        std::fs::write(file, bytes).with_context(|| format!("can't write {}", file.display()))
    }

    /// Ends the browser. Returns what its own log says that all pages together asked of the network:
    /// addresses of resources, and those of machines that it tried to connect to.
    pub fn close(mut self) -> Result<Vec<String>> {
        self.order(None, "Browser.close", json!({}))?;
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the browser did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read(self.directory.path().join("network.json"))?;
        network(&serde_json::from_slice(&log).context("the browser's log of the network")?)
    }

    fn tell(&mut self, page: &Page, method: &str, parameters: Value) -> Result<Value> {
        self.order(Some(page), method, parameters)
    }

    fn order(&mut self, page: Option<&Page>, method: &str, parameters: Value) -> Result<Value> {
        self.last_order += 1;
        let id = self.last_order;
        let mut order = json!({"id": id, "method": method});
        order["params"] = parameters;
        if let Some(Page(session)) = page {
            order["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&order)?;
        bytes.push(0);
        self.orders.write_all(&bytes).context("the browser has ended")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut report = self.report(deadline).context(method.to_owned())?;
            if report["id"] != json!(id) {
                self.keep(report);
            } else if report["error"].is_null() {
                return Ok(report["result"].take());
            } else {
                bail!("{method}: {}", report["error"]);
            }
        }
    }

    fn report(&mut self, deadline: Instant) -> Result<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.reports.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("the browser did not answer in time"),
            RecvTimeoutError::Disconnected => anyhow!("the browser has ended: {}", self.log()),
        })
    }

    fn keep(&mut self, report: Value) {
        let session = report["sessionId"].as_str().unwrap_or_default().to_owned();
        self.events.entry(session).or_default().push(report);
    }

    fn events_of(&self, page: &Page, method: &'static str) -> impl Iterator<Item = &Value> {
        let all = self.events.get(&page.0).into_iter().flatten();
        all.filter(move |event| event["method"] == method).map(|event| &event["params"])
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // It has ended meanwhile: all the better.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join("chromium"));
    places.find(|place| place.is_file()).context("there is no program chromium")
}

fn text_of(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}

/// What was asked for and connected to, by the browser's own log.
fn network(log: &Value) -> Result<Vec<String>> {
    let kinds = &log["constants"]["logEventTypes"];
    let number = |name: &str| kinds[name].as_u64().with_context(|| format!("no events {name}"));
    let asked = number("URL_REQUEST_START_JOB")?;
    let connected = number("TCP_CONNECT_ATTEMPT")?;
    let events = log["events"].as_array().context("a log has events")?;
    let found = events.iter().filter_map(|event| {
        let kind = event["type"].as_u64()?;
        let parameters = &event["params"];
        let told = if kind == asked {
            // What the browser wants for itself, such as updates: no page's, and no page.
            let is_its_own = parameters["initiator"] == "not an origin";
            if is_its_own && parameters["request_type"] == "other" {
                return None;
            }
            &parameters["url"]
        } else if kind == connected {
            &parameters["address"]
        } else {
            return None;
        };
        told.as_str().map(str::to_owned)
    });
    Ok(found.collect())
}
