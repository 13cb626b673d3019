//! Rows on a real control plane, with the real operator, real DataStores and simulated pods.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod disturbed;
mod faults;

use harness::run;
use kamaji_suite::{benchmark_row, isolation, lifecycle};
use rstest::rstest;

/// "Ability to fully reconcile 100 Tenant Control Plane resources … in Ready state and able to handle any request."
#[rstest]
#[case::tcp_10("tcp_10")]
#[case::life_3("life_3")]
#[case::tcp_gate("tcp_gate")]
#[case::document_100_published("document_100_published")]
#[case::burst_100_published("burst_100_published")]
#[case::paced_100_published("paced_100_published")]
#[case::reconciles_4_published("reconciles_4_published")]
#[case::reconciles_16_published("reconciles_16_published")]
#[case::datastores_2_published("datastores_2_published")]
#[case::datastores_5_published("datastores_5_published")]
#[case::datastores_10_published("datastores_10_published")]
#[case::tcp_10_published("tcp_10_published")]
#[case::tcp_50_published("tcp_50_published")]
#[case::tcp_250_published("tcp_250_published")]
#[case::thousand_1000x10_published("thousand_1000x10_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn benchmark(#[case] test: &str) {
    let (row, benchmark) = benchmark_row(test).unwrap();
    run(row, async |trial| lifecycle::drive(trial, &benchmark, None).await).await;
}

/// Tenants share one etcd; what is done to one must not reach another.
#[rstest]
#[case::isolation("isolation")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_begin_alike(#[case] test: &str) {
    let (row, benchmark) = benchmark_row(test).unwrap();
    run(row, async |trial| isolation::drive(trial, &benchmark, None).await).await;
}
