//! Chromium without a window, as far as these tests need its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>): one page, what it does, and everything that it says.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

const DEADLINE: Duration = Duration::from_secs(60);
/// Answers of the protocol may be large, as trees of a page are.
const MOST_BYTES: usize = 64 << 20;

/// A page of a browser of its own, which ends with it.
pub(crate) struct Page {
    browser: Child,
    _profile: tempfile::TempDir,
    socket: WebSocketStream<TcpStream>,
    session: Value,
    last: u64,
    events: Vec<Value>,
}

/// A request that the page made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
}

impl Page {
    /// An empty page of a new browser.
    pub(crate) async fn open() -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let program = std::env::var("POSTERN_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let mut browser = Command::new(&program)
            .args(["--headless=new", "--remote-debugging-port=0", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            // The sandbox does not work for root, and the only pages are ours.
            .args(["--no-sandbox", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; POSTERN_CHROMIUM may name another"));
        let said = browser.stderr.take().expect("piped");
        let endpoint = tokio::task::spawn_blocking(|| endpoint(BufReader::new(said)));
        let endpoint = within("the browser starts", endpoint).await.expect("it is read");
        let authority = endpoint.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(authority).await.expect("the browser listens");
        let limits = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
        let (socket, _) = client_async_with_config(&endpoint, stream, Some(limits)).await.expect("a WebSocket");
        let mut page = Self { browser, _profile: profile, socket, session: Value::Null, last: 0, events: Vec::new() };
        page.attach().await;
        page
    }

    async fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        self.session = self.call("Target.attachToTarget", attach).await["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({})).await;
        }
    }

    /// Calls a method of the protocol and returns its result.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(message.to_string())).await.expect("the browser runs");
        loop {
            let answer = self.read().await;
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    async fn read(&mut self) -> Value {
        loop {
            let message = within("the browser answers", self.socket.next()).await.expect("the browser runs");
            if let Message::Text(text) = message.expect("a message") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }

    /// Loads `url`, to its end.
    pub(crate) async fn load(&mut self, url: &str) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        let navigated = self.call("Page.navigate", json!({ "url": url })).await;
        // Where the fragment alone differs, nothing is loaded.
        let is_loaded = |events: &[Value]| events.iter().any(|event| event["method"] == "Page.loadEventFired");
        while !navigated["loaderId"].is_null() && !is_loaded(&self.events) {
            let event = self.read().await;
            self.events.push(event);
        }
    }

    /// Goes to a view of the page that is loaded, as a link would.
    pub(crate) async fn go(&mut self, place: &str) {
        self.evaluate(&format!("location.hash = {}", json!(place))).await;
    }

    /// The value of an expression of the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until `condition`, an expression, holds on the page; it is looked at when the page changes, and returned.
    pub(crate) async fn until(&mut self, condition: &str) -> Value {
        let waiting = format!(
            "new Promise((resolve) => {{
               const look = () => {{
                 const holds = ({condition});
                 if (holds) {{ observer.disconnect(); resolve(holds); }}
               }};
               const observer = new MutationObserver(look);
               observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
               look();
             }})"
        );
        match tokio::time::timeout(DEADLINE, self.evaluate(&waiting)).await {
            Ok(value) => value,
            Err(_) => panic!("not in time: {condition}; the page said {:#?}", self.complaints()),
        }
    }

    /// What is shown, as a reader sees it.
    pub(crate) async fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Types `text` where the focus is.
    pub(crate) async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key, which may have a `text`.
    pub(crate) async fn press(&mut self, key: &str, text: &str) {
        let code = if key == "Enter" { 13 } else { 0 };
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Makes the page as wide as a phone, or as a desk's screen.
    pub(crate) async fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Everything that the page has asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let asked = |event: &Value| {
            let request = &event["params"]["request"];
            let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
            Asked { method: text("method"), url: text("url") }
        };
        requests.map(asked).collect()
    }

    /// Errors and warnings of the console, exceptions, and violations of the page's policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_complaint = |event: &&Value| {
            let parameters = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => {
                    ["error", "warning", "assert"].iter().any(|it| parameters["type"] == *it)
                }
                // How a browser tells that a question made no sense; the page says why.
                Some("Log.entryAdded") if is_refused_question(&parameters["entry"]) => false,
                Some("Log.entryAdded") => ["error", "warning"].iter().any(|it| parameters["entry"]["level"] == *it),
                _ => false,
            }
        };
        self.events.iter().filter(is_complaint).map(|event| event["params"].to_string()).collect()
    }
}

fn is_refused_question(entry: &Value) -> bool {
    let has = |name: &str, text: &str| entry[name].as_str().is_some_and(|value| value.contains(text));
    has("source", "network") && has("text", "status of 400") && has("url", "/api/v1/explain?")
}

impl Drop for Page {
    fn drop(&mut self) {
        let _gone = self.browser.kill();
        let _gone = self.browser.wait();
    }
}

/// Where the browser says that it listens; what it says afterwards is read too, so that it never waits for a reader.
fn endpoint(mut said: impl BufRead + Send + 'static) -> String {
    let mut all = String::new();
    let mut line = String::new();
    while said.read_line(&mut line).unwrap_or_default() > 0 {
        if let Some(endpoint) = line.trim().strip_prefix("DevTools listening on ") {
            let endpoint = endpoint.to_owned();
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return endpoint;
        }
        all.push_str(&line);
        line.clear();
    }
    panic!("the browser ended:\n{all}");
}

async fn within<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, it).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}
