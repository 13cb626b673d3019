//! Rows on a real control plane with simulated nodes: pacing, placement and startup, and no pull.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

#[path = "disturbed/simulated.rs"]
mod disturbed;

use harness::run;
use image_pull_suite::{simulated, simulated_row};
use rstest::rstest;

/// "Creates 10 Deployments with 1 replica each (10 pods total)."
#[rstest]
#[case::startup_smoke("startup_smoke")]
#[case::startup_100x1_published("startup_100x1_published")]
#[case::startup_100x10_published("startup_100x10_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn startup(#[case] test: &str) {
    let (row, simulated) = simulated_row(test).unwrap();
    Box::pin(run(row, async |trial| simulated::drive(trial, &simulated).await)).await;
}
