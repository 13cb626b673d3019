//! Rows on a kind cluster: runners in Pods on real nodes, from an image of this checkout's kperf.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

#[path = "disturbed/groups.rs"]
mod disturbed;

use harness::run;
use kperf_suite::group::drive;
use kperf_suite::group_row;
use rstest::rstest;

/// "A runner group consists of multiple runners, with each runner deployed as an individual Pod for the `kperf runner` process."
#[rstest]
#[case::runner_group_smoke("runner_group_smoke")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runner_group(#[case] test: &str) {
    let (row, group) = group_row(test).unwrap();
    Box::pin(run(row, async |trial| drive(trial, &group).await)).await;
}
