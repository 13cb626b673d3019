//! A watch against a server that we script: what breaks is survived, what was missed is marked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Change, Object, Sink, Watch, WatchSpec};
use kube::{Client, Config};
use measure::Seen;

type Events = &'static [(&'static str, &'static str, u64)];

/// What the server does with a request.
enum Answer {
    /// A list with this resourceVersion and objects.
    List(u64, &'static [&'static str]),
    /// A stream with these events as type, name and resourceVersion, then its end.
    Events(Events),
    /// The same, but it stays open.
    Stay(Events),
    /// A status and nothing else.
    Status(u16),
    /// A stream with an event that says "410 Gone".
    GoneEvent,
    /// The connection is closed without an answer.
    Hang,
}

/// Serves the answers in order, one a connection, and keeps the requests' targets.
struct Script {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn serve(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                seen.lock().unwrap().push(target(&stream));
                reply(&mut stream, &answer);
                if matches!(answer, Answer::Stay(_)) {
                    open.push(stream);
                }
            }
            // Nothing more is expected; the streams that stay open do so until the test ends.
            std::thread::park();
            drop(open);
        });
        Self { address, requests }
    }

    fn client(&self) -> Client {
        let mut config = Config::new(self.address.parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    fn watches(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().filter(|target| target.contains("watch=true")).cloned().collect()
    }
}

fn target(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    head[0].split(' ').nth(1).unwrap().to_owned()
}

fn object(name: &str, version: u64) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}},"spec":{{}},"status":{{}}}}"#)
}

fn reply(stream: &mut TcpStream, answer: &Answer) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    let text = match answer {
        Answer::List(version, names) => {
            let items: Vec<String> = names.iter().map(|name| object(name, *version)).collect();
            let items = items.join(",");
            format!("{head}{{\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":[{items}]}}")
        }
        Answer::Events(events) | Answer::Stay(events) => {
            let line = |(kind, name, version): &(&str, &str, u64)| {
                format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", object(name, *version))
            };
            format!("{head}{}", events.iter().map(line).collect::<String>())
        }
        Answer::Status(code) => format!("HTTP/1.1 {code} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"),
        Answer::GoneEvent => {
            let status = r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410}"#;
            format!("{head}{{\"type\":\"ERROR\",\"object\":{status}}}\n")
        }
        Answer::Hang => return,
    };
    stream.write_all(text.as_bytes()).unwrap();
    stream.flush().unwrap();
}

/// Keeps what it is told, in words.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<String>>>);

impl Sink for Words {
    fn change(&mut self, change: Change, object: &Object<'_>, _: Duration, seen: Seen) {
        self.0.lock().unwrap().push(format!("{} {change:?} {seen:?}", object.metadata.name));
    }

    fn listed(&mut self, present: &[String], _: Duration) {
        self.0.lock().unwrap().push(format!("listed {}", present.join(" ")));
    }
}

/// Watches until `n` things were told, at most 20 s.
async fn watched(answers: Vec<Answer>, n: usize) -> (Vec<String>, record::WatchRecord, Script) {
    let script = Script::serve(answers);
    let words = Words::default();
    let spec = WatchSpec { path: "/api/v1/pods".to_owned(), selector: "run=1".to_owned(), tamper: None };
    let watch = Watch::start(&script.client(), None, Instant::now(), spec, words.clone()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while words.0.lock().unwrap().len() < n && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = words.0.lock().unwrap().clone();
    (told, watch.record(), script)
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_was_and_what_comes_late_is_marked() {
    let answers = vec![
        Answer::List(10, &[]),
        Answer::Events(&[("ADDED", "a", 11)]),
        // What the apiserver is at when the watch comes back: everything up to here has happened unseen.
        Answer::List(20, &[]),
        Answer::Stay(&[("ADDED", "b", 15), ("DELETED", "a", 20), ("ADDED", "c", 21)]),
    ];
    let (told, record, script) = watched(answers, 5).await;
    assert_eq!(told, ["listed ", "a Present Event", "b Present Late", "a Gone Late", "c Present Event"]);
    assert_eq!((record.breaks, record.gone, record.relists, record.events), (1, 0, 0, 4));
    assert!(script.watches()[1].contains("resourceVersion=11&"), "{:?}", script.watches());
}

#[tokio::test]
async fn a_forgotten_resource_version_is_answered_by_a_list() {
    let answers = vec![
        Answer::List(10, &[]),
        Answer::Events(&[("ADDED", "a", 11)]),
        Answer::List(11, &[]),
        Answer::GoneEvent,
        Answer::List(30, &["b", "c"]),
        Answer::Stay(&[("ADDED", "d", 31)]),
    ];
    let (told, record, script) = watched(answers, 6).await;
    let listed = ["b Present Relist", "c Present Relist", "listed b c"];
    assert_eq!(told[..2], ["listed ", "a Present Event"]);
    assert_eq!((&told[2..5], told[5].as_str()), (&listed.map(str::to_owned)[..], "d Present Event"));
    assert_eq!((record.gone, record.relists), (1, 1));
    assert!(script.watches()[2].contains("resourceVersion=30&"), "{:?}", script.watches());
}

#[tokio::test]
async fn an_apiserver_that_goes_away_and_forgets_is_survived() {
    let answers = vec![
        Answer::List(10, &[]),
        Answer::Events(&[("ADDED", "a", 11)]),
        Answer::Hang,
        Answer::Status(503),
        Answer::List(40, &[]),
        Answer::Status(410),
        Answer::List(41, &["z"]),
        Answer::Stay(&[("ADDED", "y", 42)]),
    ];
    let (told, record, _) = watched(answers, 5).await;
    assert_eq!(told, ["listed ", "a Present Event", "z Present Relist", "listed z", "y Present Event"]);
    assert_eq!((record.breaks, record.gone, record.relists), (1, 1, 1));
}

#[tokio::test]
async fn the_time_before_the_first_stream_opens_is_no_break() {
    let answers = vec![
        Answer::List(10, &[]),
        // An apiserver that has just started: its watch cache is not filled yet.
        Answer::Status(429),
        Answer::List(10, &[]),
        Answer::Stay(&[("ADDED", "a", 11)]),
    ];
    let (told, record, _) = watched(answers, 2).await;
    assert_eq!(told, ["listed ", "a Present Event"]);
    assert_eq!(record.breaks, 0);
}
