//! Those that take longer than the others: they run with the fault rows.

use std::time::Duration;

use disturb::{missed, when};

use super::{disturbed, faults};

/// Simulated kubelets stand still so long that no pod starts within the document's 3 minutes, nor all Deployments within the
/// scenario's 5. Their nodes are lost meanwhile, and pods stay on lost nodes for five minutes more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_stand_still_for_minutes_miss_the_documents_limits() {
    let pause = || {
        faults().pause("kwok-controller").map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_secs(305));
        faults().resume("kwok-controller").map(drop).map_err(|error| error.to_string())
    };
    let injection = when("create", 0.0, "kwok-controller paused for 305 s", pause);
    let test = "nodes_that_stand_still_for_minutes_miss_the_documents_limits";
    let record = disturbed("startup_disturbed_slow", test, Some(injection)).await;
    assert!(missed(&record, "create_pod_startup_p99_ms"), "{}", record.reason);
    assert!(missed(&record, "create_s"), "{}", record.reason);
    assert!(!missed(&record, "unaccounted_objects"), "they all ran in the end: {}", record.reason);
}
