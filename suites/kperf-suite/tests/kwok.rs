//! Rows on a real control plane with simulated nodes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod disturbed;
mod faults;
mod loads;
mod means;

use harness::run;
use kperf_suite::nodepool::{Disturbance, drive};
use kperf_suite::{FIXTURE, bench, bench_row, nodepool_row};
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

/// The benches of `runkperf` on virtual nodes, by upstream's names: Jobs that come and go, and Deployments that are
/// restarted, while the load goes on. After the other rows, because the node controller writes an event for every node that went,
/// up to half a minute later.
#[rstest]
#[case::node10_job1_pod100_smoke("node10_job1_pod100_smoke")]
#[case::node100_job1_pod3k_smoke("node100_job1_pod3k_smoke")]
#[case::node100_pod10k_smoke("node100_pod10k_smoke")]
#[case::node10_job1_pod100_published("node10_job1_pod100_published")]
#[case::node100_job1_pod3k_published("node100_job1_pod3k_published")]
#[case::node100_pod10k_published("node100_pod10k_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runkperf(#[case] test: &str) {
    let (row, parameters) = bench_row(test).unwrap();
    run(row, async |trial| bench::drive(trial, &parameters, FIXTURE).await).await;
}
