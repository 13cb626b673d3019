//! What can be said without a cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::collections::BTreeMap;
use std::time::Duration;

use image_pull_suite::parameters::Scale;
use image_pull_suite::perfdata::{PerfData, nearest_rank, pod_startup};
use image_pull_suite::startup::Startup;
use image_pull_suite::{PullTest, Simulated, check_rows, parameters};
use serde::de::DeserializeOwned;

/// A misspelt parameter of a row that runs once a week is found at once. `cargo xtask run` runs this before anything else.
#[test]
fn every_row_is_of_one_kind() {
    check_rows().unwrap_or_else(|error| panic!("{error}"));
}

/// The rows that are read as `T`, by name.
fn rows_of<T: DeserializeOwned>() -> Vec<(String, T)> {
    let rows = parameters().unwrap();
    let read = |name: &str| Some((name.to_owned(), rows.row::<T>(name, &BTreeMap::new()).ok()?.0));
    rows.names().filter_map(read).collect()
}

#[test]
fn every_row_on_real_nodes_has_parameters_of_an_image() {
    let rows = rows_of::<PullTest>();
    assert!(rows.iter().any(|(name, _)| name == "document_smoke"));
    for (name, row) in rows {
        assert_eq!(row.spec().unwrap().generated_bytes(), row.image_bytes, "{name}");
        // Two workers take 110 pods each, and 100m of each pod fits many times.
        assert!(row.scale().pods() <= 20, "{name}: {} pods", row.scale().pods());
    }
}

#[test]
fn every_row_on_simulated_nodes_has_room_for_its_pods() {
    let rows = rows_of::<Simulated>();
    assert!(rows.iter().any(|(name, _)| name == "startup_smoke"));
    for (name, row) in rows {
        // A node has 4 CPUs, and a pod asks for 100m.
        assert!(row.scale().pods() <= 40 * row.nodes as usize, "{name}: {} pods", row.scale().pods());
    }
}

#[test]
fn the_documents_rows_are_the_documents() {
    let rows = parameters().unwrap();
    let document = Scale { deployments: 10, replicas: 1, qps: 10 };
    for name in ["document_smoke", "document_published"] {
        let (row, ..) = rows.row::<PullTest>(name, &BTreeMap::new()).unwrap();
        assert_eq!(row.scale(), document, "{name}");
    }
    let (row, ..) = rows.row::<Simulated>("startup_smoke", &BTreeMap::new()).unwrap();
    assert_eq!((row.scale(), row.nodes), (document, 10));
    let (row, ..) = rows.row::<PullTest>("document_published", &BTreeMap::new()).unwrap();
    assert_eq!(row.image_bytes, 15_000_000_000);
}

/// A reader of ClusterLoader2's files finds the percentiles that it would compute itself.
#[test]
fn a_file_of_pod_startup_has_clusterloader2s_percentiles() {
    let startup = |number: u64| Startup {
        created_us: 0,
        scheduled_us: 0,
        ran_us: number * 1_000_000,
        watched_us: number * 1_000_000 + 290_000,
    };
    let startups: Vec<Startup> = (1..=10).map(startup).collect();
    let (name, written) = pod_startup(startups.iter());
    assert!(name.starts_with("PodStartupLatency_") && name.ends_with(".json"), "{name}");
    let text = serde_json::to_string(&written).unwrap();
    assert!(text.contains("\"dataItems\"") && text.contains("\"Metric\":\"pod_startup\""), "{text}");
    let read: PerfData = serde_json::from_str(&text).unwrap();
    let item = read.data_items.iter().find(|item| item.labels["Metric"] == "pod_startup").unwrap();
    let mut times: Vec<Duration> = startups.iter().map(|startup| startup.transitions()[4]).collect();
    times.sort_unstable();
    for p in [50, 90, 99] {
        let wanted = nearest_rank(&times, p).unwrap().as_secs_f64() * 1e3;
        assert!((item.data[&format!("Perc{p}")] - wanted).abs() < 1e-6);
    }
    assert_eq!(item.unit, "ms");
}

/// The file of another writer is read as well: this one is in the form of the scenario's own results.
#[test]
fn a_file_without_labels_is_read() {
    let text = r#"{"version": "v1", "dataItems": [{"data": {"Perc50": 1.5, "Count": 10}, "unit": "MB/s"}]}"#;
    let read: PerfData = serde_json::from_str(text).unwrap();
    assert_eq!(read.data_items[0].data.get("Count"), Some(&10.0));
}
