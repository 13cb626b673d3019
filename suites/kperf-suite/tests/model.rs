//! What can be said without a cluster.

use kperf_suite::check_rows;

/// A misspelt parameter of a row that runs once a week is found at once. `cargo xtask run` runs this before anything else.
#[test]
fn every_row_is_of_one_kind() {
    check_rows().unwrap_or_else(|error| panic!("{error}"));
}
