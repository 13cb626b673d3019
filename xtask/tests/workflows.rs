//! The GitHub workflows: well-formed, pinned, with no more rights than they need, and made of commands that exist.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every workflow with its name, its text and what it parses to.
fn workflows() -> Vec<(String, String, Value)> {
    let files = std::fs::read_dir(root().join(".github/workflows")).unwrap().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_name().unwrap().to_string_lossy().into_owned(), text, value)
    };
    files.iter().map(read).collect()
}

/// The action that other projects use.
fn action() -> Value {
    let text = std::fs::read_to_string(root().join("action.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = &Value> {
    workflow["jobs"].as_object().unwrap().values()
}

fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    jobs(workflow).flat_map(|job| job["steps"].as_array().unwrap())
}

#[test]
fn there_is_a_gate_a_published_run_and_a_nightly_one() {
    let names: Vec<String> = workflows().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["gate.yml", "nightly.yml", "published.yml"]);
}

/// A tag can be moved; a commit cannot. The comment says which release the commit is.
#[test]
fn every_action_is_pinned_to_a_commit_and_says_which_release_that_is() {
    for (name, text, workflow) in workflows() {
        let used: Vec<&str> = steps(&workflow).filter_map(|step| step["uses"].as_str()).collect();
        assert!(!used.is_empty(), "{name}");
        for action in used {
            let (_, commit) = action.split_once('@').unwrap();
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {action}");
            let line = text.lines().find(|line| line.contains(action)).unwrap();
            let (_, release) = line.split_once(" # v").unwrap_or_else(|| panic!("{name}: {action} names no release"));
            assert_eq!(release.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{name}: {line}");
        }
    }
}

#[test]
fn a_workflow_may_read_and_ends_by_itself() {
    for (name, _, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "{name}");
        assert!(workflow["concurrency"].is_object(), "{name}");
        for job in jobs(&workflow) {
            assert!(job["timeout-minutes"].as_u64().is_some_and(|minutes| minutes <= 360), "{name}");
            let upload = job["steps"].as_array().unwrap().last().unwrap();
            assert_eq!(upload["if"], "always()", "{name}: results are kept whatever the verdict");
        }
    }
}

/// What was built is kept though a row failed: actions/cache by itself would not, and its `save-always` does not work. What is kept
/// under a key stays as it is, so it is kept only once the building has begun, and not of a job that was cancelled.
#[test]
fn what_was_built_is_kept_whatever_the_verdict() {
    let of_workflows = workflows().into_iter().flat_map(|(name, _, workflow)| {
        let jobs: Vec<Vec<Value>> = jobs(&workflow).map(|job| job["steps"].as_array().unwrap().clone()).collect();
        jobs.into_iter().map(move |steps| (name.clone(), steps))
    });
    let of_action = ("action.yml".to_owned(), action()["runs"]["steps"].as_array().unwrap().clone());
    for (name, steps) in of_workflows.chain([of_action]) {
        let with = |action: &str| {
            steps.iter().position(|step| step["uses"].as_str().is_some_and(|used| used.starts_with(action)))
        };
        assert_eq!(with("actions/cache@"), None, "{name}");
        let (restore, save) = (with("actions/cache/restore@").unwrap(), with("actions/cache/save@").unwrap());
        let build = steps.iter().position(|step| step["id"] == "build" || step["id"] == "gate").unwrap();
        assert!(restore < build && build < save, "{name}");
        let (restore, save) = (&steps[restore], &steps[save]);
        assert_eq!(
            (&restore["id"], &restore["with"]["path"]),
            (&Value::from("cache"), &save["with"]["path"]),
            "{name}"
        );
        assert_eq!(save["with"]["key"], "${{ steps.cache.outputs.cache-primary-key }}", "{name}");
        let condition = save["if"].as_str().unwrap();
        assert!(condition.contains("!cancelled()") && condition.contains("cache-hit != 'true'"), "{name}: {condition}");
        assert!(steps[build]["id"] == "gate" || condition.contains("steps.build.outcome != 'skipped'"), "{name}");
    }
}

/// Each command is one of ours and would be accepted; running them in a clean clone is the soak's part.
#[test]
fn every_command_is_one_that_xtask_knows() {
    for (name, _, workflow) in workflows() {
        let commands: Vec<&str> = steps(&workflow).filter_map(|step| step["run"].as_str()).collect();
        assert!(!commands.is_empty(), "{name}");
        for command in commands {
            let words = with_values(command);
            let words = words.strip_prefix(&["cargo", "xtask"][..]).unwrap_or_else(|| panic!("{name}: {command}"));
            let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(words).arg("--help").output().unwrap();
            assert!(output.status.success(), "{name}: {command}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The words of a command: a variable after a flag is its value, any other may hold no word at all.
fn with_values(command: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    for word in command.split_whitespace() {
        match word.starts_with('$') {
            false => words.push(word),
            true if words.last().is_some_and(|last| last.starts_with("--")) => words.push("value"),
            true => {}
        }
    }
    words
}

/// The action passes every input through the environment, pins what it uses, and calls a command that exists.
#[test]
fn the_action_is_sound() {
    let action = action();
    let steps = action["runs"]["steps"].as_array().unwrap();
    for used in steps.iter().filter_map(|step| step["uses"].as_str()) {
        let (_, commit) = used.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{used}");
    }
    let gate = steps.iter().find(|step| step["id"] == "gate").unwrap();
    let script = gate["run"].as_str().unwrap();
    assert!(!script.contains("${{"), "an input must not become part of a command: {script}");
    let env = gate["env"].to_string();
    for input in action["inputs"].as_object().unwrap().keys() {
        assert!(env.contains(&format!("inputs.{input}")), "{input} is passed on");
    }
    let flags: Vec<&str> = script.split_whitespace().filter(|word| word.starts_with("--")).collect();
    let help = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["gate", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in ["--component", "--base", "--head", "--pairs", "--allow-untold", "--must-see", "--out"] {
        assert!(flags.contains(&flag) && help.contains(flag), "{flag}");
    }
}
