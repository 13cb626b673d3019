//! Rows on a kind cluster: real kubelets, real containerds, real pulls from a real registry, with and without a mirror.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod absent;
mod command;
#[path = "disturbed/real.rs"]
mod disturbed;
mod faults;

use harness::{compared, run};
use rstest::rstest;
use spegel_suite::{benchmark_row, comparison_row, drive};

/// "During this step all pods will be deployed at once … The second step updates the daemonset with a new version of the image.
/// Each pod will be replaced one at a time."
#[rstest]
#[case::nginx_smoke("nginx_smoke")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_steps(#[case] test: &str) {
    let (row, benchmark) = benchmark_row(test).unwrap();
    Box::pin(run(row, async |trial| drive(trial, &benchmark, None).await)).await;
}

/// "Run the same benchmarks as before, now with" a mirror.
#[rstest]
#[case::cache_smoke("cache_smoke")]
#[case::cache_10mb_1_published("cache_10mb_1_published")]
#[case::cache_10mb_4_published("cache_10mb_4_published")]
#[case::cache_100mb_1_published("cache_100mb_1_published")]
#[case::cache_100mb_4_published("cache_100mb_4_published")]
#[case::cache_1gb_1_published("cache_1gb_1_published")]
#[case::cache_1gb_4_published("cache_1gb_4_published")]
#[case::cache_nginx_published("cache_nginx_published")]
#[case::cache_plex_published("cache_plex_published")]
#[case::cache_10mb_4_wide_published("cache_10mb_4_wide_published")]
#[case::cache_100mb_1_wide_published("cache_100mb_1_wide_published")]
#[case::cache_slower_published("cache_slower_published")]
#[case::cache_as_fast_published("cache_as_fast_published")]
#[case::cache_faster_published("cache_faster_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_and_without(#[case] test: &str) {
    let (row, comparison) = comparison_row(test).unwrap();
    let arms = comparison.arms();
    let run = compared(row, &arms, async |trial, arm| drive(trial, &comparison.benchmark(arm), None).await);
    let record = Box::pin(run).await.unwrap();
    assert!(record.ended_well(), "{test}: {}", record.reason);
}
