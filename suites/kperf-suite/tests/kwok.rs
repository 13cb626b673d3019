//! Rows on a real control plane with simulated nodes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod disturbed;
mod faults;
mod loads;
mod means;

use harness::run;
use kperf_suite::nodepool::{Disturbance, drive};
use kperf_suite::nodepool_row;
use rstest::rstest;

/// "You can use few physical resources to simulate more than 1,000 nodes scenario."
#[rstest]
#[case::nodepool_smoke("nodepool_smoke")]
#[case::nodepool_gate("nodepool_gate")]
#[case::nodepool_published("nodepool_published")]
#[case::nodepool_large_published("nodepool_large_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodepool(#[case] test: &str) {
    let (row, pool) = nodepool_row(test).unwrap();
    run(row, async |trial| drive(trial, &pool, Disturbance::default()).await).await;
}
