//! Fault rows: what a rollout goes through when something breaks in the middle of it. `cargo nextest run -p spegel-suite --profile
//! nightly-kind`. Their records lie in `disturbed/` of the run: what they miss is the fault's.

use disturb::{faults, nodes, prune, when};
use harness::{Injection, judged};
use images::{Fault, Kind, Rule};
use record::Trial;
use spegel_suite::{Disturb, Rig, disturbed_row, drive};

async fn faulted(test: &'static str, disturb: Option<Disturb>, injections: Vec<Injection>) -> Trial {
    let (row, benchmark) = disturbed_row("cache_fault", test).unwrap();
    let record = judged(row, async |trial| {
        injections.into_iter().for_each(|injection| trial.inject(injection));
        drive(trial, &benchmark, disturb).await
    });
    Box::pin(record).await.unwrap()
}

/// Both steps came to their end, with a pull on each node.
pub(crate) fn both_steps_are_over(record: &Trial) {
    for step in ["create", "update"] {
        let phase = record.phases.iter().find(|phase| phase.name == step);
        let phase = phase.unwrap_or_else(|| panic!("{step} is not there: {}", record.reason));
        assert_eq!((phase.verdict, phase.unaccounted), (None, 0), "{step}: {}", record.reason);
        assert_eq!(record.metrics[&format!("{step}_pulls_missing")] as i64, 0, "{step}: {}", record.reason);
    }
}

/// The registry is away, and the mirror has both versions: nobody notices but the mirror.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mirror_serves_while_the_registry_is_away() {
    let take_away = |rig: &Rig| {
        for image in ["origin.test/spegel-benchmark:v1", "origin.test/spegel-benchmark:v2"] {
            let pull =
                ["ctr", "--namespace", "k8s.io", "images", "pull", "--hosts-dir", "/etc/containerd/certs.d", image];
            nodes(false)[0].run(&pull).unwrap();
        }
        prune().unwrap();
        rig.origin.proxy().faults.inject(Rule::every(Fault::Status { status: 503, retry_after_s: None }));
    };
    let record = faulted("the_mirror_serves_while_the_registry_is_away", Some(Box::new(take_away)), Vec::new()).await;
    both_steps_are_over(&record);
    for step in ["create", "update"] {
        let figure = |name: &str| record.metrics[&format!("{step}_{name}")] as u64;
        assert_eq!((figure("hit_percent"), figure("received_from_origin_bytes")), (100, 0), "{step}");
    }
}

/// The mirror breaks off in the middle of a layer, once in each step: the node gets the rest from the registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_breaks_off_in_mid_transfer_costs_no_pull() {
    let break_off = |rig: &Rig| {
        for image in &rig.images {
            let digest = image.layers.last().map(|layer| layer.digest().to_string());
            let reset = Fault::Reset { after_bytes: 4_000_000 };
            let rule = Rule { digest, kind: Some(Kind::Blob), times: Some(1), ..Rule::every(reset) };
            rig.mirror_faults().unwrap().inject(rule);
        }
    };
    let test = "a_mirror_that_breaks_off_in_mid_transfer_costs_no_pull";
    let record = faulted(test, Some(Box::new(break_off)), Vec::new()).await;
    both_steps_are_over(&record);
}

/// A node's containerd is killed while it pulls; systemd starts another, and its kubelet asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_containerd_that_is_killed_pulls_again() {
    let kill = || {
        // In the middle of its pull: at 50 Mbit/s that takes some seconds.
        std::thread::sleep(std::time::Duration::from_secs(2));
        faults().kill("worker/containerd").map(drop).map_err(|error| error.to_string())
    };
    let injection = when("create", 0.0, "worker/containerd killed", kill);
    let record = faulted("a_containerd_that_is_killed_pulls_again", None, vec![injection]).await;
    assert_eq!(faults().revive(&|_| ()).unwrap(), ["worker/containerd"]);
    let create = record.phases.iter().find(|phase| phase.name == "create").unwrap();
    assert_eq!((create.verdict, create.unaccounted), (None, 0), "{}", record.reason);
    assert!(!record.component_deaths.is_empty());
}
