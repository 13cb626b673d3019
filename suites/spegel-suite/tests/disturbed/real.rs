//! Each gate on real nodes can be missed: the registry, the mirror, a node or its account is disturbed, and the verdict says so.
//! Their records lie in `disturbed/` of the run, apart from its results.

use std::sync::Arc;

use disturb::{Again, Kubelets, faults, kubectl, missed, nodes, when};
use harness::{Injection, compared, judged};
use images::{Fault, Kind, Rule};
use measure::Verdict;
use record::Trial;
use spegel_suite::{Disturb, Rig, disturbed_comparison_row, disturbed_row, drive};

const IMAGES: [&str; 2] = ["origin.test/spegel-benchmark:v1", "origin.test/spegel-benchmark:v2"];
const CTR: [&str; 3] = ["ctr", "--namespace", "k8s.io"];

/// Runs the row with a disturbance from the start and others when a phase has come so far, and returns what was judged.
async fn disturbed(test: &'static str, disturb: Option<Disturb>, injections: Vec<Injection>) -> Trial {
    let (row, benchmark) = disturbed_row("disturbed", test).unwrap();
    let record = judged(row, async |trial| {
        injections.into_iter().for_each(|injection| trial.inject(injection));
        drive(trial, &benchmark, disturb).await
    });
    Box::pin(record).await.unwrap()
}

fn all_missed(record: &Trial, metrics: &[&str]) {
    for metric in metrics {
        assert!(missed(record, metric), "{metric} is met: {} {:?}", record.reason, record.metrics.get(*metric));
    }
}

/// Does something inside of a node.
fn on(node: usize, command: &[&str]) -> Result<(), String> {
    nodes(false)[node].run(command).map(drop).map_err(|error| error.to_string())
}

fn pull(node: usize, image: &str) -> Result<(), String> {
    on(node, &[&CTR[..], &["images", "pull", "--hosts-dir", "/etc/containerd/certs.d", image]].concat())
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("nothing_is_missed_when_nothing_disturbs", None, Vec::new()).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

/// Somebody else pulls both versions onto a node, after they were taken off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_there_already_is_no_pull() {
    let pulled = |_: &Rig| IMAGES.iter().for_each(|image| pull(0, image).unwrap());
    let record = disturbed("an_image_that_is_there_already_is_no_pull", Some(Box::new(pulled)), Vec::new()).await;
    all_missed(&record, &["create_image_digests_held_before", "update_image_digests_held_before"]);
}

/// Layers of images that are gone stay unpacked while a container refers to them, and are not fetched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_that_are_unpacked_already_are_no_pull() {
    const KEPT: [&str; 2] = ["kept-v1", "kept-v2"];
    let keep = |_: &Rig| {
        for (image, container) in IMAGES.iter().zip(KEPT) {
            pull(0, image).unwrap();
            on(0, &[&CTR[..], &["containers", "create", image, container]].concat()).unwrap();
        }
        disturb::prune().unwrap();
    };
    let record = disturbed("layers_that_are_unpacked_already_are_no_pull", Some(Box::new(keep)), Vec::new()).await;
    on(0, &[&CTR[..], &["containers", "rm"], &KEPT].concat()).unwrap();
    all_missed(&record, &["create_blobs_not_fetched", "update_blobs_not_fetched"]);
}

/// A version comes onto a node by another way than through the registry: as a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_nobody_has_sent_are_not_attributed() {
    const ARCHIVES: [&str; 2] = ["/root/v1.tar", "/root/v2.tar"];
    let keep = |_: &Rig| {
        for (image, archive) in IMAGES.iter().zip(ARCHIVES) {
            pull(0, image).unwrap();
            on(0, &[&CTR[..], &["images", "export", archive, image]].concat()).unwrap();
        }
        disturb::prune().unwrap();
    };
    // No kubelet pulls before it is there.
    let import = |archive: &'static str| {
        move || {
            let kubelets = Kubelets::of_workers();
            kubelets.pause();
            on(0, &[&CTR[..], &["images", "import", archive]].concat())
        }
    };
    let injections = vec![
        when("create", 0.0, "v1 imported", import(ARCHIVES[0])),
        when("update", 0.0, "v2 imported", import(ARCHIVES[1])),
    ];
    let test = "blobs_that_nobody_has_sent_are_not_attributed";
    let record = disturbed(test, Some(Box::new(keep)), injections).await;
    on(0, &["rm", ARCHIVES[0], ARCHIVES[1]]).unwrap();
    all_missed(&record, &["create_blobs_unattributed", "create_provenance_off_percent"]);
    all_missed(&record, &["update_blobs_unattributed", "update_provenance_off_percent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_fails_once_in_each_step_is_in_the_account() {
    let fail = |rig: &Rig| {
        for image in &rig.images {
            let busy = Fault::Status { status: 503, retry_after_s: None };
            let digest = image.layers.last().map(|layer| layer.digest().to_string());
            rig.origin.proxy().faults.inject(Rule { digest, times: Some(1), ..Rule::every(busy) });
        }
    };
    let test = "a_registry_that_fails_once_in_each_step_is_in_the_account";
    let record = disturbed(test, Some(Box::new(fail)), Vec::new()).await;
    all_missed(&record, &["create_registry_failures", "update_registry_failures"]);
}

/// Somebody deletes the kubelets' events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_that_no_kubelet_tells_of_are_missing() {
    let _lost = Again::of(|| {
        kubectl(&["delete", "events", "--all-namespaces", "--field-selector", "reason=Pulled"]).ok();
    });
    let record = disturbed("pulls_that_no_kubelet_tells_of_are_missing", None, Vec::new()).await;
    all_missed(&record, &["create_pulls_missing", "update_pulls_missing"]);
}

/// Pods of somebody else's pull the image as well, on a node that has it while the other still waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_of_a_strangers_is_matched_with_none_of_ours() {
    let one_after_the_other = |rig: &Rig| {
        for (worker, bytes_per_second) in rig.workers.iter().zip([800_000, 400_000]) {
            let slow = Fault::Slow { bytes_per_second };
            let client = Some(worker.address);
            rig.origin.proxy().faults.inject(Rule { kind: Some(Kind::Blob), client, ..Rule::every(slow) });
        }
    };
    let strangers = |step: &'static str, image: &'static str| {
        let run = move || {
            nodes(false).iter().enumerate().try_for_each(|(number, node)| {
                let (name, image) = (format!("stranger-{step}-{number}"), format!("--image={image}"));
                let place = format!("--overrides={{\"spec\":{{\"nodeName\":\"{}\"}}}}", node.name);
                let pull = ["run", &name, &image, &place, "--image-pull-policy=Always", "--restart=Never"];
                kubectl(&[&pull[..], &["--command", "--", "/usr/bin/sleep", "1"]].concat()).map(drop)
            })
        };
        when(step, 0.5, "strangers' pods", run)
    };
    let injections = vec![strangers("create", IMAGES[0]), strangers("update", IMAGES[1])];
    let test = "a_pull_of_a_strangers_is_matched_with_none_of_ours";
    let record = disturbed(test, Some(Box::new(one_after_the_other)), injections).await;
    let names = ["stranger-create-0", "stranger-create-1", "stranger-update-0", "stranger-update-1"];
    kubectl(&[&["delete", "pod", "--now"][..], &names].concat()).unwrap();
    all_missed(&record, &["create_pulls_unmatched", "update_pulls_unmatched"]);
}

/// In the middle of the update somebody deletes both pods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_go_together_are_not_replaced_one_at_a_time() {
    let delete = || {
        let all = ["delete", "pods", "--all-namespaces", "--selector", "app=spegel-benchmark", "--wait=false"];
        kubectl(&all).map(drop)
    };
    let test = "pods_that_go_together_are_not_replaced_one_at_a_time";
    let record = disturbed(test, None, vec![when("update", 0.0, "pods deleted", delete)]).await;
    all_missed(&record, &["update_unavailable_max"]);
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
    let record = disturbed(test, None, vec![when("create", 0.0, "kubelets paused", stand_still)]).await;
    drop(kubelets);
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    all_missed(&record, &["unaccounted_objects"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_dies_is_told() {
    let kill = || faults().kill("worker/kubelet").map(drop).map_err(|error| error.to_string());
    let injection = when("create", 0.0, "worker/kubelet killed", kill);
    let record = disturbed("a_kubelet_that_dies_is_told", None, vec![injection]).await;
    // systemd has started another, and the next row wants to find it.
    assert_eq!(faults().revive(&|_| ()).unwrap(), ["worker/kubelet"]);
    all_missed(&record, &["component_deaths"]);
}

/// A mirror that no node asks any more looks like none at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_is_silently_passed_over_is_seen() {
    let test = "a_mirror_that_is_silently_passed_over_is_seen";
    let (row, comparison) = disturbed_comparison_row("cache_disturbed", test).unwrap();
    let arms = comparison.arms();
    let run = compared(row, &arms, async |trial, arm| {
        let forgotten = |rig: &Rig| rig.origin.mirrored(&rig.workers, |_| None).unwrap();
        drive(trial, &comparison.benchmark(arm), Some(Box::new(forgotten))).await
    });
    let record = Box::pin(run).await.unwrap();
    all_missed(&record, &["cache_update_origin_copies", "cache_to_none_update_pull_p50_ms"]);
}
