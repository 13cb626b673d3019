//! Memory does not grow with the number of requests, nor with the size of an answer.
//!
//! A test binary of its own with one test: what another test takes at the same time would be taken for growth.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::convert::Infallible;
use std::time::Duration;

use apiload::{Control, Ended, List, Phase, Plan, Record, Recorder, Request, Share, Target};
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use measure::{Arrivals, Schedule, Until};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_grows_neither_with_requests_nor_with_the_size_of_an_answer() {
    let mut recorder = Recorder::new(2);
    record(&mut recorder, 0..10_000);
    let few = status("VmRSS:");
    record(&mut recorder, 10_000..1_000_000);
    let grown = status("VmRSS:").saturating_sub(few);
    assert!(grown < MIB, "{grown} bytes more for 990,000 more requests recorded");

    let small = serve(1).await;
    run(&small, 10_000).await;
    let few = status("VmRSS:");
    run(&small, 60_000).await;
    let grown = status("VmRSS:").saturating_sub(few);
    assert!(grown < MIB, "{grown} bytes more for six times the requests");

    // 512 MiB in one answer. Up to 32 MiB of a list are kept to count its objects, in a vector that doubles as it grows;
    // 4 MiB more can be under way.
    let huge = serve(8 << 10).await;
    let before = status("VmRSS:");
    let bytes = run(&huge, 1).await;
    assert_eq!(bytes, 512 * MIB);
    let grown = status("VmHWM:").saturating_sub(before);
    assert!(grown < 100 * MIB, "{grown} bytes more for an answer of {bytes}");
}

/// Records requests with latencies from 0.1 ms to 1 s, a few of which fail.
fn record(recorder: &mut Recorder, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let intended = Duration::from_micros(number * 100);
        recorder.record(&Record {
            operation: (number % 2) as usize,
            intended,
            slip: Some(Duration::from_micros(number % 300)),
            sent: Some(intended + Duration::from_micros(50)),
            first_byte: Some(intended + Duration::from_micros(90)),
            first_object: None,
            last_object: None,
            done: intended + Duration::from_micros(100 + number * 7_919 % 1_000_000),
            body_bytes: 1_000,
            objects: None,
            ended: if number % 50 == 0 { Ended::TimedOut } else { Ended::Completed },
        });
    }
}

/// Lists as fast as it goes, this many times; returns the bytes received.
async fn run(url: &str, total: u64) -> u64 {
    let schedule = Schedule::new(Arrivals::Unlimited, Until::Total(total)).unwrap();
    let list = List { version: "v1".to_owned(), resource: "pods".to_owned(), ..List::default() };
    let mix = vec![Share { shares: 1, request: Request::QuorumList(list) }];
    let phase = Phase { clients: 16, connections: 2, ..Phase::new(schedule, mix) };
    let mut config = Config::new(url.parse().unwrap());
    config.proxy_url = None;
    let target = Target::new(&config).await.unwrap();
    let outcome = apiload::run(&target, &Plan::new(vec![phase], 1), &Control::new()).await.unwrap();
    let counts = &outcome.phases[0].total.counts;
    assert_eq!((counts.completed, counts.offered), (total, total));
    counts.body_bytes
}

/// A server whose answers have this many pieces of 64 KiB; its URL. One has no more than two bytes.
async fn serve(pieces: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let piece = if pieces == 1 { Bytes::from_static(b"{}") } else { Bytes::from(vec![b' '; 64 << 10]) };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let piece = piece.clone();
            let service = service_fn(move |_| {
                let pieces =
                    std::iter::repeat_n(piece.clone(), pieces).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
                std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(pieces)))))
            });
            let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { serving.await.ok() });
        }
    });
    url
}

/// A size of this process, in bytes: resident memory now (`VmRSS`) and at most (`VmHWM`), as in `proc_pid_status(5)`.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}
