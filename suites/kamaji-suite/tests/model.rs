//! What can be said without a cluster.

use std::collections::BTreeMap;

use kamaji_suite::parameters::Benchmark;
use kamaji_suite::{check_rows, parameters};

/// A misspelt parameter of a row that runs once a week is found at once. `cargo xtask run` runs this before anything else.
#[test]
fn every_row_is_of_one_kind() {
    check_rows().unwrap_or_else(|error| panic!("{error}"));
}

/// What a test may run is a row, and what a row needs fits on its nodes: 4 CPUs and 58 pods each, 100m for each replica.
#[test]
fn every_row_has_parameters_that_fit_its_nodes() {
    let rows = parameters().unwrap();
    for name in rows.names() {
        let (row, ..) = rows.row::<Benchmark>(name, &BTreeMap::new()).unwrap();
        // An update brings a second set of pods before the first goes.
        let pods = row.tenants * row.replicas * if row.steps.is_empty() { 1 } else { 2 };
        assert!(pods <= row.workload_nodes * 58, "{name}: {pods} pods");
        assert!(pods * 100 <= row.workload_nodes * 4000, "{name}: {pods} pods of 100m");
        assert!(row.usable <= row.tenants && row.datastores >= 1, "{name}");
    }
}

#[test]
fn the_documents_row_is_the_documents() {
    let rows = parameters().unwrap();
    let (row, ..) = rows.row::<Benchmark>("document_100_published", &BTreeMap::new()).unwrap();
    assert_eq!((row.tenants, row.datastores, row.reconciles, row.replicas), (100, 1, 1, 2));
    assert_eq!((row.version.as_str(), row.infra_nodes, row.workload_nodes), ("v1.25.4", 2, 25));
    assert!(row.usable >= 20);
}
