//! What can be said without a cluster.

use std::collections::BTreeMap;

use kperf_suite::bench::Bench;
use kperf_suite::load::Load;
use kperf_suite::nodepool::NodePool;
use kperf_suite::{ROWS_FILE, parameters};

/// A misspelt parameter of a row that runs once a week is found at once.
#[test]
fn every_row_is_of_one_kind() {
    let (rows, none) = (parameters().unwrap(), BTreeMap::new());
    for name in rows.names() {
        let kinds = [
            rows.row::<NodePool>(ROWS_FILE, name, &none).is_ok(),
            rows.row::<Load>(ROWS_FILE, name, &none).is_ok(),
            rows.row::<Bench>(ROWS_FILE, name, &none).is_ok(),
        ];
        assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{name}");
    }
}
