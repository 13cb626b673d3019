//! Bytes by client and digest.

use std::io::Write as _;
use std::net::{IpAddr, Shutdown, TcpStream};

use images::{Ending, Ledger, Proxy, Tally};
use proptest::prelude::*;
use rstest::rstest;
use scripted::Ending as Does;

use crate::{DIGEST, ask, blob, connect, ended, get, only, read, registry, until};

#[rstest]
#[case::nothing(0)]
#[case::one_byte(1)]
#[case::a_manifest(1_500)]
#[case::a_layer(20_000_000)]
fn a_whole_blob_is_as_many_bytes_as_the_client_got(#[case] bytes: usize) {
    let (_server, proxy) = registry(bytes, Does::Kept);
    let got = get(&proxy, &blob());
    let entry = only(&proxy);
    assert_eq!((got.body.len(), got.error), (bytes, None));
    assert_eq!((entry.sent_bytes, entry.promised_bytes), (bytes as u64, Some(bytes as u64)));
    assert_eq!((entry.ending, entry.status, entry.digest.as_deref()), (Ending::Complete, 200, Some(DIGEST)));
    assert!(entry.came_us <= entry.answered_us.unwrap() && entry.answered_us.unwrap() <= entry.ended_us);
}

#[test]
fn a_head_is_no_bytes_and_a_tag_has_the_digest_of_its_answer() {
    let (_server, proxy) = registry(1_000, Does::Kept);
    let mut stream = connect(proxy.address, [127, 0, 0, 1]);
    ask(&mut stream, "HEAD", "/v2/app/manifests/v1");
    assert!(read(&mut stream).body.is_empty());
    let entry = only(&proxy);
    assert_eq!((entry.sent_bytes, entry.promised_bytes), (0, Some(1_000)));
    assert_eq!((entry.ending, entry.digest.as_deref()), (Ending::Complete, Some(DIGEST)));
}

#[test]
fn clients_are_told_apart_by_their_addresses() {
    let (_server, proxy) = registry(100_000, Does::Kept);
    let addresses = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 3]];
    let mut streams = addresses.map(|address| connect(proxy.address, address));
    streams.iter_mut().for_each(|stream| ask(stream, "GET", &blob()));
    for stream in &mut streams {
        assert_eq!(read(stream).body.len(), 100_000);
    }
    let tallies = Ledger::tallies(&ended(&proxy));
    let of = |address: [u8; 4]| tallies[&(IpAddr::from(address), DIGEST.to_owned())];
    assert_eq!(of([127, 0, 0, 2]), Tally { requests: 1, sent_bytes: 100_000, broken_off: 0 });
    assert_eq!(of([127, 0, 0, 3]), Tally { requests: 2, sent_bytes: 200_000, broken_off: 0 });
}

#[test]
fn a_connection_that_is_kept_has_an_entry_for_each_request() {
    let (_server, proxy) = registry(70_000, Does::Kept);
    let agent = ureq::Agent::new_with_defaults();
    for _ in 0..20 {
        let mut answer = agent.get(format!("http://{}{}", proxy.address, blob())).call().unwrap();
        assert_eq!(answer.body_mut().read_to_vec().unwrap().len(), 70_000);
    }
    let entries = ended(&proxy);
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry.sent_bytes == 70_000 && entry.ending == Ending::Complete));
}

#[test]
fn a_registry_that_breaks_off_is_named_and_its_bytes_are_counted() {
    let (_server, proxy) = registry(8_000_000, Does::Cut);
    let got = get(&proxy, &blob());
    let entry = only(&proxy);
    assert_eq!(entry.sent_bytes, got.body.len() as u64);
    assert_eq!((entry.ending, entry.promised_bytes), (Ending::BrokenOff, Some(8_000_000)));
    assert!(entry.fault.unwrap().starts_with("the registry broke off"));
}

#[test]
fn a_registry_that_is_gone_is_named() {
    let (server, proxy) = registry(10, Does::Kept);
    server.stop();
    until(|| TcpStream::connect(server.address).is_err());
    let got = get(&proxy, &blob());
    assert!(got.head.starts_with("HTTP/1.1 502"), "{}", got.head);
    let entry = only(&proxy);
    assert_eq!((entry.sent_bytes, entry.ending), (got.body.len() as u64, Ending::Complete));
    assert!(entry.fault.unwrap().starts_with("the registry is not reached"));
}

#[test]
fn what_is_open_when_the_proxy_ends_is_in_the_ledger() {
    let (_server, proxy) = registry(50_000_000, Does::Kept);
    let ledger = proxy.ledger.clone();
    let mut stream = connect(proxy.address, [127, 0, 0, 1]);
    ask(&mut stream, "GET", &blob());
    until(|| ledger.open() == 1);
    drop::<Proxy>(proxy);
    let entries = ledger.take();
    let got = read(&mut stream);
    assert_eq!((ledger.open(), entries.len(), entries[0].ending), (0, 1, Ending::BrokenOff));
    assert_eq!(entries[0].sent_bytes, got.body.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A client that says that it has had enough, and then reads what is still on its way: what the proxy had written
    /// into its socket by then.
    #[test]
    fn a_client_that_breaks_off_has_been_sent_what_it_can_read(bytes in 1_000_000..30_000_000_usize, wait_ms in 0..30_u64) {
        let (_server, proxy) = registry(bytes, Does::Kept);
        let mut stream = connect(proxy.address, [127, 0, 0, 1]);
        ask(&mut stream, "GET", &blob());
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        stream.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let got = read(&mut stream);
        let entry = only(&proxy);
        prop_assert_eq!(entry.sent_bytes, got.body.len() as u64);
        prop_assert_eq!(entry.ending == Ending::Complete, got.body.len() == bytes);
    }
}
