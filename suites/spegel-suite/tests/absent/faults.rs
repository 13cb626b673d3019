//! What a rollout goes through when something of Spegel's breaks in the middle of it. Their records lie in `disturbed/` of the run.

use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster::{KindNode, Process};
use disturb::{faults, nodes, when};
use harness::{Injection, judged};
use images::{Fault, Faults, Rule};
use record::Trial;
use rustix::process::Signal;
use spegel_suite::mirror::instance;
use spegel_suite::{Benchmark, Disturb, Rig, drive, spegel_row};

use crate::faults::both_steps_are_over;

const BUSY: Fault = Fault::Status { status: 503, retry_after_s: None };

async fn faulted(test: &'static str, disturb: Option<Disturb>, injection: Injection) -> Trial {
    let (row, benchmark) = spegel_row::<Benchmark>("spegel_fault", Some(test)).unwrap();
    let record = judged(row, async |trial| {
        trial.inject(injection);
        drive(trial, &benchmark, disturb).await
    });
    Box::pin(record).await.unwrap()
}

/// The nodes that run the second version.
fn holders() -> Result<Vec<KindNode>, String> {
    let list = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "pods", "--all-namespaces"];
    let second =
        ["--selector", "app=spegel-benchmark,kubedyno.io/version=v2", "--field-selector", "status.phase=Running"];
    let names = ["--output", "jsonpath={.items[*].spec.nodeName}"];
    let names = nodes(true)[0].run(&[&list[..], &second, &names].concat()).map_err(|error| error.to_string())?;
    let mut holders = nodes(false);
    holders.retain(|node| names.split_whitespace().any(|name| name == node.name));
    Ok(holders)
}

/// The first of them, with its instance.
fn of_holder() -> Result<(KindNode, Process), String> {
    let holder = holders()?.into_iter().next().ok_or("no node runs the second version")?;
    let process = instance(&holder).ok_or_else(|| format!("{} has no instance", holder.name))?;
    Ok((holder, process))
}

/// Bytes that a node has sent.
fn sent(node: &KindNode) -> Result<u64, String> {
    let text = node.run(&["cat", "/sys/class/net/eth0/statistics/tx_bytes"]).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("{} counts no bytes: {text}", node.name))
}

/// The peer that has the image is killed while it sends it: what came stays, and the registry sends the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_killed_in_mid_transfer_leaves_the_rest_to_the_registry() {
    let kill = || {
        let (holder, process) = of_holder()?;
        let before = sent(&holder)?;
        while sent(&holder)? < before + 10_000_000 {
            sleep(Duration::from_millis(100));
        }
        process.kill(Duration::from_secs(5));
        Ok(())
    };
    let test = "a_peer_that_is_killed_in_mid_transfer_leaves_the_rest_to_the_registry";
    let record = faulted(test, None, when("update", 0.5, "the instance that has the image killed", kill)).await;
    both_steps_are_over(&record);
    assert!(record.component_deaths.iter().any(|death| death.starts_with("mirror/")), "{:?}", record.component_deaths);
    let copies = record.metrics["update_origin_copies"];
    assert!(copies > 1.05 && copies < 1.95, "{copies} copies left the registry: {}", record.reason);
    assert!(record.metrics["update_blobs_from_both"] >= 1.0, "{}", record.reason);
}

/// The peer that has the image answers nobody until the other node has it as well: from the registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stands_still_is_passed_over() {
    let stop = || {
        let (_, process) = of_holder()?;
        process.signal(Signal::STOP);
        let until = Instant::now() + Duration::from_secs(60);
        while holders()?.len() < 2 && Instant::now() < until {
            sleep(Duration::from_millis(200));
        }
        process.signal(Signal::CONT);
        Ok(())
    };
    let stands_still = when("update", 0.5, "the instance that has the image stopped", stop);
    let record = faulted("a_peer_that_stands_still_is_passed_over", None, stands_still).await;
    both_steps_are_over(&record);
    assert!(record.metrics["update_origin_copies"] > 1.9, "{}", record.reason);
}

/// The registry goes once one node has the image: the other one gets it from that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_serve_while_the_registry_is_away() {
    let (registry, found) = slot();
    let away = move || {
        found.get().map(|faults: &Faults| faults.inject(Rule::every(BUSY))).ok_or("nothing has begun".to_owned())
    };
    let test = "peers_serve_while_the_registry_is_away";
    let record = faulted(test, Some(registry), when("update", 0.5, "the registry away", away)).await;
    both_steps_are_over(&record);
    let copies = record.metrics["update_origin_copies"];
    assert!(copies < 1.01, "{copies} copies left the registry: {}", record.reason);
}

/// What no peer has fails to be pulled while the registry is away, and is pulled when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_waits_for_the_registry() {
    let (registry, found) = slot();
    let away = move |rig: &Rig| {
        rig.origin.proxy().faults.inject(Rule::every(BUSY));
        registry(rig);
    };
    let back = move || {
        sleep(Duration::from_secs(8));
        found.get().map(Faults::heal).ok_or("nothing has begun".to_owned())
    };
    let injection = when("create", 0.0, "the registry back after 8 s", back);
    let record = faulted("what_nobody_has_waits_for_the_registry", Some(Box::new(away)), injection).await;
    both_steps_are_over(&record);
    assert!(record.metrics["create_registry_failures"] > 0.0 && record.metrics["create_mirror_misses"] > 0.0);
}

/// A node's containerd is killed while it pulls: its instance ends with it, and comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_comes_back_after_its_containerd() {
    let kill = || {
        sleep(Duration::from_secs(3));
        faults().kill("worker/containerd").map(drop).map_err(|error| error.to_string())
    };
    let killed = when("create", 0.0, "worker/containerd killed", kill);
    let record = faulted("an_instance_comes_back_after_its_containerd", None, killed).await;
    faults().revive(&|_| ()).unwrap();
    for step in ["create", "update"] {
        let phase = record.phases.iter().find(|phase| phase.name == step).unwrap();
        assert_eq!((phase.verdict, phase.unaccounted), (None, 0), "{step}: {}", record.reason);
    }
    assert!(record.metrics["update_origin_copies"] < 1.05, "{}", record.reason);
}

/// A disturbance that does no more than to keep what can be done to the registry.
fn slot() -> (Disturb, Arc<OnceLock<Faults>>) {
    let faults = Arc::new(OnceLock::new());
    let kept = Arc::clone(&faults);
    (Box::new(move |rig: &Rig| drop(kept.set(rig.origin.proxy().faults.clone()))), faults)
}
