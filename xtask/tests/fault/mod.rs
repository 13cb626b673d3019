//! `cluster fault` as people type it: what it does shows in the components, and goes when the command ends.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;

use cluster::{Fixtures, Lease, Mode, Process, State};
use rustix::process::Signal;

use crate::machine::{Machine, text, wait_for};

#[test]
fn a_component_stands_still_until_the_command_ends_and_a_killed_one_until_it_is_started() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up"]);
    let state = |component: &str| machine.descriptor("default").component(component).unwrap().process.state();

    let pause = machine.spawn(&["cluster", "fault", "pause", "etcd", "--for", "1h"]);
    wait_for("etcd to stand still", || state("etcd") == State::Paused);
    interrupt(pause);
    assert_eq!(state("etcd"), State::Running, "Ctrl-C lets it go on");

    machine.ok(&["cluster", "fault", "kill", "kube-scheduler"]);
    wait_for("the scheduler to end", || state("kube-scheduler") == State::Dead);
    let status = machine.xtask(&["cluster", "status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(text(&status).contains("kube-scheduler"), "{}", text(&status));
    machine.ok(&["cluster", "fault", "restart", "kube-scheduler"]);
    assert_eq!(state("kube-scheduler"), State::Running);
    assert!(machine.ok(&["cluster", "status"]).contains("healthy"));
}

#[test]
fn a_full_disk_shows_until_up_gives_room_again_and_what_is_measured_is_not_broken() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up"]);
    let locks = Fixtures::new(machine.path()).locks();
    let lease = Lease::try_take(&locks, "default", Mode::Exclusive, "a_row", Some("run-1")).unwrap().unwrap();
    let refused = machine.xtask(&["cluster", "fault", "fill-disk", "kube-scheduler"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let said = text(&refused);
    assert!(said.contains("is in use by a_row (pid ") && said.contains("break it all the same with --force"), "{said}");
    // A component that writes nothing: etcd ends by it, sooner or later.
    machine.ok(&["cluster", "fault", "fill-disk", "kube-scheduler", "--force"]);
    drop(lease);
    let status = machine.xtask(&["cluster", "status"]);
    assert_eq!(status.status.code(), Some(3), "{}", text(&status));
    assert!(text(&status).contains("kube-scheduler: its disk is full (fault)"), "{}", text(&status));
    let before = machine.descriptor("default").component("kube-scheduler").unwrap().process;
    assert!(machine.ok(&["cluster", "up"]).contains("repaired"));
    assert!(machine.ok(&["cluster", "status"]).contains("healthy"));
    let now = machine.descriptor("default").component("kube-scheduler").unwrap().process;
    assert_eq!(before, now, "room is given without a restart");
}

#[test]
fn a_slow_way_to_the_apiserver_is_open_until_the_command_ends() {
    let machine = Machine::new();
    machine.ok(&["cluster", "up"]);
    let mut network = machine.spawn(&["cluster", "fault", "network", "--delay", "20ms"]);
    let mut line = String::new();
    BufReader::new(network.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let kubeconfig = PathBuf::from(line.trim().strip_prefix("export KUBECONFIG=").unwrap());
    assert_eq!(machine.kubectl_by(&kubeconfig, "default", &["get", "--raw", "/readyz"]), "ok");
    interrupt(network);
    assert!(!kubeconfig.exists(), "the way is closed, and its kubeconfig is left");
}

fn interrupt(mut command: Child) {
    assert!(Process::of_pid(command.id() as i32).unwrap().signal(Signal::INT));
    assert!(command.wait().unwrap().success());
}
