//! Rows of plugins that are not to be had: outside every selection, and `unsupported` when they are asked for by name.

use harness::{Error, run};
use rstest::rstest;
use spiderpool_suite::absent_row;

#[rstest]
#[case::calico_ipam_v4_1x100("calico_ipam_v4_1x100")]
#[case::calico_ipam_v4_1x1000_published("calico_ipam_v4_1x1000_published")]
#[case::calico_ipam_v4_100x10_published("calico_ipam_v4_100x10_published")]
#[case::calico_ipam_dual_1x1000_published("calico_ipam_dual_1x1000_published")]
#[case::calico_ipam_dual_100x10_published("calico_ipam_dual_100x10_published")]
#[case::kube_ovn_v4_1x100("kube_ovn_v4_1x100")]
#[case::kube_ovn_v4_1x1000_published("kube_ovn_v4_1x1000_published")]
#[case::kube_ovn_v4_100x10_published("kube_ovn_v4_100x10_published")]
#[case::kube_ovn_dual_1x1000_published("kube_ovn_dual_1x1000_published")]
#[case::kube_ovn_dual_100x10_published("kube_ovn_dual_100x10_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix(#[case] test: &str) {
    let row = absent_row(test).unwrap();
    run(row, async |_| Err(Error::Environment("there is no arm for this plugin".to_owned()))).await;
}
