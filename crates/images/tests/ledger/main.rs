//! The ledger against a registry of a few lines: its bytes are those that the client got, however it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod faults;
mod truth;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use images::{Entry, Proxy};
use scripted::{Ending, Reply, Server, Speaks};

/// The digest that everything is asked for by.
const DIGEST: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client got.
#[derive(Debug)]
struct Got {
    head: String,
    body: Vec<u8>,
    error: Option<std::io::ErrorKind>,
}

/// A proxy before a registry that has one blob of so many bytes, and breaks off as said.
fn registry(bytes: usize, ending: Ending) -> (Server, Proxy) {
    let server = Server::start(Speaks::Http1, move |asked| {
        let mut reply = Reply::ok(vec![b'x'; if ending == Ending::Cut { bytes / 2 } else { bytes }]).ending(ending);
        reply.headers.push(("content-length", bytes.to_string()));
        if asked.uri.path().contains("/manifests/") {
            reply.headers.push(("docker-content-digest", DIGEST.to_owned()));
        }
        if asked.method == http::Method::HEAD {
            reply.body.clear();
        }
        reply
    });
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), server.address).unwrap();
    (server, proxy)
}

/// Connects from an address of loopback of one's own.
fn connect(proxy: SocketAddr, from: [u8; 4]) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((IpAddr::from(from), 0))).unwrap();
    connect(&socket, &proxy).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn blob() -> String {
    format!("/v2/app/blobs/{DIGEST}")
}

fn ask(stream: &mut TcpStream, method: &str, path: &str) {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n").unwrap();
}

/// Reads until the connection ends.
fn read(stream: &mut TcpStream) -> Got {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
    let body = bytes.split_off(head);
    Got { head: String::from_utf8(bytes).unwrap(), body, error }
}

fn get(proxy: &Proxy, path: &str) -> Got {
    let mut stream = connect(proxy.address, [127, 0, 0, 1]);
    ask(&mut stream, "GET", path);
    read(&mut stream)
}

/// The only entry, once it has ended.
fn only(proxy: &Proxy) -> Entry {
    let entries = ended(proxy);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

fn ended(proxy: &Proxy) -> Vec<Entry> {
    assert!(proxy.ledger.settles_within(PATIENCE), "{} are open", proxy.ledger.open());
    proxy.ledger.take()
}

/// Waits for something that comes within milliseconds on a machine that is not busy.
fn until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "nothing came within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
