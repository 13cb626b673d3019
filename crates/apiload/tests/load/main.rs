//! The engine against a scripted server: what it reports is what happened.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod faults;
mod identity;
mod truth;

use apiload::{Control, List, Outcome, Phase, PhaseOutcome, Plan, Protocol, Request, Share, Target};
use kube::Config;
use measure::{Schedule, Until};
use scripted::{Server, Speaks};

/// The protocol in both of its spellings.
fn speaks(protocol: Protocol) -> Speaks {
    match protocol {
        Protocol::Http1 => Speaks::Http1,
        Protocol::Http2 => Speaks::Http2,
    }
}

fn config(server: &Server, scheme: &str) -> Config {
    let mut config = Config::new(format!("{scheme}://{}", server.address).parse().unwrap());
    config.proxy_url = None;
    config
}

fn list_pods() -> Request {
    Request::StaleList(List { version: "v1".to_owned(), resource: "pods".to_owned(), ..List::default() })
}

/// A phase that lists Pods at a rate.
fn phase(per_second: f64, until: Until, protocol: Protocol, clients: usize) -> Phase {
    let mix = vec![Share { shares: 1, request: list_pods() }];
    Phase { protocol, clients, ..Phase::new(Schedule::constant(per_second, until).unwrap(), mix) }
}

/// Runs one phase against a server without TLS.
async fn load(server: &Server, phase: Phase) -> PhaseOutcome {
    let target = Target::new(&config(server, "http")).await.unwrap();
    let outcome = apiload::run(&target, &Plan::new(vec![phase], 1), &Control::new()).await.unwrap();
    only(outcome)
}

fn only(mut outcome: Outcome) -> PhaseOutcome {
    assert_eq!(outcome.phases.len(), 1);
    let phase = outcome.phases.remove(0);
    assert!(phase.rows.iter().all(|row| row.counts.is_conserved()), "{:?}", phase.total.counts);
    assert!(phase.total.counts.is_conserved(), "{:?}", phase.total.counts);
    assert_eq!(phase.series.iter().map(|interval| interval.offered).sum::<u64>(), phase.total.counts.offered);
    phase
}
