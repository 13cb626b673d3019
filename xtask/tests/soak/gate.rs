//! A gate of real runs, of a system that is known to be slower, whose runs are hit as well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{Fixtures, Lease};

use crate::machine::{Machine, text, wait_for};

/// One run of head is killed in the middle: its repeat is run again, and the gate still finds a system that is slower by three
/// tenths.
#[test]
fn a_gate_finds_a_slower_system_though_one_of_its_runs_is_killed() {
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();
    let out = results.path().display().to_string();
    let gate = machine.spawn(&["gate", "kperf", "--head", "pinned+cpu:*=1.3", "--seed", "7", "--out", &out]);
    wait_for("the first run that counts", || only_gate(results.path()).join("arms/head/000/run.json").is_file());
    let locks = Fixtures::new(machine.path()).locks();
    wait_for("its row", || !Lease::holders(&locks, "gate").is_empty());
    assert!(Lease::holders(&locks, "gate")[0].process.kill(Duration::from_secs(5)));

    let output = gate.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{}", text(&output));
    let gate = only_gate(results.path());
    assert!(gate.join("lost/head/000").is_dir() && gate.join("arms/head/010").is_dir(), "{}", text(&output));
    let markdown = std::fs::read_to_string(gate.join("comparison.md")).unwrap();
    assert!(
        markdown.contains("repeat 0, of which head is no-data") && markdown.contains("again as repeat 10"),
        "{markdown}"
    );
    assert!(markdown.contains("| create_pods_s | worse |"), "{markdown}");
    let profiles =
        |arm: &str| std::fs::read_dir(gate.join(format!("arms/{arm}/warm-up-900/profiles"))).unwrap().count();
    assert!(profiles("base") > 1 && profiles("head") > 1, "the phases are profiled, and not their first seconds");
}

fn only_gate(results: &Path) -> PathBuf {
    let gates = std::fs::read_dir(results).into_iter().flatten().flatten().map(|entry| entry.path());
    gates.last().unwrap_or_default()
}
