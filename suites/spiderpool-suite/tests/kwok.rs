//! Rows on a real control plane, with simulated kubelets and real IPAM plugins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use rstest::rstest;
use spiderpool_suite::{compare, matrix_row};

/// "Test the IPv4 single stack and the IPv4/IPv6 dual stack … one Deployment with 1,000 replicas … 100 Deployments with 10."
#[rstest]
#[case::host_local_v4_1x100("host_local_v4_1x100")]
#[case::host_local_v4_10x10("host_local_v4_10x10")]
#[case::host_local_dual_1x100("host_local_dual_1x100")]
#[case::host_local_dual_10x10("host_local_dual_10x10")]
#[case::spiderpool_v4_1x100("spiderpool_v4_1x100")]
#[case::spiderpool_v4_10x10("spiderpool_v4_10x10")]
#[case::spiderpool_dual_1x100("spiderpool_dual_1x100")]
#[case::spiderpool_dual_10x10("spiderpool_dual_10x10")]
#[case::whereabouts_v4_1x20("whereabouts_v4_1x20")]
#[case::whereabouts_v4_10x2("whereabouts_v4_10x2")]
#[case::whereabouts_dual_1x20("whereabouts_dual_1x20")]
#[case::whereabouts_dual_10x2("whereabouts_dual_10x2")]
#[case::host_local_v4_1x1000_published("host_local_v4_1x1000_published")]
#[case::host_local_v4_100x10_published("host_local_v4_100x10_published")]
#[case::host_local_dual_1x1000_published("host_local_dual_1x1000_published")]
#[case::host_local_dual_100x10_published("host_local_dual_100x10_published")]
#[case::spiderpool_v4_1x1000_published("spiderpool_v4_1x1000_published")]
#[case::spiderpool_v4_100x10_published("spiderpool_v4_100x10_published")]
#[case::spiderpool_dual_1x1000_published("spiderpool_dual_1x1000_published")]
#[case::spiderpool_dual_100x10_published("spiderpool_dual_100x10_published")]
#[case::whereabouts_v4_1x1000_published("whereabouts_v4_1x1000_published")]
#[case::whereabouts_v4_100x10_published("whereabouts_v4_100x10_published")]
#[case::whereabouts_dual_1x1000_published("whereabouts_dual_1x1000_published")]
#[case::whereabouts_dual_100x10_published("whereabouts_dual_100x10_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix(#[case] test: &str) {
    let (row, matrix) = matrix_row(test).unwrap();
    compare(row, &matrix).await;
}
