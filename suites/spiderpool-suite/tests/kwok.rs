//! Rows on a real control plane, with simulated kubelets and real IPAM plugins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod absent;
mod disturbed;
mod faults;
mod soak;

use harness::{compared, run};
use rstest::rstest;
use spiderpool_suite::{exhaustion, matrix_row, ratio_row, tier, tier_row};

/// "Test the IPv4 single stack and the IPv4/IPv6 dual stack … one Deployment with 1,000 replicas … 100 Deployments with 10."
#[rstest]
#[case::host_local_v4_1x100("host_local_v4_1x100")]
#[case::spiderpool_v4_1x100("spiderpool_v4_1x100")]
#[case::spiderpool_subnet_v4_10x10("spiderpool_subnet_v4_10x10")]
#[case::whereabouts_slices_v4_1x10("whereabouts_slices_v4_1x10")]
#[case::spiderpool_gate("spiderpool_gate")]
#[case::host_local_v4_1x1000_published("host_local_v4_1x1000_published")]
#[case::host_local_v4_100x10_published("host_local_v4_100x10_published")]
#[case::host_local_dual_1x1000_published("host_local_dual_1x1000_published")]
#[case::host_local_dual_100x10_published("host_local_dual_100x10_published")]
#[case::spiderpool_v4_1x1000_published("spiderpool_v4_1x1000_published")]
#[case::spiderpool_v4_100x10_published("spiderpool_v4_100x10_published")]
#[case::spiderpool_dual_1x1000_published("spiderpool_dual_1x1000_published")]
#[case::spiderpool_dual_100x10_published("spiderpool_dual_100x10_published")]
#[case::spiderpool_exec_v4_100x10_published("spiderpool_exec_v4_100x10_published")]
#[case::spiderpool_subnet_v4_100x10_published("spiderpool_subnet_v4_100x10_published")]
#[case::spiderpool_subnet_dual_100x10_published("spiderpool_subnet_dual_100x10_published")]
#[case::whereabouts_slices_v4_100x10_published("whereabouts_slices_v4_100x10_published")]
#[case::whereabouts_v4_1x1000_published("whereabouts_v4_1x1000_published")]
#[case::whereabouts_v4_100x10_published("whereabouts_v4_100x10_published")]
#[case::whereabouts_dual_1x1000_published("whereabouts_dual_1x1000_published")]
#[case::whereabouts_dual_100x10_published("whereabouts_dual_100x10_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix(#[case] test: &str) {
    let (row, matrix) = matrix_row(test).unwrap();
    run(row, async |trial| spiderpool_suite::matrix::drive(trial, &matrix, None).await).await;
}

/// "In a limited range of addresses, pods that are created at the same time compete for them."
#[rstest]
#[case::spiderpool_exhausted("spiderpool_exhausted")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_too_few(#[case] test: &str) {
    let (row, matrix) = matrix_row(test).unwrap();
    run(row, async |trial| exhaustion::drive(trial, &matrix, None).await).await;
}

/// What one request costs, alone and beside others, while the pool fills.
#[rstest]
#[case::tier_spiderpool_exec_256x1_published("tier_spiderpool_exec_256x1_published")]
#[case::tier_host_local_240x1_published("tier_host_local_240x1_published")]
#[case::tier_host_local_240x50_published("tier_host_local_240x50_published")]
#[case::tier_whereabouts_256x1_published("tier_whereabouts_256x1_published")]
#[case::tier_whereabouts_256x50_published("tier_whereabouts_256x50_published")]
#[case::tier_spiderpool_256x1_published("tier_spiderpool_256x1_published")]
#[case::tier_spiderpool_256x50_published("tier_spiderpool_256x50_published")]
#[case::tier_spiderpool_1000x1_published("tier_spiderpool_1000x1_published")]
#[case::tier_spiderpool_1000x50_published("tier_spiderpool_1000x50_published")]
#[case::tier_spiderpool_5000x1_published("tier_spiderpool_5000x1_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_pods(#[case] test: &str) {
    let (row, tier) = tier_row(test).unwrap();
    run(row, async |trial| tier::drive(trial, &tier, None).await).await;
}

/// How much more than the floor a request costs, on the same machine in the same minute.
#[rstest]
#[case::spiderpool_to_host_local_50x1("spiderpool_to_host_local_50x1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subject_against_the_floor(#[case] test: &str) {
    let (row, ratio) = ratio_row(test).unwrap();
    let arms = ratio.arms();
    let run = compared(row, &arms, async |trial, arm| tier::drive(trial, &ratio.tier(arm), None).await);
    let record = run.await.unwrap();
    assert!(record.ended_well(), "{test}: {}", record.reason);
}
