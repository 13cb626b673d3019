//! A soak: `cargo xtask run` is killed at a random moment, over and over: itself, its nextest, its test, or a component
//! of its cluster. `cluster gc` leaves nothing but a cluster that `up` repairs, after that nothing at all, and what the run had is
//! reported.
//!
//! `KUBEDYNO_SOAK_KILLS` and `KUBEDYNO_SOAK_SEED` set how many and which.

mod clone;
mod gate;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cluster::{Descriptor, Fixtures, Lease, Process};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use crate::machine::{Machine, text, wait_for};
use crate::{objects_left, only_run, parent_of};

const COMPONENTS: [&str; 5] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"];

/// A row of some seconds that gives up soon, so that a dead component does not hold it for minutes.
const RUN: [&str; 14] = [
    "run",
    "kperf",
    "--filter",
    "test(nodepool_smoke)",
    "--set",
    "nodes=20",
    "--set",
    "deployments=2",
    "--set",
    "replicas=60",
    "--set",
    "stalled_after_s=4",
    "--set",
    "phase_limit_s=30",
];

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Command,
    Nextest,
    Test,
    Component(&'static str),
}

#[test]
fn a_hundred_kills_at_random_moments_leave_nothing_and_are_reported() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("KUBEDYNO_SOAK_SEED").unwrap_or_else(rand_seed);
    let kills = number("KUBEDYNO_SOAK_KILLS").unwrap_or(100);
    say(&format!("{kills} kills, KUBEDYNO_SOAK_SEED={seed}"));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();

    let whole = Instant::now();
    let child = start(&machine, &results.path().join("whole"));
    assert!(text(&child.wait_with_output().unwrap()).contains("took"), "the run does not work undisturbed");
    let whole = whole.elapsed();

    let (mut kill, mut died) = (0, 0);
    // One that is not there yet, or no more, cannot be killed: such a try does not count.
    while died < kills {
        kill += 1;
        let victim = match random.random_range(0..8) {
            0 | 1 => Victim::Command,
            2 => Victim::Nextest,
            3 | 4 => Victim::Test,
            _ => Victim::Component(COMPONENTS[random.random_range(0..COMPONENTS.len())]),
        };
        let after = whole.mul_f64(random.random_range(0.0..1.0));
        let directory = results.path().join(kill.to_string());
        let mut child = start(&machine, &directory);
        std::thread::sleep(after);
        let killed = find(&machine, &child, victim).is_some_and(|process| process.signal(Signal::KILL));
        let ended = wait(&mut child);
        let said = format!("kill {kill}: {victim:?} after {after:.1?} (killed: {killed}, seed {seed})");
        died += u64::from(killed);
        say(&format!("{said}; {died} of {kill} tries"));
        assert!(ended, "{said}: the command does not end");
        machine.ok(&["cluster", "gc"]);
        nothing_runs_unknown(&machine, &said);
        // A cluster of which a component died was asked for: gc leaves it, with the dead run's objects in it, to `up`.
        if machine.xtask(&["cluster", "status"]).status.code() == Some(3) {
            machine.ok(&["cluster", "up"]);
            machine.ok(&["cluster", "gc"]);
        }
        nothing_is_left(&machine, &said);
        reported(&machine, &directory, victim, killed, &said);
    }

    // A temporary file may belong to somebody for a minute.
    std::thread::sleep(Duration::from_secs(61));
    machine.ok(&["cluster", "gc"]);
    let left = temporary_files(machine.path());
    assert!(left.is_empty(), "{left:?}");
}

fn start(machine: &Machine, results: &Path) -> Child {
    let out = results.display().to_string();
    let mut command = machine.command(&RUN);
    command.args(["--out", &out]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The victim's process, if it is there at this moment.
fn find(machine: &Machine, child: &Child, victim: Victim) -> Option<Process> {
    let fixtures = Fixtures::new(machine.path());
    let test = || {
        Some(Lease::holders(&fixtures.locks(), "default").into_iter().find(|holder| holder.run_id.is_some())?.process)
    };
    match victim {
        Victim::Command => Process::of_pid(child.id() as i32),
        Victim::Nextest => test().and_then(|test| Process::of_pid(parent_of(test))),
        Victim::Test => test(),
        Victim::Component(name) => Some(fixtures.descriptor("default").ok()?.component(name)?.process),
    }
}

/// Waits for the command, at most two minutes.
fn wait(child: &mut Child) -> bool {
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

/// No process but those of the cluster, whether all of them run or not.
fn nothing_runs_unknown(machine: &Machine, said: &str) {
    let descriptor = Descriptor::read(&Fixtures::new(machine.path()).descriptor_path("default")).unwrap();
    let known: Vec<i32> =
        descriptor.iter().flat_map(|found| &found.components).map(|found| found.process.pid).collect();
    // kwokctl may be about to end by itself.
    wait_for(&format!("processes to end: {said}"), || machine.processes().iter().all(|pid| known.contains(pid)));
}

/// The same, no object of a run, no card of a dead run or holder; and what there is of a cluster works.
fn nothing_is_left(machine: &Machine, said: &str) {
    nothing_runs_unknown(machine, said);
    let descriptor = Descriptor::read(&Fixtures::new(machine.path()).descriptor_path("default")).unwrap();
    assert!(Lease::holders(&Fixtures::new(machine.path()).locks(), "default").is_empty(), "{said}");
    let cards = fs::read_dir(machine.path().join("runs")).into_iter().flatten().flatten();
    assert_eq!(cards.count(), 0, "{said}: a run's card is left");
    if descriptor.is_some() {
        assert!(machine.ok(&["cluster", "status"]).contains("healthy"), "{said}");
        assert_eq!(objects_left(machine), "", "{said}");
    }
}

/// A run that had begun is told as what it is: not complete, or with a verdict that is not `pass` unless it passed before the kill.
fn reported(machine: &Machine, directory: &Path, victim: Victim, killed: bool, said: &str) {
    let run = only_run(directory);
    let json = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&fs::read(path).ok()?).ok();
    let Some(before) = json(run.join("run.json")) else { return };
    let report = machine.xtask(&["report", &run.display().to_string()]);
    let code = report.status.code();
    assert!(matches!(code, Some(0 | 10 | 11)), "{said}: {code:?} {}", text(&report));
    let after = json(run.join("run.json")).unwrap();
    let trial = &after["trials"][0];
    let complete = before["state"] == "complete";
    if killed && matches!(victim, Victim::Command | Victim::Nextest) {
        assert!(!complete || code == Some(0), "{said}: {after}");
    }
    // What was cut short says so; what passed had passed before.
    if trial["verdict"] == "pass" {
        assert!(!trial["budgets"].as_array().unwrap().is_empty(), "{said}");
    } else {
        assert!(trial["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{said}: {trial}");
        assert_ne!(code, Some(0), "{said}");
    }
}

fn temporary_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(temporary_files(&entry.path()));
        } else if entry.file_name().to_string_lossy().starts_with(".tmp-") {
            found.push(entry.path());
        }
    }
    found
}

fn rand_seed() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64
}

fn say(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").ok();
}
