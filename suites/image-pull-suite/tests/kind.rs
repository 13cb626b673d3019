//! Rows on a kind cluster: real kubelets, real containerds, real pulls from a real registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

#[path = "disturbed/real.rs"]
mod disturbed;

use harness::run;
use image_pull_suite::{drive, pull_row};
use rstest::rstest;

/// "Creates 10 Deployments with 1 replica each (10 pods total), pulling a large container image."
#[rstest]
#[case::single_smoke("single_smoke")]
#[case::document_smoke("document_smoke")]
#[case::document_published("document_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_pull(#[case] test: &str) {
    let (row, pull) = pull_row(test).unwrap();
    Box::pin(run(row, async |trial| drive(trial, &pull, None).await)).await;
}
