//! `spegel-bench analyze` on generated files of upstream's forms.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn analyze(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spegel-bench")).arg("analyze").args(args).output().unwrap()
}

fn write(directory: &Path, name: &str, value: &Value) -> String {
    let path = directory.join(name);
    std::fs::write(&path, value.to_string()).unwrap();
    path.display().to_string()
}

/// Pulls of so many milliseconds, in the form of the newer tool.
fn samples(ms: &[u64]) -> Value {
    let sample =
        |ms: &u64| json!({"start": "2025-06-13T10:00:00Z", "stop": "2025-06-13T10:00:01Z", "duration": ms * 1_000_000});
    ms.iter().map(sample).collect()
}

fn suite(name: &str, create: &[u64], update: &[u64]) -> Value {
    let cell = json!({
        "create": {"image": "registry.example/a/b:v1-10MB-1", "samples": samples(create)},
        "update": {"image": "registry.example/a/b:v2-10MB-1", "samples": samples(update)},
    });
    json!({
        "kubernetesVersion": "v1.33.0",
        "name": name,
        "timestamp": "2025-06-13T10:00:00Z",
        "benchmarks": {"10MB-1": cell},
        "nodes": [{"name": "n", "instanceType": "Standard_D8ds_v5", "memory": 33_650_000_000_u64, "cpu": 8}],
    })
}

/// Pulls of so many milliseconds, in the form of the document's tool.
fn old(name: &str, create: &[u64], update: &[u64]) -> Value {
    let measurement =
        |ms: &u64| json!({"Start": "2023-10-27T10:00:00Z", "Stop": "2023-10-27T10:00:02Z", "Duration": ms * 1_000_000});
    let step = |image: &str, ms: &[u64]| json!({"Image": image, "Measurements": ms.iter().map(measurement).collect::<Value>()});
    let steps = [
        step("registry.example/mirrorshub/docker/nginx:1.24-alpine", create),
        step("registry.example/mirrorshub/docker/nginx:1.25-alpine", update),
    ];
    json!({"Name": name, "Benchmarks": steps})
}

#[test]
fn a_folder_of_published_results_makes_their_table_and_a_plot_of_each_step() {
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path().join("results");
    std::fs::create_dir(&results).unwrap();
    write(&results, "baseline.json", &suite("baseline", &[3_413; 4], &[1_000, 1_200, 1_300, 1_640]));
    write(&results, "spegel.json", &suite("spegel", &[1_847; 4], &[70, 77, 81, 1_620]));
    write(&results, "nodes.json", &json!([1, 2]));
    let out = directory.path().join("out");
    let ended = analyze(&[&results.display().to_string(), "--output-dir", &out.display().to_string()]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let table = String::from_utf8(ended.stdout).unwrap();
    assert!(table.contains("| 10MB-1 | create | baseline | 4 | 3.413 | 3.413 |"), "{table}");
    assert!(table.contains("| 10MB-1 | update | spegel | 4 | 0.070 | 0.079 |"), "{table}");
    // "(baseline mean - spegel mean) / baseline mean", as they publish it.
    assert!(table.contains("| 45.9 % |"), "{table}");
    assert_eq!(std::fs::read_to_string(out.join("table.md")).unwrap(), table);
    let plot = std::fs::read_to_string(out.join("10MB-1-update.svg")).unwrap();
    assert!(plot.contains("spegel: 4 pulls") && plot.contains("class=\"median\""), "{plot}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("1 JSON files of other forms passed over"));
}

#[test]
fn results_of_the_documents_tool_are_read_as_create_and_update() {
    let directory = tempfile::tempdir().unwrap();
    let without = write(directory.path(), "a.json", &old("nginx-without-spegel", &[2_072, 2_634], &[1_893, 2_084]));
    let with = write(directory.path(), "b.json", &old("nginx-with-spegel", &[1_527, 3_073], &[527, 629]));
    let table = String::from_utf8(analyze(&["--path", &without, "--path", &with]).stdout).unwrap();
    assert!(table.contains("| nginx | create | nginx-without-spegel | 2 | 2.072 | 2.353 |"), "{table}");
    assert!(table.contains("| nginx | update | nginx-with-spegel | 2 | 0.527 | 0.578 |"), "{table}");
}

/// What `measure` writes, which upstream's own analysis cannot read.
#[test]
fn a_bare_cell_is_read_and_runs_of_one_arm_are_pooled() {
    let directory = tempfile::tempdir().unwrap();
    let step = |image: &str, ms: &[u64]| json!({"image": image, "samples": samples(ms)});
    let bare = json!({"create": step("a/b:1", &[1_000]), "update": step("a/b:2", &[500])});
    let bare = write(directory.path(), "benchmark-1.json", &bare);
    let [one, two] = ["1.json", "2.json"].map(|file| write(directory.path(), file, &suite("cache", &[10], &[20])));
    let table = String::from_utf8(analyze(&["--suite-paths", &bare, &one, &two]).stdout).unwrap();
    assert!(table.contains("| b | create | benchmark-1 | 1 | 1.000 |"), "{table}");
    assert!(table.contains("| 10MB-1 | update | cache | 2 | 0.020 |"), "{table}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("other.json", "{}", "neither `benchmarks`"),
        ("broken.json", "{\n  \"name\": 1,\n", "broken.json: EOF"),
        ("steps.json", "{\"Name\": \"a\", \"Benchmarks\": []}", "has 0 entries"),
        ("field.json", "{\"name\": \"a\", \"benchmarks\": 3}", "field.json: invalid type"),
    ];
    for (name, text, message) in cases {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let ended = analyze(&[&path.display().to_string()]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(message) && said.contains(name), "{said}");
    }
}
