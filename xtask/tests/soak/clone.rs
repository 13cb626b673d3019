//! What users' workflows run, in a clean clone of this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::machine::{Machine, text};

/// Runs a script as a step of a job does; `temporary` is the state too, so that its clusters end with its machine.
fn step(clone: &Path, temporary: &Path, script: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new("bash");
    for (key, _) in std::env::vars() {
        let ours = key.starts_with("KUBEDYNO_") && key != "KUBEDYNO_CACHE";
        if ours || key.starts_with("NEXTEST") || key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_") {
            command.env_remove(key);
        }
    }
    command
        .args(["-e", "-c", script])
        .current_dir(clone)
        .env("KUBEDYNO_STATE", temporary)
        .env("GITHUB_STEP_SUMMARY", temporary.join("summary.md"))
        .env("GITHUB_OUTPUT", temporary.join("output"))
        .env("RUNNER_TEMP", temporary)
        .envs(env.iter().copied());
    command.output().unwrap()
}

fn clone_into(directory: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let clone = directory.join("clone");
    let cloned = Command::new("git").arg("clone").arg("--quiet").arg(root).arg(&clone).output().unwrap();
    assert!(cloned.status.success(), "{}", text(&cloned));
    clone
}

fn parse(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn has_docker() -> bool {
    Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success())
}

fn summary(temporary: &Path) -> String {
    std::fs::read_to_string(temporary.join("summary.md")).unwrap()
}

/// The nightly workflow is what runs this test.
#[test]
fn every_step_of_the_workflows_runs_in_a_clean_clone() {
    let machine = Machine::new();
    let temporary = machine.path();
    let clone = clone_into(temporary);
    for name in ["gate.yml", "published.yml"] {
        let workflow = parse(&clone.join(".github/workflows").join(name));
        let jobs = workflow["jobs"].as_object().unwrap().values();
        let steps: Vec<&Value> = jobs.flat_map(|job| job["steps"].as_array().unwrap()).collect();
        for script in steps.iter().filter_map(|step| step["run"].as_str()) {
            // A revision against itself: the order of the runs and the exit code are what is tried here.
            // One of the published rows, which take hours together.
            let filter = ("FILTER", "test(timeseries_replay_published)");
            let output = step(&clone, temporary, script, &[("SUITE", "kperf"), filter, ("BASE", "HEAD")]);
            // A runner has a Docker engine. Where none is, that is said, and is no success.
            let expected = if script.contains("image-pull") && !has_docker() { 13 } else { 0 };
            assert_eq!(output.status.code(), Some(expected), "{name}: {script}: {}", text(&output));
        }
    }
    let summary = summary(temporary);
    assert!(summary.contains("rows passed") && summary.contains("| metric | answer |"), "{summary}");
}

#[test]
fn the_action_judges_a_build_in_a_clean_clone() {
    let machine = Machine::new();
    let temporary = machine.path();
    let clone = clone_into(temporary);
    let action = parse(&clone.join("action.yml"));
    let steps = action["runs"]["steps"].as_array().unwrap();
    let script = steps.iter().find(|step| step["id"] == "gate").unwrap()["run"].as_str().unwrap();
    let root = clone.display().to_string();
    let env = [
        ("ACTION", root.as_str()),
        ("SUITE", "kperf"),
        ("COMPONENT", "kube-apiserver"),
        ("BASE", "pinned"),
        ("HEAD", "pinned+cpu:*=2"),
        ("PAIRS", "5"),
        ("FAIL_ON_UNTOLD", "false"),
        ("MUST_SEE", "1.5"),
    ];
    let output = step(temporary, temporary, script, &env);
    assert_eq!(output.status.code(), Some(10), "a system that is twice as slow is worse: {}", text(&output));
    let told = std::fs::read_to_string(temporary.join("output")).unwrap();
    let markdown = told.lines().find_map(|line| line.strip_prefix("markdown=")).unwrap();
    assert!(std::fs::read_to_string(markdown).unwrap().contains("worse"), "{told}");
}
