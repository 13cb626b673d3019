//! `cluster fault` as people type it: what it does shows in the components, and goes when the command ends.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;

use cluster::{Process, State};
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
