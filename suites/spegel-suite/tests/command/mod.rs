//! The document's own command, on the cluster and the images of a row.

use std::process::{Command, Output};

use disturb::prune;
use harness::{fixture, judged};
use measure::Verdict;
use serde_json::Value;
use spegel_suite::{FIXTURE, Rig, disturbed_row, drive};

const IMAGES: [&str; 2] = ["origin.test/spegel-benchmark:v1", "origin.test/spegel-benchmark:v2"];

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spegel-bench")).args(args).output().unwrap()
}

/// "benchmark --result-dir ./results --name nginx-without-spegel --kubeconfig … --namespace spegel-benchmark --images …", in the
/// middle of a row, which then runs as if nothing had been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_command_runs_both_steps_and_takes_away_what_it_made() {
    let results = tempfile::tempdir().unwrap();
    let directory = results.path().display().to_string();
    let run = move |_: &Rig| {
        let (descriptor, _) = fixture(FIXTURE).unwrap();
        let kubeconfig = descriptor.kubeconfig.display().to_string();
        let place = ["benchmark", "--result-dir", &directory, "--name", "nginx-without-spegel"];
        let cluster = ["--kubeconfig", &kubeconfig, "--namespace", "spegel-benchmark", "--images"];
        let ended = bench(&[&place[..], &cluster, &IMAGES].concat());
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        prune().unwrap();
    };
    let (row, benchmark) = disturbed_row("disturbed", "the_documents_command").unwrap();
    let record = judged(row, async |trial| drive(trial, &benchmark, Some(Box::new(run))).await);
    let record = Box::pin(record).await.unwrap();
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);

    let file = results.path().join("nginx-without-spegel.json");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let steps = written["Benchmarks"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["Image"].as_str().unwrap()).collect::<Vec<_>>(), IMAGES);
    for step in steps {
        let pulls = step["Measurements"].as_array().unwrap();
        assert_eq!(pulls.len(), 2, "{written}");
        assert!(pulls.iter().all(|pull| pull["Duration"].as_u64().unwrap() > 0), "{written}");
    }
    let table = bench(&["analyze", "--path", &file.display().to_string()]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("| spegel-benchmark | update | nginx-without-spegel | 2 |"), "{table}");
}
