//! The committed JSON schemas: that they are those of the code, and that written records keep to them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod sample;

use std::path::{Path, PathBuf};

use record::{Run, RunDir, Trial, gather};
use rstest::rstest;
use sample::{Ending, SUITE, write_run};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of what is written: every field that a record always has is required.
fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.schema.json"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[rstest]
#[case::run("run", schema::<Run>())]
#[case::trial("trial", schema::<Trial>())]
fn the_committed_schema_is_that_of_the_code(#[case] name: &str, #[case] schema: Schema) {
    let path = committed(name);
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    if std::env::var_os("KUBEDYNO_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not the schema of the code: run `KUBEDYNO_BLESS=1 cargo test -p record --test schema` to refresh it, and \
         raise SCHEMA when a reader of older records would be misled",
        path.display()
    );
}

#[test]
fn written_records_keep_to_their_schemas() {
    let place = tempfile::tempdir().unwrap();
    let directory = RunDir::at(place.path());
    let rows =
        [("met", Ending::Passed), ("missed", Ending::Missed), ("stalled", Ending::Stalled), ("killed", Ending::Killed)];
    write_run(&directory, &rows, 20);
    gather(&directory).unwrap();
    let [run, trial] = ["run", "trial"].map(|name| jsonschema::validator_for(&json(&committed(name))).unwrap());
    let problems = |validator: &jsonschema::Validator, path: &Path| {
        let record = json(path);
        let problems = validator.iter_errors(&record).map(|error| format!("{}: {error}", error.instance_path()));
        problems.collect::<Vec<_>>()
    };
    assert_eq!(problems(&run, &directory.run_json()), [""; 0]);
    for (test, _) in rows {
        assert_eq!(problems(&trial, &directory.trial_path(SUITE, test)), [""; 0], "{test}");
    }
    let mut broken = json(&directory.trial_path(SUITE, "met"));
    broken["phases"][0]["took_s"] = Value::from("long");
    assert!(!trial.is_valid(&broken));
    broken["phases"][0].as_object_mut().unwrap().remove("took_s");
    assert!(!trial.is_valid(&broken));
}
