//! A watch that feeds a ledger: events stamped when their last byte is read, decoded afterwards, and nothing lost
//! between two streams without being marked.
//!
//! One task reads the socket and stamps; another decodes and stamps the ledger. When a stream breaks, the next one
//! continues from the last resourceVersion, and what had happened meanwhile comes late: everything up to the
//! resourceVersion that the apiserver names at that moment is marked as late. (An apiserver breaks watches by itself: it
//! ends those that cannot keep up, on a busy machine soon after its start.) When the apiserver has forgotten the
//! resourceVersion (410 Gone), everything is listed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::Client;
use measure::Seen;
use record::WatchRecord;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::lines::Lines;

/// Lines that may wait for the decoder. At 4 KB an event this is a few MB, and seconds of the decoder's time.
const WAITING: usize = 1024;

/// The apiserver ends a watch after this long; longer than any phase, because what ends a watch makes events late.
const WATCH_SECONDS: u32 = 6 * 3600;

/// How long an apiserver may refuse the first watch.
const OPENS_WITHIN: Duration = Duration::from_secs(30);

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there: added, modified or listed.
    Present,
    /// It is gone.
    Gone,
}

/// The few fields of an object that a trial needs, borrowed from the line that they came in.
#[derive(Debug, Default, Deserialize)]
pub struct Object<'a> {
    /// Its metadata.
    #[serde(default, borrow)]
    pub metadata: Metadata<'a>,
    /// Its spec.
    #[serde(default, borrow)]
    pub spec: Spec<'a>,
    /// Its status.
    #[serde(default, borrow)]
    pub status: Status<'a>,
}

/// Metadata of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Name.
    #[serde(default, borrow)]
    pub name: Cow<'a, str>,
    /// What tells it apart from a later object of the same name.
    #[serde(default, borrow)]
    pub uid: Cow<'a, str>,
    /// The version that this state of the object has.
    #[serde(default, borrow)]
    pub resource_version: Cow<'a, str>,
    /// When its deletion was asked for.
    #[serde(default, borrow)]
    pub deletion_timestamp: Option<Cow<'a, str>>,
    /// Labels.
    #[serde(default, borrow)]
    pub labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// Spec of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// The node that a pod is bound to.
    #[serde(default, borrow)]
    pub node_name: Cow<'a, str>,
}

/// Status of an object.
#[derive(Debug, Default, Deserialize)]
pub struct Status<'a> {
    /// Phase of a pod.
    #[serde(default, borrow)]
    pub phase: Cow<'a, str>,
    /// Conditions.
    #[serde(default, borrow)]
    pub conditions: Vec<Condition<'a>>,
    /// Addresses of a pod.
    #[serde(default, borrow, rename = "podIPs")]
    pub pod_ips: Vec<PodIp<'a>>,
    /// Containers of a pod.
    #[serde(default, rename = "containerStatuses")]
    pub containers: Vec<Container>,
}

/// An address of a pod.
#[derive(Debug, Deserialize)]
pub struct PodIp<'a> {
    /// The address.
    #[serde(borrow)]
    pub ip: Cow<'a, str>,
}

/// A container of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// How often it was started again.
    #[serde(default)]
    pub restart_count: u32,
}

/// A condition of an object.
#[derive(Debug, Deserialize)]
pub struct Condition<'a> {
    /// Its type.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// `True`, `False` or `Unknown`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
}

impl Object<'_> {
    /// Whether its condition of that type is `True`.
    pub fn is(&self, condition: &str) -> bool {
        self.status.conditions.iter().any(|found| found.kind == condition && found.status == "True")
    }
}

#[derive(Deserialize)]
struct EventLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct ErrorLine {
    object: ErrorStatus,
}

#[derive(Deserialize)]
struct ErrorStatus {
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    metadata: PageMetadata<'a>,
    #[serde(borrow)]
    items: Vec<Object<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata<'a> {
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    #[serde(default, rename = "continue", borrow)]
    next: Cow<'a, str>,
}

/// Who takes the events, in order. Called off the timed path.
pub trait Sink: Send + 'static {
    /// An object changed, or a list showed it, at `at` from the start of the trial.
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen);

    /// A list ended: what is known and was not in it is gone.
    fn listed(&mut self, present: &[String], at: Duration);
}

/// A disturbance of the event stream, for showing that a gate can fail.
pub type Tamper = Box<dyn FnMut(&[u8]) -> Tampered + Send + Sync>;

/// What becomes of an event line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tampered {
    /// Nothing.
    Keep,
    /// It is lost.
    Drop,
    /// It is blown up by this many bytes of white space.
    Pad(usize),
    /// It is lost with its connection, and the network stays away for so long. It comes again, late.
    Cut(Duration),
}

/// What to watch.
pub struct WatchSpec {
    /// The collection: `/api/v1/nodes`.
    pub path: String,
    /// Label selector.
    pub selector: String,
    /// A disturbance, in rows that show that a gate can fail.
    pub tamper: Option<Tamper>,
}

impl std::fmt::Debug for WatchSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchSpec({}?labelSelector={})", self.path, self.selector)
    }
}

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    reader: JoinHandle<()>,
    decoder: JoinHandle<()>,
    record: Arc<Mutex<WatchRecord>>,
    list: mpsc::Sender<()>,
}

/// What the reader hands to the decoder.
enum Read {
    Line { line: Bytes, at: Duration, late: bool },
    List { pages: Vec<Bytes>, at: Duration },
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
        self.decoder.abort();
    }
}

impl Watch {
    /// Lists once, so that the watch has a beginning, and then watches. What the list holds is given to `sink` as
    /// relisted.
    ///
    /// It returns when the stream is open: an apiserver that has just started refuses watches until its cache is filled.
    ///
    /// # Errors
    /// When the first list is refused, or no stream opens within 30 s.
    pub async fn start(client: &Client, clock: Instant, spec: WatchSpec, sink: impl Sink) -> Result<Self> {
        let record = Arc::new(Mutex::new(WatchRecord::default()));
        let (lines, read) = mpsc::channel(WAITING);
        let (list, list_asked) = mpsc::channel(1);
        let (opened, open) = oneshot::channel();
        let mut reader = Reader {
            client: client.clone(),
            clock,
            path: spec.path,
            selector: spec.selector,
            tamper: spec.tamper,
            record: Arc::clone(&record),
            lines,
            list_asked,
            opened: Some(opened),
        };
        let path = reader.path.clone();
        let version = reader.list().await.map_err(Error::api(format!("cannot list {path}")))?;
        let reader = tokio::spawn(async move { reader.run(version).await });
        let decoder = tokio::spawn(decode(read, sink, Arc::clone(&record)));
        let watch = Self { reader, decoder, record, list };
        match tokio::time::timeout(OPENS_WITHIN, open).await {
            Ok(Ok(())) => {}
            _ => {
                return Err(Error::Environment(format!(
                    "no watch of {path} opens within {} s",
                    OPENS_WITHIN.as_secs()
                )));
            }
        }
        Ok(watch)
    }

    /// Asks for a list now, to see whether the watch has missed something.
    pub fn ask_list(&self) {
        // When one is asked for already, that one will do.
        self.list.try_send(()).ok();
    }

    /// What it went through so far.
    pub fn record(&self) -> WatchRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Reader {
    client: Client,
    clock: Instant,
    path: String,
    selector: String,
    tamper: Option<Tamper>,
    record: Arc<Mutex<WatchRecord>>,
    lines: mpsc::Sender<Read>,
    list_asked: mpsc::Receiver<()>,
    opened: Option<oneshot::Sender<()>>,
}

/// How a stream ended.
enum Ended {
    /// It closed or failed.
    Broken,
    /// The resourceVersion is too old.
    Gone,
    /// The decoder is gone: the trial is over.
    Over,
}

impl Reader {
    async fn run(&mut self, mut version: u64) {
        let mut late_until = 0;
        let mut pause = Duration::ZERO;
        loop {
            let before = version;
            match self.stream(&mut version, late_until).await {
                Ended::Over => return,
                Ended::Gone => {
                    self.note(|record| record.gone += 1);
                    if let Ok(listed) = self.list().await {
                        version = listed;
                        late_until = 0;
                        continue;
                    }
                }
                Ended::Broken => self.note(|record| record.breaks += 1),
            }
            // A stream that brought something is opened again at once, so that little comes late.
            pause = if version > before { Duration::ZERO } else { longer(pause) };
            // Everything up to what the apiserver names now has happened while nobody watched.
            late_until = loop {
                tokio::time::sleep(pause).await;
                match self.current_version().await {
                    Some(current) => break current,
                    None => pause = longer(pause),
                }
            };
        }
    }

    /// Reads one stream to its end. `version` follows the events; those up to `late_until` are late.
    async fn stream(&mut self, version: &mut u64, late_until: u64) -> Ended {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}&{}",
            self.selector_query()
        );
        let response = match self.client.send(self.request(&query)).await {
            Ok(response) if response.status() == http::StatusCode::GONE => return Ended::Gone,
            Ok(response) if response.status().is_success() => response,
            Ok(_) | Err(_) => return Ended::Broken,
        };
        if let Some(opened) = self.opened.take() {
            // What it took to begin is no break of what is measured.
            self.note(|record| *record = WatchRecord::default());
            opened.send(()).ok();
        }
        let mut body = response.into_body();
        let mut lines = Lines::default();
        loop {
            let piece = tokio::select! {
                frame = body.frame() => match frame {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    Some(Err(_)) | None => return Ended::Broken,
                },
                Some(()) = self.list_asked.recv() => match self.list().await {
                    Ok(_) => continue,
                    Err(_) => return Ended::Broken,
                },
            };
            let at = self.clock.elapsed();
            self.note(|record| record.bytes += piece.len() as u64);
            let mut read = Vec::new();
            lines.push(piece, |line| read.push(line));
            for line in read {
                if line.starts_with(br#"{"type":"ERROR""#) {
                    let gone = serde_json::from_slice::<ErrorLine>(&line).is_ok_and(|line| line.object.code == 410);
                    return if gone { Ended::Gone } else { Ended::Broken };
                }
                if let Some(seen) = version_of(&line) {
                    let late = seen <= late_until;
                    let line = match self.tamper.as_mut().map_or(Tampered::Keep, |tamper| tamper(&line)) {
                        Tampered::Keep => line,
                        Tampered::Drop => continue,
                        Tampered::Pad(bytes) => [&line[..], &vec![b' '; bytes]].concat().into(),
                        Tampered::Cut(away) => {
                            tokio::time::sleep(away).await;
                            return Ended::Broken;
                        }
                    };
                    *version = seen.max(*version);
                    if self.lines.send(Read::Line { line, at, late }).await.is_err() {
                        return Ended::Over;
                    }
                }
            }
        }
    }

    /// Lists everything, hands it to the decoder, and returns the list's resourceVersion.
    async fn list(&mut self) -> Result<u64, kube::Error> {
        let (mut pages, mut next) = (Vec::new(), String::new());
        let version = loop {
            let token = if next.is_empty() { String::new() } else { format!("&continue={}", escape(&next)) };
            let query = format!("limit={PAGE}&{}{token}", self.selector_query());
            let response = self.client.send(self.request(&query)).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                let code = status.as_u16();
                let message = String::from_utf8_lossy(&body).into_owned();
                let status = kube::core::Status { code, message, ..kube::core::Status::default() };
                return Err(kube::Error::Api(Box::new(status)));
            }
            let page: Page<'_> = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
            next = page.metadata.next.into_owned();
            let version = page.metadata.resource_version.parse().unwrap_or(0);
            pages.push(body);
            if next.is_empty() {
                break version;
            }
        };
        self.note(|record| record.relists += 1);
        let at = self.clock.elapsed();
        self.lines.send(Read::List { pages, at }).await.ok();
        Ok(version)
    }

    /// The resourceVersion of the collection now.
    async fn current_version(&self) -> Option<u64> {
        let query = format!("limit=1&{}", self.selector_query());
        let response = self.client.send(self.request(&query)).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let page: Page<'_> = serde_json::from_slice(&body).ok()?;
        page.metadata.resource_version.parse().ok()
    }

    fn request(&self, query: &str) -> http::Request<kube::client::Body> {
        let mut request = http::Request::new(kube::client::Body::empty());
        // The path and the escaped query are made of characters that a URI may hold.
        if let Ok(uri) = format!("{}?{query}", self.path).parse() {
            *request.uri_mut() = uri;
        }
        request
    }

    fn selector_query(&self) -> String {
        format!("labelSelector={}", escape(&self.selector))
    }

    fn note(&self, change: impl FnOnce(&mut WatchRecord)) {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The next pause between two tries: from 50 ms, doubling to 1 s.
fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

async fn decode(mut read: mpsc::Receiver<Read>, mut sink: impl Sink, record: Arc<Mutex<WatchRecord>>) {
    while let Some(read) = read.recv().await {
        match read {
            Read::Line { line, at, late } => {
                let seen = if late { Seen::Late } else { Seen::Event };
                let decoded = serde_json::from_slice::<EventLine<'_>>(&line);
                {
                    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                    record.events += 1;
                    record.undecoded += u64::from(decoded.is_err());
                }
                if let Ok(EventLine { kind, object }) = decoded {
                    match &*kind {
                        "ADDED" | "MODIFIED" => sink.change(Change::Present, &object, at, seen),
                        "DELETED" => sink.change(Change::Gone, &object, at, seen),
                        _ => {}
                    }
                }
            }
            Read::List { pages, at } => {
                let mut present = Vec::new();
                for page in &pages {
                    if let Ok(page) = serde_json::from_slice::<Page<'_>>(page) {
                        for object in &page.items {
                            present.push(object.metadata.name.to_string());
                            sink.change(Change::Present, object, at, Seen::Relist);
                        }
                    }
                }
                present.sort_unstable();
                sink.listed(&present, at);
            }
        }
    }
}

/// The resourceVersion of an event line. It is wanted before the line is decoded, and scanning for it is 20 times
/// cheaper; the first one in a line is that of the object, because the API's fields are in alphabetical order and
/// `metadata` comes before `spec`.
fn version_of(line: &[u8]) -> Option<u64> {
    const KEY: &[u8] = br#""resourceVersion":""#;
    let start = line.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let end = line[start..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&line[start..start + end]).ok()?.parse().ok()
}

/// Percent-encodes what a query value must not hold.
fn escape(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const POD: &str = r#"{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","resourceVersion":"77","labels":{"a":"b"},"managedFields":[{"x":"y"}]},"spec":{"nodeName":"n-1","containers":[{"name":"c"}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}}"#;

    #[test]
    fn the_fields_that_a_trial_needs_are_read_from_an_event() {
        let line: EventLine<'_> = serde_json::from_str(POD).unwrap();
        assert_eq!((&*line.kind, &*line.object.metadata.name), ("MODIFIED", "web-1"));
        assert_eq!((&*line.object.spec.node_name, &*line.object.status.phase), ("n-1", "Running"));
        assert!(line.object.is("Ready") && !line.object.is("PodScheduled"));
        assert_eq!(version_of(POD.as_bytes()), Some(77));
    }

    #[rstest]
    #[case::bookmark(
        r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9","creationTimestamp":null}}}"#
    )]
    #[case::node_without_spec(r#"{"type":"ADDED","object":{"metadata":{"name":"n"},"spec":{},"status":{}}}"#)]
    fn other_lines_are_read_too(#[case] line: &str) {
        serde_json::from_str::<EventLine<'_>>(line).unwrap();
    }

    #[test]
    fn a_selector_survives_the_query() {
        assert_eq!(escape("kubedyno.io/run-id=a b"), "kubedyno.io%2Frun-id%3Da%20b");
    }
}
