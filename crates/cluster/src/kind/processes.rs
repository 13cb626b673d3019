//! The processes of a cluster's nodes, as this machine sees them: whose they are says who started them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::docker;
use crate::descriptor::{Component, Descriptor};
use crate::error::{Error, Result};
use crate::process::{Process, State};
use crate::shell::Shell;

/// Of every node.
const OF_NODES: [&str; 2] = ["kubelet", "containerd"];
/// Of the control plane, each once.
const OF_CLUSTERS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// How long what was killed may take to be back.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

/// A process with what tells whose it is.
#[derive(Clone, Debug)]
struct Seen {
    parent: i32,
    program: String,
}

/// The nodes (`worker`), what each runs (`worker/kubelet`), and the control plane by the usual names.
pub(super) fn components(cluster: &str, nodes: &[String], shell: &Shell) -> Result<Vec<Component>> {
    let format = format!("{{{{.State.Pid}}}} {}", docker::ADDRESS);
    let mut inits = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for node in nodes {
        let text = docker::output(&["inspect", "--format", &format, node], shell)?;
        let (pid, address) = text.trim().split_once(' ').unwrap_or_default();
        let short = node.strip_prefix(cluster).unwrap_or(node).trim_start_matches('-');
        inits.insert(pid.parse().unwrap_or(0), short.to_owned());
        addresses.insert(short.to_owned(), address.to_owned());
    }
    let found = attributed(&processes(), &inits);
    let mut components = Vec::new();
    for (short, address) in &addresses {
        let init = inits.iter().find(|(_, node)| *node == short).map_or(0, |(pid, _)| *pid);
        components.push(component(short.clone(), init, None)?);
        for program in OF_NODES {
            let pid = found.get(&(short.clone(), program.to_owned())).copied().unwrap_or(0);
            let metrics = (program == "containerd").then(|| format!("http://{address}:1338/v1/metrics"));
            components.push(component(format!("{short}/{program}"), pid, metrics)?);
        }
    }
    for program in OF_CLUSTERS {
        let pid = found.iter().find(|((_, name), _)| name == program).map_or(0, |(_, pid)| *pid);
        components.push(component(program.to_owned(), pid, None)?);
    }
    Ok(components)
}

/// The same descriptor with the processes that there are now, once all of them are: systemd starts a node's programs again
/// within seconds, and a kubelet those of the control plane.
///
/// # Errors
/// When a node does not run, or a process is not back in time.
pub(crate) fn revived(descriptor: &Descriptor, directory: &Path, shell: &Shell) -> Result<Descriptor> {
    let is_node =
        |component: &&Component| !component.name.contains('/') && !OF_CLUSTERS.contains(&component.name.as_str());
    let cluster = docker::docker_cluster(directory);
    let mut nodes = Vec::new();
    for node in descriptor.components.iter().filter(is_node) {
        if node.process.state() == State::Dead {
            let (name, cluster) = (&node.name, &descriptor.name);
            return Err(Error::Failed(format!(
                "the node {name} is down: `cargo xtask cluster up --provider kind --name {cluster}` starts it again"
            )));
        }
        nodes.push(format!("{cluster}-{}", node.name));
    }
    let started = Instant::now();
    loop {
        match components(&cluster, &nodes, shell) {
            Ok(components) => return Ok(Descriptor { components, ..descriptor.clone() }),
            Err(error) if started.elapsed() > BACK_WITHIN => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// The pid of each node's programs, by node and program: the lowest, which is the parent of the others.
fn attributed(processes: &HashMap<i32, Seen>, inits: &BTreeMap<i32, String>) -> BTreeMap<(String, String), i32> {
    let mut found = BTreeMap::new();
    for (pid, seen) in processes {
        if !OF_NODES.contains(&seen.program.as_str()) && !OF_CLUSTERS.contains(&seen.program.as_str()) {
            continue;
        }
        let node = std::iter::successors(Some(*pid), |pid| processes.get(pid).map(|seen| seen.parent))
            .take_while(|pid| *pid > 1)
            .find_map(|pid| inits.get(&pid));
        if let Some(node) = node {
            let lowest = found.entry((node.clone(), seen.program.clone())).or_insert(*pid);
            *lowest = (*lowest).min(*pid);
        }
    }
    found
}

fn processes() -> HashMap<i32, Seen> {
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    let seen = all.filter_map(|process| {
        let program = process.cmdline().ok()?.first().map(|word| file_name(word)).unwrap_or_default();
        Some((process.pid, Seen { parent: process.stat().ok()?.ppid, program }))
    });
    seen.collect()
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn component(name: String, pid: i32, metrics_url: Option<String>) -> Result<Component> {
    let process = (pid > 0).then(|| Process::of_pid(pid)).flatten();
    let process = process.ok_or_else(|| Error::Failed(format!("{name} does not run: look at `docker ps --all`")))?;
    let args = process.command_line().into_iter().skip(1).collect();
    // It is inside a node; `cluster logs` gets it.
    Ok(Component { args, name, process, metrics_url, log: PathBuf::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_the_node_whose_first_process_it_descends_from() {
        let seen = |parent, program: &str| Seen { parent, program: program.to_owned() };
        let processes = HashMap::from([
            (1, seen(0, "init")),
            (5, seen(1, "kubelet")),
            (100, seen(1, "init")),
            (110, seen(100, "kubelet")),
            (120, seen(100, "containerd-shim-runc-v2")),
            (130, seen(120, "etcd")),
            (131, seen(130, "etcd")),
            (200, seen(1, "init")),
            (210, seen(200, "kubelet")),
        ]);
        let inits = BTreeMap::from([(100, "control-plane".to_owned()), (200, "worker".to_owned())]);
        let found = attributed(&processes, &inits);
        let of = |node: &str, program: &str| found.get(&(node.to_owned(), program.to_owned())).copied();
        assert_eq!(of("control-plane", "kubelet"), Some(110));
        assert_eq!(of("control-plane", "etcd"), Some(130));
        assert_eq!(of("worker", "kubelet"), Some(210));
        assert_eq!(found.len(), 3, "the kubelet of this machine belongs to no node");
    }
}
