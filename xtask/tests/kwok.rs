//! Clusters as people meet them: made, adopted, broken, killed, repaired, swept. Real components, a state directory of
//! the test's own, and the programs of the shared cache.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod existing;
mod fault;
mod machine;
mod soak;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cluster::{Descriptor, Fixtures, Lease, Mode, Process, State};
use machine::{Machine, text, wait_for};
use procfs::net::TcpState;
use rustix::process::{Pid, Signal};

fn pids(descriptor: &Descriptor) -> Vec<i32> {
    descriptor.components.iter().map(|component| component.process.pid).collect()
}

#[test]
fn a_cluster_is_made_once_adopted_repaired_and_ended() {
    let machine = Machine::new();
    assert!(machine.ok(&["cluster", "up", "--nodes", "30"]).contains("created"));
    let made = machine.descriptor("default");
    private_and_on_loopback(&made);

    assert!(machine.ok(&["cluster", "up"]).contains("adopted"));
    assert_eq!(pids(&machine.descriptor("default")), pids(&made), "adopting changes nothing");
    let nodes = machine.kubectl("default", &["get", "nodes", "--no-headers"]);
    assert_eq!(nodes.lines().count(), 30, "{nodes}");
    assert!(nodes.lines().all(|node| node.split_whitespace().nth(1) == Some("Ready")), "up returned before: {nodes}");

    // A dead component is seen at once, named, and started again; the others stay.
    let scheduler = made.component("kube-scheduler").unwrap().process;
    assert!(scheduler.kill(Duration::from_secs(5)));
    let status = machine.xtask(&["cluster", "status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(
        text(&status).contains(&format!("kube-scheduler (pid {}) is not running", scheduler.pid)),
        "{}",
        text(&status)
    );
    assert!(machine.ok(&["cluster", "up"]).contains("repaired"));
    let repaired = machine.descriptor("default");
    assert_eq!(
        repaired.component("kube-apiserver").unwrap().process,
        made.component("kube-apiserver").unwrap().process
    );
    assert_eq!(repaired.component("kube-scheduler").unwrap().process.state(), State::Running);

    // So is one that stands still.
    repaired.component("etcd").unwrap().process.signal(Signal::STOP);
    wait_for("etcd to stop", || repaired.component("etcd").unwrap().process.state() == State::Paused);
    let status = text(&machine.xtask(&["cluster", "status"]));
    assert!(status.contains("is paused"), "{status}");
    assert!(machine.ok(&["cluster", "up"]).contains("repaired"));

    // Where another program has taken the port of a dead component, the cluster gets others.
    let repaired = machine.descriptor("default");
    let apiserver = repaired.component("kube-apiserver").unwrap();
    assert!(apiserver.process.kill(Duration::from_secs(5)));
    let port = apiserver.port().unwrap();
    let mut taken = None;
    wait_for("the port", || {
        taken = std::net::TcpListener::bind(("127.0.0.1", port)).ok();
        taken.is_some()
    });
    let up = text(&machine.xtask(&["cluster", "up"]));
    assert!(up.contains(&format!("port {port} of kube-apiserver is in use by another program")), "{up}");
    assert_ne!(machine.descriptor("default").component("kube-apiserver").unwrap().port(), Some(port));
    drop(taken);

    // After a reboot the pids mean nothing, even where a process has them.
    let path = Fixtures::new(machine.path()).descriptor_path("default");
    let rebooted = std::fs::read_to_string(&path).unwrap().replace(&made.boot_id, "another-boot");
    std::fs::write(&path, rebooted).unwrap();
    assert!(text(&machine.xtask(&["cluster", "status"])).contains("the machine was rebooted"));
    assert!(machine.ok(&["cluster", "up"]).contains("created"));

    machine.ok(&["cluster", "down"]);
    assert!(machine.processes().is_empty(), "processes are left: {:?}", machine.processes());
    assert!(Fixtures::new(machine.path()).names().is_empty());
    let locks = std::fs::read_dir(Fixtures::new(machine.path()).locks()).unwrap().flatten();
    let locks: Vec<_> = locks.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(locks, ["_create.up"], "only what is of no cluster stays");
}

/// What `up` repairs in a second was asked for: gc leaves it, and removes it when nothing of it runs any more.
#[test]
fn gc_leaves_what_up_repairs_and_counts_what_it_ends() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up"]);
    let made = machine.descriptor("default");
    assert!(made.component("kube-scheduler").unwrap().process.kill(Duration::from_secs(5)));
    let gc = machine.ok(&["cluster", "gc"]);
    assert!(gc.contains("`default` is left: kube-scheduler (pid "), "{gc}");
    assert!(gc.contains("`cargo xtask cluster up --name default` repairs it"), "{gc}");
    assert!(gc.contains("removed no cluster, 0 processes"), "{gc}");
    assert!(machine.ok(&["cluster", "up"]).contains("repaired"));
    for component in &machine.descriptor("default").components {
        assert!(component.process.kill(Duration::from_secs(5)));
    }
    let gc = machine.ok(&["cluster", "gc"]);
    assert!(gc.contains("removing `default`: nothing of it runs any more"), "{gc}");
    assert!(gc.contains("removed default, 0 processes"), "{gc}");
    assert!(Fixtures::new(machine.path()).names().is_empty());
}

/// A build that exits is the cause, and is named within seconds: kwokctl alone would wait for minutes.
#[test]
fn a_component_that_exits_at_once_is_named_with_where_it_comes_from() {
    let machine = Machine::new();
    let build = machine.path().join("etcd");
    let script =
        "#!/bin/sh\ncase \"$1\" in --version) echo 'etcd Version: 3.7.0';; *) echo panic: no disk >&2; exit 7;; esac\n";
    std::fs::write(&build, script).unwrap();
    std::fs::set_permissions(&build, std::fs::Permissions::from_mode(0o755)).unwrap();
    let started = Instant::now();
    let up = machine.command(&["cluster", "up"]).env("KUBEDYNO_ETCD", &build).output().unwrap();
    let said = text(&up);
    assert_eq!(up.status.code(), Some(3), "{said}");
    assert!(
        said.contains("etcd has exited (exit status: 7); the last line of its log: panic: no disk; it is "),
        "{said}"
    );
    assert!(
        said.contains(&format!("{} (KUBEDYNO_ETCD, or an arm of a gate): name a build that runs", build.display())),
        "{said}"
    );
    assert!(!said.contains("once more"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60), "took {:?}", started.elapsed());
    assert!(machine.processes().is_empty() && Fixtures::new(machine.path()).names().is_empty());
}

/// The pinned kubectl stands before whatever PATH has, also when a variable names it by another name.
#[test]
fn a_broken_kubectl_on_path_is_not_the_clusters() {
    let machine = Machine::new();
    let (broken, mine) = (machine.path().join("kubectl"), machine.path().join("my-client"));
    std::fs::write(&broken, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", machine.path().display(), std::env::var("PATH").unwrap());
    let up = |own: &[(&str, &Path)]| {
        let started = Instant::now();
        let up = machine.command(&["cluster", "up"]).env("PATH", &path).envs(own.iter().copied()).output().unwrap();
        assert!(up.status.success() && text(&up).contains("created"), "{}", text(&up));
        assert!(started.elapsed() < Duration::from_secs(60), "took {:?}", started.elapsed());
        let programs = machine.descriptor("default").programs;
        machine.ok(&["cluster", "down"]);
        programs.into_iter().find(|program| program.name == "kubectl").unwrap().path
    };
    std::os::unix::fs::symlink(up(&[]), &mine).unwrap();
    assert_eq!(up(&[("KUBEDYNO_KUBECTL", &mine)]), mine);
}

fn private_and_on_loopback(descriptor: &Descriptor) {
    let pki = descriptor.kubeconfig.parent().unwrap().join("kwok/clusters/default/pki");
    let keys = std::fs::read_dir(pki).unwrap().flatten().map(|entry| entry.path());
    for file in keys.chain([descriptor.kubeconfig.clone()]) {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
    let sockets: BTreeSet<u64> =
        descriptor.components.iter().flat_map(|component| sockets(component.process)).collect();
    let listening: Vec<_> = procfs::net::tcp()
        .unwrap()
        .into_iter()
        .chain(procfs::net::tcp6().unwrap_or_default())
        .filter(|entry| entry.state == TcpState::Listen && sockets.contains(&entry.inode))
        .collect();
    assert!(listening.len() >= 5, "every component listens somewhere: {listening:?}");
    assert!(listening.iter().all(|entry| entry.local_address.ip().is_loopback()), "{listening:?}");
}

fn sockets(process: Process) -> Vec<u64> {
    let entry = procfs::process::Process::new(process.pid).unwrap();
    let files = entry.fd().unwrap().flatten();
    let inode = |file: procfs::process::FDInfo| match file.target {
        procfs::process::FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    files.filter_map(inode).collect()
}

#[test]
fn two_commands_at_once_make_one_cluster_and_names_stand_side_by_side() {
    let machine = Machine::new();
    let commands =
        [["cluster", "up", "--name", "one"], ["cluster", "up", "--name", "one"], ["cluster", "up", "--name", "two"]];
    let children = commands.map(|args| machine.spawn(&args));
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let said: Vec<String> = outputs.iter().map(text).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{said:?}");
    let of_one = format!("{}{}", said[0], said[1]);
    assert!(of_one.contains("created") && of_one.contains("adopted"), "{of_one}");
    let (one, two) = (machine.descriptor("one"), machine.descriptor("two"));
    assert_ne!(one.apiserver, two.apiserver);
    let list = machine.ok(&["cluster", "list"]);
    assert_eq!(list.matches("healthy").count(), 2, "{list}");
}

#[test]
fn a_cluster_in_use_is_not_ended() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up"]);
    let locks = Fixtures::new(machine.path()).locks();
    let lease = Lease::try_take(&locks, "default", Mode::Shared, "a_row", Some("run-1")).unwrap().unwrap();
    let refused = machine.xtask(&["cluster", "down"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = text(&refused);
    assert!(said.contains("is in use by a_row (pid ") && said.contains("cluster down --force"), "{said}");
    assert!(machine.ok(&["cluster", "gc"]).contains("`default` is in use: left alone"));
    drop(lease);
    machine.ok(&["cluster", "down"]);
}

#[test]
fn a_command_that_is_killed_half_way_leaves_nothing_after_gc() {
    let machine = Machine::new();
    let mut up = machine.spawn(&["cluster", "up"]);
    wait_for("a first component", || !machine.processes().is_empty());
    let list = machine.ok(&["cluster", "list"]);
    assert!(list.contains(&format!("being made by pid {}", up.id())), "{list}");
    up.kill().unwrap();
    up.wait().unwrap();
    let list = machine.ok(&["cluster", "list"]);
    assert!(list.contains("half-made"), "{list}");
    let status = machine.xtask(&["cluster", "status"]);
    assert_eq!(status.status.code(), Some(3), "{}", text(&status));
    assert!(text(&status).contains("`cargo xtask cluster up --name default` makes it anew, "), "{}", text(&status));
    // kwokctl goes on without its parent; gc may meet it at any point, and so may `up`.
    machine.ok(&["cluster", "gc"]);
    wait_for("kwokctl to end", || !commands_with("kwokctl", machine.path()));
    machine.ok(&["cluster", "gc"]);
    assert!(machine.processes().is_empty(), "processes are left: {:?}", machine.processes());
    assert!(machine.ok(&["cluster", "up"]).contains("created"));
}

#[test]
fn an_interrupted_up_ends_within_five_seconds_what_it_had_begun_and_says_so() {
    let machine = Machine::new();
    let up = machine.spawn(&["cluster", "up"]);
    wait_for("a first component", || !machine.processes().is_empty());
    let interrupted = Instant::now();
    assert!(Process::of_pid(up.id() as i32).unwrap().signal(Signal::INT));
    let output = up.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < Duration::from_secs(5), "took {:?}: {}", interrupted.elapsed(), text(&output));
    assert_eq!(output.status.code(), Some(11), "{}", text(&output));
    assert!(text(&output).ends_with("interrupted: nothing is left of cluster `default`\n"), "{}", text(&output));
    assert!(machine.processes().is_empty() && Fixtures::new(machine.path()).names().is_empty());
    assert!(!commands_with("kwokctl", machine.path()));
}

/// A terminal tells kwokctl as well, which then says that all is well.
#[test]
fn an_interrupted_repair_costs_nobody_the_cluster() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up", "--nodes", "3"]);
    let made = machine.descriptor("default");
    assert!(made.component("kube-apiserver").unwrap().process.kill(Duration::from_secs(5)));
    let up = machine.command(&["cluster", "up"]).process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the repair", || has_started("kwokctl", &up));
    assert!(rustix::process::kill_process_group(Pid::from_child(&up), Signal::INT).is_ok());
    let output = up.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(11), "{}", text(&output));
    assert!(text(&output).contains("stays as it is; the same command goes on"), "{}", text(&output));
    assert!(machine.ok(&["cluster", "up"]).contains("repaired"));
    assert_eq!(machine.kubectl("default", &["get", "nodes", "--no-headers"]).lines().count(), 3);
}

fn has_started(program: &str, command: &Child) -> bool {
    procfs::process::all_processes().unwrap().flatten().any(|process| {
        process.stat().is_ok_and(|stat| stat.ppid == command.id() as i32)
            && process.cmdline().is_ok_and(|words| words.first().is_some_and(|word| word.ends_with(program)))
    })
}

fn commands_with(program: &str, directory: &Path) -> bool {
    let below = directory.display().to_string();
    let all = procfs::process::all_processes().unwrap().flatten();
    all.filter_map(|process| process.cmdline().ok()).any(|words| {
        words.first().is_some_and(|word| word.ends_with(program)) && words.iter().any(|word| word.contains(&below))
    })
}

/// The arguments of a run of one row, too large to end while it is watched.
fn long_run(results: &Path) -> Vec<String> {
    let words = ["run", "kperf", "--filter", "test(nodepool_smoke)", "--set", "replicas=200", "--out"];
    words.iter().map(|word| (*word).to_owned()).chain([results.display().to_string()]).collect()
}

fn only_run(results: &Path) -> PathBuf {
    let runs = std::fs::read_dir(results).into_iter().flatten().flatten().map(|entry| entry.path());
    runs.filter(|path| path.join("run.json").is_file() && !path.is_symlink()).last().unwrap_or_default()
}

/// Starts the run and waits until its pods come.
fn started(machine: &Machine, results: &Path) -> Child {
    let args = long_run(results);
    let child = machine.spawn(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let progress =
        || std::fs::read_to_string(only_run(results).join("progress/kperf-suite.nodepool_smoke")).unwrap_or_default();
    wait_for("pods", || progress().starts_with("create-pods"));
    child
}

fn parent_of(process: Process) -> i32 {
    procfs::process::Process::new(process.pid).unwrap().stat().unwrap().ppid
}

fn objects_left(machine: &Machine) -> String {
    let labelled = ["get", "nodes,namespaces", "-l", "kubedyno.io/run-id", "--no-headers", "--ignore-not-found"];
    machine.kubectl("default", &labelled)
}

#[test]
fn an_interrupted_run_ends_within_five_seconds_with_what_it_had() {
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();
    let child = started(&machine, results.path());
    waits_for_the_first(&machine, results.path());
    let interrupted = Instant::now();
    assert!(Process::of_pid(child.id() as i32).unwrap().signal(Signal::INT));
    let output = child.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < Duration::from_secs(5), "took {:?}: {}", interrupted.elapsed(), text(&output));
    assert_eq!(output.status.code(), Some(11), "{}", text(&output));
    let run: serde_json::Value =
        serde_json::from_slice(&std::fs::read(only_run(results.path()).join("run.json")).unwrap()).unwrap();
    assert_eq!(run["state"], "interrupted");
    assert_eq!(run["trials"][0]["verdict"], "invalid");
    let reason = run["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("interrupted by SIG"), "{reason}");
    assert!(run["trials"][0]["metrics"]["create_nodes_per_s"].as_f64().unwrap() > 0.0, "what was measured is kept");
    machine.ok(&["cluster", "gc"]);
    assert_eq!(objects_left(&machine), "");
}

/// A second run waits, and says for whom.
fn waits_for_the_first(machine: &Machine, results: &Path) {
    let said = machine.path().join("second.stderr");
    let mut second = machine.command(&["run", "kperf", "--out", &results.join("second").display().to_string()]);
    let mut second = second.stderr(std::fs::File::create(&said).unwrap()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the second run to wait", || {
        std::fs::read_to_string(&said).unwrap().contains("waiting for `run`: in use by cargo xtask run kperf")
    });
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn a_killed_run_leaves_nothing_after_gc_and_still_reports() {
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();
    let mut child = started(&machine, results.path());
    let test = Lease::holders(&Fixtures::new(machine.path()).locks(), "default")[0].process;
    let nextest = Process::of_pid(parent_of(test)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((test.state(), nextest.state()), (State::Running, State::Running), "they outlive their command");
    let said = machine.ok(&["cluster", "gc"]);
    assert!(said.contains("was killed; what it had: cargo xtask report"), "{said}");
    assert!(said.contains("removing 1 namespaces and ") && said.contains(" nodes that dead runs left ("), "{said}");
    assert_eq!((test.state(), nextest.state()), (State::Dead, State::Dead));
    assert_eq!(objects_left(&machine), "");
    let report = machine.xtask(&["report", &only_run(results.path()).display().to_string()]);
    assert_eq!(report.status.code(), Some(11), "{}", text(&report));
    assert!(text(&report).contains("no-data") || text(&report).contains("invalid"), "{}", text(&report));
}

#[test]
fn a_killed_run_goes_on_with_what_it_has() {
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();
    let out = results.path().display().to_string();
    let words = ["run", "kperf", "--filter", "test(example_profile) | test(example_smoke)", "--out", &out];
    let mut child = machine.spawn(&words);
    let first = || record::RunDir::at(only_run(results.path())).trial("kperf-suite", "example_profile");
    wait_for("the first row", || first().is_some_and(|trial| trial.verdict.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    machine.ok(&["cluster", "gc"]);

    let resume = format!("--resume={}", only_run(results.path()).display());
    let other = machine.xtask(&["run", "kperf", &resume]);
    assert_eq!(other.status.code(), Some(2), "{}", text(&other));
    assert!(text(&other).contains("was asked for as `cargo xtask run kperf --filter"), "{}", text(&other));

    let again = [&words[..], &[&resume]].concat();
    let said = machine.ok(&again);
    assert!(said.contains("1 row(s): example_smoke"), "{said}");
    let run: serde_json::Value =
        serde_json::from_slice(&std::fs::read(only_run(results.path()).join("run.json")).unwrap()).unwrap();
    assert_eq!(run["state"], "complete");
    let verdicts: Vec<_> = run["trials"].as_array().unwrap().iter().map(|trial| &trial["verdict"]).collect();
    assert_eq!(verdicts, ["pass", "pass"]);
    assert!(machine.ok(&again).contains("is measured"));
}

#[test]
fn a_filter_that_selects_nothing_runs_nothing() {
    let machine = Machine::new();
    let output = machine.xtask(&["run", "kperf", "--filter", "test(nothing_of_that_name)"]);
    assert_eq!(output.status.code(), Some(12), "{}", text(&output));
    assert!(text(&output).contains("no row of kperf-suite matches"), "{}", text(&output));
    let output = machine.xtask(&["run", "kperf", "--filter", "test(("]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn what_no_row_can_run_with_is_refused_before_anything_begins() {
    let machine = Machine::new();
    let results = tempfile::tempdir().unwrap();
    let out = results.path().display().to_string();
    for (set, message) in [
        ("nodes=0", "error: --set nodes=0: row `nodepool_smoke`: invalid value: integer `0`, expected at least 1\n"),
        ("pods=3", "error: --set pods=3: no row of this run has the parameter `pods`: it is of example_group, "),
    ] {
        let output = machine.xtask(&["run", "kperf", "--filter", "test(nodepool_smoke)", "--set", set, "--out", &out]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(message), "{}", text(&output));
    }
    assert_eq!(std::fs::read_dir(results.path()).unwrap().count(), 0, "a run that did not begin left something");
    assert!(!machine.path().join("fixtures").exists(), "a cluster was made");
}
