//! The rest of the small rows, which do not fit into the 3 minutes of the smoke rows:
//! `cargo nextest run -p spiderpool-suite --profile nightly`.

use harness::run;
use rstest::rstest;
use spiderpool_suite::{matrix, matrix_row, tier, tier_row};

#[rstest]
#[case::host_local_v4_10x10("host_local_v4_10x10")]
#[case::host_local_dual_1x100("host_local_dual_1x100")]
#[case::host_local_dual_10x10("host_local_dual_10x10")]
#[case::spiderpool_v4_10x10("spiderpool_v4_10x10")]
#[case::spiderpool_dual_1x100("spiderpool_dual_1x100")]
#[case::spiderpool_dual_10x10("spiderpool_dual_10x10")]
#[case::spiderpool_exec_v4_1x100("spiderpool_exec_v4_1x100")]
#[case::spiderpool_subnet_dual_10x10("spiderpool_subnet_dual_10x10")]
#[case::whereabouts_v4_1x10("whereabouts_v4_1x10")]
#[case::whereabouts_v4_10x1("whereabouts_v4_10x1")]
#[case::whereabouts_dual_1x10("whereabouts_dual_1x10")]
#[case::whereabouts_dual_10x1("whereabouts_dual_10x1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_the_matrix(#[case] test: &str) {
    let (row, matrix) = matrix_row(test).unwrap();
    run(row, async |trial| matrix::drive(trial, &matrix, None).await).await;
}

#[rstest]
#[case::tier_spiderpool_exec_50x1("tier_spiderpool_exec_50x1")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_pods(#[case] test: &str) {
    let (row, tier) = tier_row(test).unwrap();
    run(row, async |trial| tier::drive(trial, &tier, None).await).await;
}
