//! Load profiles on a real control plane: the document's examples, and the benches of its project.

use harness::run;
use kperf_suite::load::drive;
use kperf_suite::{FIXTURE, load_row};
use rstest::rstest;

/// "That command will send out `10` requests with `100` QPS as maximum rate."
#[rstest]
#[case::example_profile("example_profile")]
#[case::example_smoke("example_smoke")]
#[case::example_group("example_group")]
#[case::list_configmaps_smoke("list_configmaps_smoke")]
#[case::read_update_smoke("read_update_smoke")]
#[case::timeseries_replay_smoke("timeseries_replay_smoke")]
#[case::list_configmaps_published("list_configmaps_published")]
#[case::read_update_published("read_update_published")]
#[case::timeseries_replay_published("timeseries_replay_published")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load(#[case] test: &str) {
    let (row, load) = load_row(test).unwrap();
    run(row, async |trial| drive(trial, &load, FIXTURE, None).await).await;
}
