//! Each gate can be missed: the registry, a node or its account is disturbed, and the verdict says so. Their records lie in
//! `disturbed/` of the run, apart from its results.

use std::sync::Arc;
use std::time::Duration;

use cluster::KindNode;
use disturb::{Again, Kubelets, faults, kubectl, missed, prune, when};
use harness::{Injection, judged};
use image_pull_suite::{Disturb, disturbed_row, drive};
use images::{Fault, Kind, Rule};
use measure::Verdict;
use origin::Origin;
use record::Trial;

/// Runs the row with a disturbance from the start, and returns what was judged.
async fn disturbed(test: &'static str, disturb: Option<Disturb>) -> Trial {
    of_row("disturbed", test, disturb, None).await
}

/// Runs the row with one when a phase has come so far.
async fn injected(test: &'static str, injection: Injection) -> Trial {
    of_row("disturbed", test, None, Some(injection)).await
}

async fn of_row(row: &str, test: &str, disturb: Option<Disturb>, injection: Option<Injection>) -> Trial {
    let (row, pull) = disturbed_row(row, test).unwrap();
    let record = judged(row, async |trial| {
        injection.into_iter().for_each(|injection| trial.inject(injection));
        drive(trial, &pull, disturb).await
    });
    Box::pin(record).await.unwrap()
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = of_row("disturbed_again", "nothing_is_missed_when_nothing_disturbs", None, None).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_has_become_slow_is_seen_beside_its_goodput() {
    let slow = |origin: &Origin, _: &[KindNode], _: &str| {
        let slow = Fault::Slow { bytes_per_second: 2_000_000 };
        origin.proxy().faults.inject(Rule { kind: Some(Kind::Blob), ..Rule::every(slow) });
    };
    let record = disturbed("a_registry_that_has_become_slow_is_seen_beside_its_goodput", Some(Box::new(slow))).await;
    assert!(missed(&record, "create_fetch_over_goodput"), "{}", record.reason);
    assert!(!missed(&record, "create_bytes_astray"), "every byte still came once: {}", record.reason);
}

/// So slow that no pod starts within the document's 3 minutes, nor all Deployments within the scenario's 5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_takes_minutes_misses_the_documents_limits() {
    let slow = |origin: &Origin, _: &[KindNode], _: &str| {
        let slow = Fault::Slow { bytes_per_second: 4_000 };
        origin.proxy().faults.inject(Rule { kind: Some(Kind::Blob), ..Rule::every(slow) });
    };
    let test = "a_registry_that_takes_minutes_misses_the_documents_limits";
    let record = of_row("disturbed_slow", test, Some(Box::new(slow)), None).await;
    assert!(missed(&record, "create_pod_startup_p99_ms"), "{}", record.reason);
    assert!(missed(&record, "create_s"), "{}", record.reason);
}

/// What was measured before the trial is not what the nodes had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodput_that_was_not_the_registrys_is_seen() {
    let widen = |origin: &Origin, _: &[KindNode], _: &str| {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(origin.shape(200))).unwrap();
    };
    let record = disturbed("a_goodput_that_was_not_the_registrys_is_seen", Some(Box::new(widen))).await;
    assert!(missed(&record, "create_fetch_over_goodput"), "{}", record.reason);
    assert!(record.metrics["create_fetch_over_goodput"] < 0.95, "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_fails_once_is_in_the_account() {
    let fail = |origin: &Origin, _: &[KindNode], _: &str| {
        let busy = Fault::Status { status: 503, retry_after_s: None };
        origin.proxy().faults.inject(Rule { kind: Some(Kind::Blob), times: Some(1), ..Rule::every(busy) });
    };
    let record = disturbed("a_registry_that_fails_once_is_in_the_account", Some(Box::new(fail))).await;
    assert!(missed(&record, "create_registry_failures"), "{}", record.reason);
}

/// Somebody else pulls the image onto a node, after it was taken off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_there_already_is_no_pull() {
    let pull = |_: &Origin, workers: &[KindNode], image: &str| {
        let hosts = ["--hosts-dir", "/etc/containerd/certs.d", image];
        let pull = ["ctr", "--namespace", "k8s.io", "images", "pull"];
        workers[0].run(&[&pull[..], &hosts].concat()).unwrap();
    };
    let record = disturbed("an_image_that_is_there_already_is_no_pull", Some(Box::new(pull))).await;
    assert!(missed(&record, "create_image_digests_held_before"), "{}", record.reason);
}

/// The pods run, and the nodes do not hold what was sent to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_no_node_holds_are_astray() {
    let act = || {
        // The pods are ready 10 s after their pulls.
        std::thread::sleep(Duration::from_secs(9));
        prune()
    };
    let record = injected("bytes_that_no_node_holds_are_astray", when("create", 0.0, "images pruned", act)).await;
    assert!(missed(&record, "create_bytes_astray"), "{}", record.reason);
}

/// Somebody deletes the kubelets' events, in both rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_that_no_kubelet_tells_of_leave_no_data() {
    let _lost = Again::of(|| {
        kubectl(&["delete", "events", "--all-namespaces", "--field-selector", "reason=Pulled"]).ok();
    });
    let record = of_row("disturbed_again", "pulls_that_no_kubelet_tells_of_leave_no_data", None, None).await;
    assert_eq!(record.verdict, Some(Verdict::NoData), "{}", record.reason);
    assert!(missed(&record, "create_pulls_missing"), "{}", record.reason);
    assert!(missed(&record, "create_again_pulls_missing"), "{}", record.reason);
}

/// A pod of somebody else's pulls the image as well: the node has one pull more than its kubelet has told the trial of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_of_a_strangers_is_matched_with_none_of_ours() {
    let stranger = || {
        let image = "--image=origin.test/image-pull:1";
        let pull = ["run", "stranger", image, "--image-pull-policy=Always", "--restart=Never"];
        kubectl(&[&pull[..], &["--command", "--", "/usr/bin/true"]].concat()).map(drop)
    };
    let test = "a_pull_of_a_strangers_is_matched_with_none_of_ours";
    let record = injected(test, when("create", 0.0, "a stranger's pod", stranger)).await;
    kubectl(&["delete", "pod", "stranger", "--now"]).unwrap();
    assert!(missed(&record, "create_pulls_unmatched"), "{}", record.reason);
}

/// Kubelets that stand still when their pulls end count the standstill as part of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_counts_something_else_is_seen_beside_the_stages() {
    let stand_still = |origin: &Origin, _: &[KindNode], _: &str| {
        let (ledger, kubelets) = (origin.proxy().ledger.clone(), Kubelets::of_workers());
        std::thread::spawn(move || {
            while ledger.open() == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
            kubelets.pause();
            std::thread::sleep(Duration::from_secs(8));
        });
    };
    let test = "a_kubelet_that_counts_something_else_is_seen_beside_the_stages";
    let record = disturbed(test, Some(Box::new(stand_still))).await;
    assert!(missed(&record, "create_stages_off_total_percent"), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_whose_kubelets_never_come_back_are_named() {
    let kubelets = Arc::new(Kubelets::of_workers());
    let paused = Arc::clone(&kubelets);
    let stand_still = move || {
        paused.pause();
        Ok(())
    };
    let test = "pods_whose_kubelets_never_come_back_are_named";
    let record = injected(test, when("create", 0.0, "kubelets paused", stand_still)).await;
    drop(kubelets);
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(missed(&record, "unaccounted_objects"), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_dies_is_told() {
    let kill = || faults().kill("worker/kubelet").map(drop).map_err(|error| error.to_string());
    let record = injected("a_kubelet_that_dies_is_told", when("create", 0.0, "worker/kubelet killed", kill)).await;
    // systemd has started another, and the next row wants to find it.
    assert_eq!(faults().revive(&|_| ()).unwrap(), ["worker/kubelet"]);
    assert!(missed(&record, "component_deaths"), "{}", record.reason);
    assert!(record.component_deaths[0].starts_with("worker/kubelet"), "{:?}", record.component_deaths);
}

/// Between the rounds somebody takes the image off the nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_has_gone_is_sent_again() {
    let test = "an_image_that_has_gone_is_sent_again";
    let gone = when("delete", 0.0, "images pruned", prune);
    let record = of_row("disturbed_again", test, None, Some(gone)).await;
    assert!(missed(&record, "create_again_registry_bytes"), "{}", record.reason);
}
