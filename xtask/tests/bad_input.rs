//! Whatever is written into the files that people and other programs give us: an error that names the file, never a panic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::Path;

use cluster::{Access, Descriptor};
use harness::Rows;
use measure::{Budgets, Verdict, promtext};
use proptest::prelude::*;
use record::{Expected, PhaseRecord, Run, RunDir, Trial, gather};

const BUDGETS: &str = include_str!("../../suites/kperf-suite/budgets.toml");
const PARAMETERS: &str = include_str!("../../suites/kperf-suite/parameters.toml");
const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: c\n  cluster: {server: https://127.0.0.1:1, \
    certificate-authority: ca.crt}\ncontexts:\n- name: a\n  context: {cluster: c, user: u, namespace: n}\nusers:\n- name: u\n  user:\n    exec: {apiVersion: \
    client.authentication.k8s.io/v1, command: ./get-token, args: [x], interactiveMode: Never}\n";
const DESCRIPTOR: &str = r#"{"schema": 1, "name": "default", "provider": "kwok", "key": "k", "created_at": "t", "boot_id": "b",
"kubeconfig": "/k", "apiserver": "https://127.0.0.1:1", "capabilities": [], "versions": {"kubernetes": "v1.36.3"}, "settings": null,
"programs": [], "components": [{"name": "etcd", "process": {"pid": 1, "started_ticks": 2}, "metrics_url": null, "log": "/l", "args": []}]}"#;
const METRICS: &str = "# HELP a_total Text.\n# TYPE a_total counter\na_total{verb=\"GET\",resource=\"po\\\"ds\"} 1.5e3 1690000000\n\
    b_bucket{le=\"+Inf\"} NaN\nc -Inf\n";
/// What becomes of a text.
#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0usize..20_000;
    // Pieces that mean something in one of the formats do more harm than any others.
    let pieces = prop::sample::select(vec![
        "\"", "'", "{", "}", "[", "]", "=", "#", ":", "\n", "\0", "\u{feff}", "nan", "1e999", "-1", "&a", "*a", "\\",
    ]);
    let insert =
        prop_oneof![pieces.prop_map(|piece| piece.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 1..6)];
    prop_oneof![
        at.clone().prop_map(Harm::Cut),
        (at.clone(), 1usize..40).prop_map(|(at, n)| Harm::Remove(at, n)),
        (at.clone(), insert).prop_map(|(at, piece)| Harm::Insert(at, piece)),
        (at, 1usize..60).prop_map(|(at, n)| Harm::Repeat(at, n)),
    ]
}

fn harmed(good: &str, harms: &[Harm]) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for harm in harms {
        let at = |at: usize| at % (bytes.len() + 1);
        let span = |start: usize, n: usize| at(start)..(at(start) + n).min(bytes.len());
        match harm {
            Harm::Cut(start) => bytes.truncate(at(*start)),
            Harm::Remove(start, n) => drop(bytes.drain(span(*start, *n))),
            Harm::Insert(start, piece) => drop(bytes.splice(span(*start, 0), piece.iter().copied())),
            Harm::Repeat(start, n) => {
                let span = span(*start, *n);
                bytes.extend_from_within(span.clone());
                let (end, n) = (bytes.len(), span.len());
                bytes[span.start..end].rotate_right(n);
            }
        }
    }
    bytes
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    prop::collection::vec(harm(), 1..5)
}

/// A run and its trial, as they are written.
fn good_records() -> [String; 2] {
    let (suite, test) = ("kperf-suite".to_owned(), "row".to_owned());
    let phase = PhaseRecord { name: "create".to_owned(), took_s: 1.5, expected: 1, done: 1, ..PhaseRecord::default() };
    let expected = vec![Expected { suite: suite.clone(), test: test.clone() }];
    let trial = Trial { suite, test, verdict: Some(Verdict::Pass), phases: vec![phase], ..Trial::default() };
    let run = Run { expected, ..Run::default() };
    [serde_json::to_string_pretty(&run).unwrap(), serde_json::to_string_pretty(&trial).unwrap()]
}

fn written(directory: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn budgets(harms in harms()) {
        if let Err(error) = Budgets::parse("budgets.toml", &String::from_utf8_lossy(&harmed(BUDGETS, &harms))) {
            prop_assert!(error.to_string().starts_with("budgets.toml:"), "{error}");
            prop_assert!(error.line >= 1);
        }
    }

    #[test]
    fn parameters(harms in harms()) {
        match Rows::parse("parameters.toml", &String::from_utf8_lossy(&harmed(PARAMETERS, &harms))) {
            Err(error) => prop_assert!(error.to_string().starts_with("parameters.toml:"), "{error}"),
            Ok(rows) => {
                let names: Vec<String> = rows.names().map(str::to_owned).collect();
                for name in names {
                    let sets = [("nodes".to_owned(), "5".to_owned())].into();
                    if let Err(error) = rows.row::<toml::Table>(&name, &sets) {
                        prop_assert!(error.to_string().starts_with("--set nodes=5: row `"), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn kubeconfigs(harms in harms()) {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path(), "config", &harmed(KUBECONFIG, &harms));
        if let Err(error) = Access::read(&[path], None) {
            prop_assert!(error.to_string().contains("config"), "{error}");
        }
    }

    #[test]
    fn descriptors(harms in harms()) {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path(), "fixture.json", &harmed(DESCRIPTOR, &harms));
        if let Err(error) = Descriptor::read(&path) {
            prop_assert!(error.to_string().contains("fixture.json"), "{error}");
        }
    }

    #[test]
    fn metrics(harms in harms()) {
        let page = harmed(METRICS, &harms);
        let page = String::from_utf8_lossy(&page);
        for sample in promtext::samples(&page) {
            prop_assert!(page.contains(sample.name));
        }
    }

    #[test]
    fn records(harms in harms(), of_run in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        let [run, trial] = good_records();
        let (run, trial) = if of_run { (harmed(&run, &harms), trial.into()) } else { (run.into(), harmed(&trial, &harms)) };
        written(directory.path(), "run.json", &run);
        written(directory.path(), "trials/kperf-suite/row.json", &trial);
        match gather(&RunDir::at(directory.path())) {
            Ok(run) => prop_assert!(!run.trials.is_empty() || of_run),
            Err(error) => prop_assert!(error.to_string().contains(".json"), "{error}"),
        }
    }
}
