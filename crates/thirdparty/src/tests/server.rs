//! A release host whose answers are scripted, on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What a path answers.
#[derive(Clone)]
pub(super) enum Answer {
    /// The whole body.
    Body(Vec<u8>),
    /// The first half of the body, then the end of the connection.
    Half(Vec<u8>),
    /// The first half of the body, then nothing.
    Stall(Vec<u8>),
    /// The whole body, once the gate is open.
    Gated(Vec<u8>, Arc<Gate>),
    /// A status without a body.
    Status(u16),
}

/// Closed until it is opened.
#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }
}

pub(super) struct Server {
    pub(super) base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start<const N: usize>(answers: [(&str, Answer); N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers: BTreeMap<_, _> = answers.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        let (answers, requests) = (Arc::new(answers), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                thread::spawn(move || serve(stream.unwrap(), &answers, &log));
            }
        });
        Self { base, requests }
    }

    /// The paths that were asked for, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answers: &BTreeMap<String, Answer>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.find(|line| line.is_empty());
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let answer = answers.get(&path).cloned().unwrap_or(Answer::Status(404));
    log.lock().unwrap().push(path);

    // A client that has heard enough hangs up, which is not an error here.
    let _ = match answer {
        Answer::Body(body) => send(&mut stream, 200, body.len(), &body),
        Answer::Half(body) => send(&mut stream, 200, body.len(), &body[..body.len() / 2]),
        Answer::Stall(body) => {
            let sent = send(&mut stream, 200, body.len(), &body[..body.len() / 2]);
            // Until the client hangs up.
            sent.and_then(|()| stream.read(&mut [0]).map(drop))
        }
        Answer::Gated(body, gate) => {
            gate.pass();
            send(&mut stream, 200, body.len(), &body)
        }
        Answer::Status(status) => send(&mut stream, status, 0, &[]),
    };
}

fn send(stream: &mut TcpStream, status: u16, length: usize, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(body)?;
    stream.flush()
}
