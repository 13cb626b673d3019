//! Rows on a real control plane with simulated nodes: which pod goes when, and no pull.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

#[path = "disturbed/simulated.rs"]
mod disturbed;

use harness::run;
use rstest::rstest;
use spegel_suite::{simulated, simulated_row};

/// "Each pod will be replaced one at a time when updating a daemonset."
#[rstest]
#[case::rollout_smoke("rollout_smoke")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollout(#[case] test: &str) {
    let (row, simulated) = simulated_row(test).unwrap();
    Box::pin(run(row, async |trial| simulated::drive(trial, &simulated, None).await)).await;
}
