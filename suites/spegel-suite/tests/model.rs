//! What can be said without a cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::collections::BTreeMap;

use spegel_suite::{Benchmark, Comparison, check_rows, rows};

/// A misspelt parameter of a row that runs once a week is found at once. `cargo xtask run` runs this before anything else.
#[test]
fn every_row_is_of_one_kind() {
    check_rows().unwrap_or_else(|error| panic!("{error}"));
}

/// What real nodes are asked for: every row of theirs, and every arm of those that compare.
fn benchmarks() -> Vec<(String, Benchmark)> {
    let rows = rows().unwrap();
    let none = BTreeMap::new();
    let mut benchmarks = Vec::new();
    for name in rows.names() {
        let one = rows.row::<Benchmark>(name, &none).map(|(row, ..)| vec![row]);
        let arms = |comparison: Comparison| {
            comparison.arms().names.iter().map(|arm| comparison.benchmark(arm)).collect::<Vec<_>>()
        };
        let compared = rows.row::<Comparison>(name, &none).map(|(row, ..)| arms(row));
        benchmarks.extend(one.or(compared).into_iter().flatten().map(|row| (name.to_owned(), row)));
    }
    assert!(benchmarks.iter().any(|(name, _)| name == "nginx_smoke"));
    benchmarks
}

#[test]
fn both_versions_of_an_image_are_as_large_as_asked_and_share_no_layer() {
    for (name, row) in benchmarks() {
        let [one, two] = [1, 2].map(|version| row.spec(version, Vec::new(), &[]).unwrap());
        assert_eq!((one.generated_bytes(), two.generated_bytes()), (row.image_bytes, row.image_bytes), "{name}");
        assert!(one.layers.iter().all(|layer| !two.layers.contains(layer)), "{name}");
    }
}

#[test]
fn an_arm_differs_from_none_in_its_mirror_alone() {
    let rows = rows().unwrap();
    let (comparison, ..) = rows.row::<Comparison>("cache_smoke", &BTreeMap::new()).unwrap();
    let [none, cache] = ["none", "cache"].map(|arm| toml::Table::try_from(comparison.benchmark(arm)).unwrap());
    let different: Vec<&String> = none.keys().filter(|key| none[*key] != cache[*key]).collect();
    assert_eq!(different, ["mirror"]);
}

/// The newer tool's six cells, at its own sizes.
#[test]
fn the_cells_of_the_newer_tool_are_rows() {
    let rows = rows().unwrap();
    for (cell, bytes, layers) in [("10mb_1", 10 << 20, 1), ("100mb_4", 100 << 20, 4), ("1gb_4", 1 << 30, 4)] {
        let name = format!("cache_{cell}_published");
        let (row, ..) = rows.row::<Comparison>(&name, &BTreeMap::new()).unwrap();
        assert_eq!((row.image_bytes, row.layers), (bytes, layers), "{name}");
        assert!(row.repeats >= 3, "{name}");
    }
}
