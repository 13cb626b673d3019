//! Faults that are asked for, and their marks in the ledger.

use std::time::{Duration, Instant};

use images::{Ending, Fault, Kind, Rule};
use rstest::rstest;
use scripted::Ending as Does;

use crate::{blob, connect, ended, get, only, read, registry};

#[rstest]
#[case(503, None)]
#[case(429, Some(7))]
fn a_status_is_given_as_often_as_asked_and_then_the_blob(#[case] status: u16, #[case] retry_after_s: Option<u32>) {
    let (_server, proxy) = registry(1_000, Does::Kept);
    let fault = Fault::Status { status, retry_after_s };
    proxy.faults.inject(Rule { times: Some(2), kind: Some(Kind::Blob), ..Rule::every(fault) });
    let heads = [(); 3].map(|()| get(&proxy, &blob()).head);
    let statuses = heads.each_ref().map(|head| head[9..12].parse::<u16>().unwrap());
    assert_eq!(statuses, [status, status, 200]);
    assert_eq!(heads[0].contains("retry-after: 7"), retry_after_s.is_some());
    let entries = ended(&proxy);
    let faults: Vec<_> = entries.iter().map(|entry| entry.fault.clone()).collect();
    assert_eq!(faults, [Some(format!("status {status}")), Some(format!("status {status}")), None]);
    assert_eq!(entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), statuses);
}

#[rstest]
#[case(0)]
#[case(1)]
#[case(1_000_000)]
fn a_reset_comes_after_exactly_its_bytes(#[case] after_bytes: u64) {
    let (_server, proxy) = registry(5_000_000, Does::Kept);
    proxy.faults.inject(Rule { times: Some(1), ..Rule::every(Fault::Reset { after_bytes }) });
    let got = get(&proxy, &blob());
    let entry = only(&proxy);
    assert_eq!(got.error, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!((got.body.len() as u64, entry.sent_bytes), (after_bytes, after_bytes));
    assert_eq!(entry.ending, Ending::BrokenOff);
    assert_eq!(get(&proxy, &blob()).body.len(), 5_000_000);
}

#[test]
fn a_slow_registry_sends_at_its_rate() {
    let (_server, proxy) = registry(500_000, Does::Kept);
    proxy.faults.inject(Rule::every(Fault::Slow { bytes_per_second: 1_000_000 }));
    let started = Instant::now();
    assert_eq!(get(&proxy, &blob()).body.len(), 500_000);
    let took = started.elapsed();
    assert!((Duration::from_millis(499)..Duration::from_secs(10)).contains(&took), "{took:?}");
    proxy.faults.heal();
    let entry = only(&proxy);
    assert_eq!((entry.sent_bytes, entry.ending), (500_000, Ending::Complete));
    assert_eq!(entry.fault.as_deref(), Some("1000000 bytes per second"));
    assert!(entry.ended_us - entry.came_us >= 499_000);
}

#[test]
fn a_push_meets_no_fault() {
    let (_server, proxy) = registry(10, Does::Kept);
    proxy.faults.inject(Rule::every(Fault::Status { status: 500, retry_after_s: None }));
    let mut stream = connect(proxy.address, [127, 0, 0, 1]);
    std::io::Write::write_all(
        &mut stream,
        b"PUT /v2/app/manifests/v1 HTTP/1.1\r\nhost: r\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
    )
    .unwrap();
    assert!(read(&mut stream).head.starts_with("HTTP/1.1 200"));
    let entry = only(&proxy);
    assert_eq!((entry.received_bytes, entry.fault), (5, None));
}
