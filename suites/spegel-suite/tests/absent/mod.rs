//! Rows of Spegel, for whoever gives a program of it: outside every selection but the profile `spegel`, and `unsupported` without one.

mod disturbed;
mod faults;

use harness::{compared, run};
use rstest::rstest;
use spegel_suite::{Comparison, drive, spegel_row};

/// "Run the same benchmarks as before, now with Spegel installed."
#[rstest]
#[case::spegel_smoke("spegel_smoke")]
#[case::spegel_miss("spegel_miss")]
#[case::spegel_10mb_1_published("spegel_10mb_1_published")]
#[case::spegel_10mb_4_published("spegel_10mb_4_published")]
#[case::spegel_100mb_1_published("spegel_100mb_1_published")]
#[case::spegel_100mb_4_published("spegel_100mb_4_published")]
#[case::spegel_1gb_1_published("spegel_1gb_1_published")]
#[case::spegel_1gb_4_published("spegel_1gb_4_published")]
#[case::spegel_nginx_published("spegel_nginx_published")]
#[case::spegel_plex_published("spegel_plex_published")]
#[case::spegel_slower_published("spegel_slower_published")]
#[case::spegel_as_fast_published("spegel_as_fast_published")]
#[case::spegel_faster_published("spegel_faster_published")]
#[case::spegel_10mb_4_wide_published("spegel_10mb_4_wide_published")]
#[case::spegel_100mb_1_wide_published("spegel_100mb_1_wide_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_spegel(#[case] test: &str) {
    let (row, comparison) = spegel_row::<Comparison>(test, None).unwrap();
    if row.lacks.is_some() {
        Box::pin(run(row, async |_| Ok(()))).await;
        return;
    }
    let arms = comparison.arms();
    let turns = compared(row, &arms, async |trial, arm| drive(trial, &comparison.benchmark(arm), None).await);
    let record = Box::pin(turns).await.unwrap();
    assert!(record.ended_well(), "{test}: {}", record.reason);
}
