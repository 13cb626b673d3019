//! Whatever the server does to a request, it is counted once, by its name, and the load goes on.

use std::time::Duration;

use apiload::{Control, Failure, PhaseOutcome, Plan, Protocol, Share, Target, WatchList};
use bytes::Bytes;
use http::StatusCode;
use measure::{Arrivals, Schedule, Until};
use rstest::rstest;
use scripted::{Ending, Reply, Server, Speaks};

use crate::{config, load, only, phase, speaks};

const SECOND: Duration = Duration::from_secs(1);

fn failed(outcome: &PhaseOutcome, failure: Failure) -> u64 {
    outcome.total.counts.failed.get(&failure).copied().unwrap_or_default()
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_connection_fails_what_was_on_it_and_is_opened_again(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |asked| {
        Reply::ok("{}").ending(if asked.number % 20 == 19 { Ending::Dropped } else { Ending::Kept })
    });
    let outcome = load(&server, phase(200.0, Until::Total(200), protocol, 4)).await;
    let counts = &outcome.total.counts;
    let dropped = failed(&outcome, Failure::Reset);
    // What else was under way on a shared connection goes with it.
    assert!(dropped >= 9 && (protocol == Protocol::Http2 || dropped == 10), "{counts:?}");
    assert_eq!(counts.completed + dropped, 200, "{counts:?}");
    assert!(outcome.connections.reconnects >= 9, "{:?}", outcome.connections.reconnects);
    assert_eq!(outcome.total.failed.response.count(), dropped);
    assert_eq!(outcome.total.times().response.count(), 200);
    assert!(!outcome.failures.is_empty());
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_goodbye_costs_a_connection_and_hardly_a_request(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |asked| {
        let ending = if asked.number % 50 == 49 { Ending::GoAway } else { Ending::Kept };
        Reply::ok("{}").after(Duration::from_millis(2)).ending(ending)
    });
    let outcome = load(&server, phase(200.0, Until::Total(300), protocol, 8)).await;
    let counts = &outcome.total.counts;
    // A request can cross the goodbye on the wire; then the server has not processed it, and it fails by that name.
    let crossed = failed(&outcome, Failure::GoAway) + failed(&outcome, Failure::Reset);
    assert_eq!(counts.completed + crossed, 300, "{counts:?}");
    assert!(crossed <= 10, "{counts:?} {:?}", outcome.failures);
    assert!(outcome.connections.reconnects >= 3, "{}", outcome.connections.reconnects);
    assert_eq!(outcome.connections.goaways > 0, protocol == Protocol::Http2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_is_counted_by_flow_schema_and_never_retried_by_itself() {
    let server = Server::start(Speaks::Http2, |asked| {
        let rejected = asked.number % 2 == 0;
        let mut reply = Reply::ok(if rejected { r#"{"message":"too many requests"}"# } else { "{}" });
        reply.headers.push(("x-kubernetes-pf-flowschema-uid", "schema-1".to_owned()));
        reply.headers.push(("x-kubernetes-pf-prioritylevel-uid", "level-1".to_owned()));
        if rejected {
            reply.status = StatusCode::TOO_MANY_REQUESTS;
            reply.headers.push(("retry-after", "3".to_owned()));
        }
        reply
    });
    let outcome = load(&server, phase(400.0, Until::Total(200), Protocol::Http2, 8)).await;
    assert_eq!((outcome.total.counts.completed, failed(&outcome, Failure::Status(429))), (100, 100));
    assert_eq!(outcome.total.counts.retried, 0);
    assert_eq!((outcome.retry_after.answers, outcome.retry_after.max_s), (100, 3));
    let [flow] = &outcome.flow_control[..] else { panic!("{:?}", outcome.flow_control) };
    assert_eq!((flow.answers, flow.rejected, flow.flow_schema_uid.as_bytes()), (200, 100, &b"schema-1"[..]));
    assert_eq!(outcome.failures[0].message, "too many requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_counted_and_keeps_the_time_of_the_first_intention() {
    let server = Server::start(Speaks::Http2, |asked| {
        let mut reply = Reply::ok("{}");
        if asked.number == 0 {
            reply.status = StatusCode::SERVICE_UNAVAILABLE;
            reply.headers.push(("retry-after", "1".to_owned()));
        }
        reply
    });
    let mut phase = phase(10.0, Until::Total(1), Protocol::Http2, 1);
    phase.max_retries = 2;
    let outcome = load(&server, phase).await;
    assert_eq!((outcome.total.counts.completed, outcome.total.counts.retried), (1, 1));
    let times = outcome.total.times();
    assert!(times.response.quantile(1.0) >= Some(SECOND));
    assert!(times.service.quantile(1.0) < Some(SECOND));
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_after_its_head_is_no_success(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |asked| {
        Reply::ok("half").ending(if asked.number % 2 == 0 { Ending::Cut } else { Ending::Kept })
    });
    let outcome = load(&server, phase(200.0, Until::Total(50), protocol, 1)).await;
    assert_eq!((outcome.total.counts.completed, failed(&outcome, Failure::Body)), (25, 25), "{:?}", outcome.failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_parts_the_first_byte_from_the_last() {
    let server = Server::start(Speaks::Http2, |_| {
        let mut reply = Reply::ok("");
        reply.body = vec![(Duration::from_millis(20), Bytes::from_static(b"piece")); 5];
        reply
    });
    let outcome = load(&server, phase(50.0, Until::Total(20), Protocol::Http2, 20)).await;
    let service = outcome.total.times().service.quantile(0.5).unwrap();
    let first = outcome.total.first_byte.quantile(0.5).unwrap();
    assert!(service >= Duration::from_millis(100), "{service:?}");
    assert!(first < service / 2, "{first:?} of {service:?}");
    assert_eq!(outcome.total.counts.body_bytes, 20 * 25);
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_an_answer_times_out_and_is_in_the_percentiles(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |asked| {
        Reply::ok("{}").after(if asked.number % 10 == 0 { SECOND * 30 } else { Duration::ZERO })
    });
    let mut phase = phase(100.0, Until::Total(100), protocol, 20);
    phase.timeout = Duration::from_millis(300);
    let outcome = load(&server, phase).await;
    let counts = &outcome.total.counts;
    assert_eq!((counts.completed, counts.timed_out), (90, 10), "{counts:?}");
    assert!(outcome.total.times().response.quantile(0.99) >= Some(Duration::from_millis(300)));
    assert!(outcome.total.completed.response.quantile(0.5) < Some(Duration::from_millis(300)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_many_to_wait_is_never_sent_and_leaves_no_percentile_that_it_could_decide() {
    let server = Server::start(Speaks::Http2, |_| Reply::ok("{}").after(Duration::from_millis(500)));
    let mut phase = phase(100.0, Until::Total(100), Protocol::Http2, 2);
    phase.backlog = 4;
    let outcome = load(&server, phase).await;
    let counts = &outcome.total.counts;
    assert!(counts.never_sent > 80, "{counts:?}");
    assert_eq!(counts.completed + counts.never_sent, 100);
    assert_eq!(outcome.total.times().response.quantile_of(0.5, counts.unknown()), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_stopped_gives_what_was_had() {
    let server = Server::start(Speaks::Http2, |asked| {
        Reply::ok("{}").after(if asked.number < 20 { Duration::ZERO } else { SECOND * 30 })
    });
    let target = Target::new(&config(&server, "http")).await.unwrap();
    let plan = Plan::new(vec![phase(100.0, Until::Elapsed(SECOND * 60), Protocol::Http2, 5); 2], 1);
    let control = Control::new();
    let stop = control.clone();
    let mut live = control.live();
    tokio::spawn(async move {
        live.wait_for(|live| live.in_flight == 5 && live.backlog > 0).await.ok();
        stop.stop();
    });
    let outcome = apiload::run(&target, &plan, &control).await.unwrap();
    assert!(outcome.stopped);
    let outcome = only(outcome);
    let counts = &outcome.total.counts;
    assert_eq!((counts.completed, counts.cancelled), (20, 5), "{counts:?}");
    assert_eq!(counts.never_sent, counts.offered - 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_when_waiting_is_over_is_cancelled() {
    let server = Server::start(Speaks::Http2, |_| Reply::ok("{}").after(SECOND * 30));
    let mut phase = phase(100.0, Until::Total(10), Protocol::Http2, 4);
    phase.drain = Duration::from_millis(100);
    let outcome = load(&server, phase).await;
    let counts = &outcome.total.counts;
    assert_eq!((counts.cancelled, counts.never_sent, counts.offered), (4, 6, 10));
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_fails_the_rest_and_not_the_load(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |_| Reply::ok("{}"));
    let target = Target::new(&config(&server, "http")).await.unwrap();
    let plan = Plan::new(vec![phase(200.0, Until::Total(400), protocol, 8)], 1);
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        server.stop();
    });
    let outcome = only(apiload::run(&target, &plan, &Control::new()).await.unwrap());
    let counts = &outcome.total.counts;
    assert!(counts.completed > 100 && failed(&outcome, Failure::Connect) > 100, "{counts:?}");
    assert_eq!(counts.completed + counts.failures(), 400);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_an_error_that_says_so() {
    let server = Server::start(Speaks::Http2, |_| Reply::ok("{}"));
    let config = config(&server, "http");
    server.stop();
    while std::net::TcpStream::connect(server.address).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let target = Target::new(&config).await.unwrap();
    let plan = Plan::new(vec![phase(10.0, Until::Total(1), Protocol::Http2, 1)], 1);
    let error = apiload::run(&target, &plan, &Control::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("no connection to http://127.0.0.1:") && error.contains("refused"), "{error}");
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streaming_list_ends_at_its_bookmark_and_counts_its_objects(#[case] protocol: Protocol) {
    let server = Server::start(speaks(protocol), |asked| {
        assert!(asked.uri.query().unwrap().contains("sendInitialEvents=true"), "{}", asked.uri);
        let added = Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"p\"}}}\n");
        let bookmark = Bytes::from_static(
            b"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
        );
        let mut reply = Reply::ok("");
        let wait = Duration::from_millis(50);
        reply.body = vec![
            (Duration::ZERO, added.repeat(9).into()),
            (wait, added),
            (wait, bookmark),
            (SECOND * 30, Bytes::new()),
        ];
        reply
    });
    let mut phase = phase(20.0, Until::Total(10), protocol, 10);
    let watch = WatchList { version: "v1".to_owned(), resource: "pods".to_owned(), ..WatchList::default() };
    phase.mix = vec![Share { shares: 1, request: apiload::Request::WatchList(watch) }];
    let outcome = load(&server, phase).await;
    let row = &outcome.rows[0];
    assert_eq!(row.counts.completed, 10, "{:?}", outcome.failures);
    assert_eq!((row.objects.answers, row.objects.min, row.objects.max), (10, 10, 10));
    let (first, last) = (row.first_object.quantile(0.5).unwrap(), row.last_object.quantile(0.5).unwrap());
    let done = row.times().service.quantile(0.5).unwrap();
    assert!(
        last >= first + Duration::from_millis(40) && done >= last + Duration::from_millis(40),
        "{first:?} {last:?} {done:?}"
    );
    assert!(row.counts.body_bytes > 10 * 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlimited_requests_go_as_fast_as_they_are_answered() {
    let server = Server::start(Speaks::Http2, |_| Reply::ok("{}").after(Duration::from_millis(10)));
    let mut phase = phase(1.0, Until::Total(1), Protocol::Http2, 10);
    phase.schedule = Schedule::new(Arrivals::Unlimited, Until::Total(500)).unwrap();
    let outcome = load(&server, phase).await;
    assert_eq!((outcome.total.counts.offered, outcome.total.counts.completed), (500, 500));
    assert_eq!(outcome.slip.count(), 0, "nothing was due, so nothing was late");
    let times = outcome.total.times();
    let (response, service) = (times.response.quantile(0.5).unwrap(), times.service.quantile(0.5).unwrap());
    assert!(response < service * 2, "{response:?} {service:?}");
}
