//! kind clusters as people meet them: made, adopted, broken, repaired, killed half-way, swept; and nothing of them left in
//! Docker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]
#![expect(dead_code, reason = "the machine of the tests has more than these tests use")]

mod machine;

use std::process::Command;
use std::time::{Duration, Instant};

use cluster::{Descriptor, Fixtures, SettingsUsed, State, docker_cluster};
use machine::{Machine, text, wait_for};

const UP: [&str; 4] = ["cluster", "up", "--provider", "kind"];
const NAME: [&str; 2] = ["--name", "kind"];

/// What Docker has of a cluster: containers and networks by our labels and by kind's.
fn in_docker(machine: &Machine) -> String {
    let cluster = docker_cluster(&Fixtures::new(machine.path()).directory("kind"));
    let mut found = String::new();
    for label in ["io.x-k8s.kind.cluster", "kubedyno.io/cluster"] {
        let filter = format!("label={label}={cluster}");
        for list in [&["ps", "--all", "--quiet"][..], &["network", "ls", "--quiet"]] {
            let output = Command::new("docker").args(list).args(["--filter", &filter]).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            found += &String::from_utf8_lossy(&output.stdout);
        }
    }
    found
}

/// Volumes have no label: they are counted.
fn volumes() -> usize {
    let output = Command::new("docker").args(["volume", "ls", "--quiet"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().count()
}

fn node_of<'a>(descriptor: &'a Descriptor, name: &str) -> &'a cluster::Component {
    descriptor.component(name).unwrap()
}

#[test]
fn a_cluster_is_made_once_adopted_repaired_and_ended() {
    let (machine, volumes_before) = (Machine::new(), volumes());
    let began = Instant::now();
    assert!(machine.ok(&UP).contains("created"));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(90), "with a cached image it took {took:?}");

    let made = machine.descriptor("kind");
    let nodes = machine.kubectl("kind", &["get", "nodes", "--no-headers"]);
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 3, "{nodes}");
    for component in ["control-plane", "worker", "worker2", "worker/kubelet", "worker2/containerd", "etcd"] {
        assert_eq!(node_of(&made, component).process.state(), State::Running, "{component}");
    }
    let Some(SettingsUsed::Kind(settings)) = &made.settings else { panic!("{:?}", made.settings) };
    assert_eq!(settings["kubelet.serializeImagePulls"], true);
    assert!(machine.ok(&[&["cluster", "status"][..], &NAME].concat()).contains("kubelet.serializeImagePulls = true"));
    assert!(machine.ok(&["cluster", "list"]).contains("healthy"));
    let log = machine.ok(&[&["cluster", "logs", "worker/kubelet"][..], &NAME].concat());
    assert!(log.lines().count() > 5, "{log}");

    assert!(machine.ok(&UP).contains("adopted"));
    assert_eq!(machine.descriptor("kind").components, made.components, "adopting changes nothing");

    // The name is taken, and a cluster of the other provider is not put in its place.
    let refused = machine.xtask(&["cluster", "up", "--name", "kind"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("`kind` is a cluster of the kind provider"), "{}", text(&refused));

    // A node that died is seen, named and started again; the others stay.
    let worker = format!("{}-worker", docker_cluster(&Fixtures::new(machine.path()).directory("kind")));
    assert!(Command::new("docker").args(["kill", &worker]).output().unwrap().status.success());
    let status = machine.xtask(&[&["cluster", "status"][..], &NAME].concat());
    assert_eq!(status.status.code(), Some(3), "{}", text(&status));
    assert!(text(&status).contains("worker (pid "), "{}", text(&status));
    assert!(machine.ok(&UP).contains("repaired"));
    let repaired = machine.descriptor("kind");
    assert_eq!(node_of(&repaired, "worker2").process, node_of(&made, "worker2").process);
    assert_eq!(node_of(&repaired, "worker").process.state(), State::Running);

    machine.ok(&[&["cluster", "down"][..], &NAME].concat());
    assert_eq!(in_docker(&machine), "");
    assert_eq!(volumes(), volumes_before);
    assert!(Fixtures::new(machine.path()).names().is_empty());
}

#[test]
fn a_command_that_is_killed_half_way_leaves_nothing_after_gc() {
    let (machine, volumes_before) = (Machine::new(), volumes());
    let mut up = machine.spawn(&UP);
    wait_for("a first node", || in_docker(&machine).lines().count() > 1);
    up.kill().unwrap();
    up.wait().unwrap();
    // kind goes on without its parent.
    machine.ok(&["cluster", "gc"]);
    assert_eq!(in_docker(&machine), "");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(in_docker(&machine), "", "a kind that outlived its parent made more");
    assert_eq!(volumes(), volumes_before);
    assert!(Fixtures::new(machine.path()).names().is_empty());
}
