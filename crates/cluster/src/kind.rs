//! The kind provider: real kubelets and containerds, each node a privileged container.
//!
//! kind makes the nodes and lets them join. The pods' network is ours, and so is counting the nodes.

mod docker;
mod logs;
mod network;
mod nodes;
mod processes;
mod settings;
mod shape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thirdparty::Program;

use crate::descriptor::{Descriptor, ProgramUsed};
use crate::error::Result;
use crate::process::State;
use crate::provider::{Provider, key};
use crate::settings::SettingsUsed;
use crate::shell::Shell;

pub use docker::{CLUSTER_LABEL, docker_cluster};
pub(crate) use docker::{CONFIG, made, remove};
pub use logs::container_logs;
pub use nodes::KindNode;
pub(crate) use processes::revived;
pub use shape::Shape;

/// The programs that the provider needs beside Docker, by their names in `thirdparty`.
pub const KIND_PROGRAMS: [&str; 2] = ["kind", "kubectl"];

/// How long nodes may take from a network to Ready, and kube-proxy to run on them.
const READY_WITHIN: &str = "--timeout=120s";

/// The kind provider with its programs, its node image and the shape of its clusters.
#[derive(Debug)]
pub struct Kind {
    programs: BTreeMap<String, Program>,
    image: String,
    shape: Shape,
}

impl Kind {
    /// A provider of clusters of nodes that run `image`, by `programs`, all of [`KIND_PROGRAMS`].
    pub fn new(programs: BTreeMap<String, Program>, image: String, shape: Shape) -> Self {
        Self { programs, image, shape }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.programs.get(name).map_or_else(|| PathBuf::from(name), |program| program.path.clone())
    }

    /// Joins the nodes to a network and waits until all of them can run pods.
    fn settle(&self, directory: &Path, shell: &Shell) -> Result<()> {
        let (kubectl, kubeconfig) = (self.path("kubectl"), kubeconfig(directory));
        let names = self.shape.nodes(&docker_cluster(directory));
        let nodes = network::joined(&kubectl, &kubeconfig, &names, shell)?;
        network::connect(&nodes, directory, shell)?;
        let wait = ["wait", "--for=condition=Ready", "node", "--all", READY_WITHIN];
        let rollout = ["rollout", "status", "daemonset/kube-proxy", "--namespace", "kube-system", READY_WITHIN];
        for args in [&wait[..], &rollout] {
            shell.run(&kubectl, &[&["--kubeconfig", &kubeconfig][..], args].concat(), &[])?;
        }
        settings::check(&kubectl, &kubeconfig, &names, &self.shape.settings()?, shell)
    }

    fn describe(&self, name: &str, directory: &Path, shell: &Shell) -> Result<Descriptor> {
        let (kubectl, kubeconfig) = (self.path("kubectl"), kubeconfig(directory));
        let ask = |args: &[&str]| {
            let text = shell.output(&kubectl, &[&["--kubeconfig", &kubeconfig][..], args].concat())?;
            Ok::<_, crate::Error>(text.trim().to_owned())
        };
        let nodes = self.shape.nodes(&docker_cluster(directory));
        let info = |field: &str| {
            ask(&["get", "nodes", "--output", &format!("jsonpath={{.items[0].status.nodeInfo.{field}}}")])
        };
        let containerd = info("containerRuntimeVersion")?.replace("containerd://", "v");
        let kind = self.programs.get("kind").map_or_else(String::new, |program| program.pinned_version.clone());
        let versions = [
            ("kind", kind),
            ("kubernetes", info("kubeletVersion")?),
            ("containerd", containerd),
            ("node-image", self.image.clone()),
        ];
        Ok(Descriptor {
            kubeconfig: directory.join("kubeconfig"),
            apiserver: ask(&["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"])?,
            capabilities: ["real-nodes", "real-pulls", "component-processes"].map(str::to_owned).into(),
            versions: versions.into_iter().map(|(system, version)| (system.to_owned(), version)).collect(),
            settings: Some(SettingsUsed::Kind(self.shape.settings()?)),
            programs: self.programs.values().map(ProgramUsed::from).collect(),
            components: processes::components(&docker_cluster(directory), &nodes, shell)?,
            ..Descriptor::new(name, self.name(), self.key())
        })
    }
}

impl Provider for Kind {
    fn name(&self) -> &'static str {
        "kind"
    }

    fn key(&self) -> String {
        key(&[self.shape.text(), &self.image], &self.programs)
    }

    fn create(&self, name: &str, directory: &Path, shell: &Shell, say: &dyn Fn(&str)) -> Result<Option<Descriptor>> {
        let (cluster, config) = (docker_cluster(directory), directory.join(CONFIG));
        if !shell.is_dry() {
            let workers = self.shape.workers();
            say(&format!("making a kind cluster of 1 control plane and {workers} workers, about a minute"));
        }
        shell.make_dir(directory)?;
        // First: by this file whoever cleans up knows what it cleans up.
        shell.write(&config, self.shape.text().as_bytes())?;
        docker::remove_containers(&cluster, shell)?;
        docker::make_network(&cluster, shell)?;
        let (config, kubeconfig) = (config.display().to_string(), kubeconfig(directory));
        let args = ["create", "cluster", "--name", &cluster, "--config", &config];
        let more = ["--image", &self.image, "--kubeconfig", &kubeconfig, "--retain"];
        shell.run(&self.path("kind"), &[&args[..], &more].concat(), &[(docker::NETWORK, &cluster)])?;
        self.settle(directory, shell)?;
        if shell.is_dry() { Ok(None) } else { self.describe(name, directory, shell).map(Some) }
    }

    fn restart(
        &self,
        descriptor: &Descriptor,
        directory: &Path,
        shell: &Shell,
        _say: &dyn Fn(&str),
    ) -> Result<Descriptor> {
        // When all run and still nobody answers, nobody knows which one hangs.
        let all_run = descriptor.components.iter().all(|component| component.process.state() == State::Running);
        let nodes = self.shape.nodes(&docker_cluster(directory));
        let args: Vec<&str> =
            [if all_run { "restart" } else { "start" }].into_iter().chain(nodes.iter().map(String::as_str)).collect();
        docker::run(&args, shell)?;
        self.settle(directory, shell)?;
        if shell.is_dry() { Ok(descriptor.clone()) } else { self.describe(&descriptor.name, directory, shell) }
    }
}

fn kubeconfig(directory: &Path) -> String {
    directory.join("kubeconfig").display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done to make one is in the golden file of `cluster up --provider kind --dry-run`.
    #[test]
    fn what_is_done_to_end_a_cluster_is_this() {
        let shell = Shell::dry();
        remove(Path::new("/state/a"), &shell).unwrap();
        insta::assert_snapshot!(shell.transcript().join("\n"), @r"
        kill every process that was started with KIND_EXPERIMENTAL_DOCKER_NETWORK=kd-a-ae26
        docker ps --all --quiet --filter label=io.x-k8s.kind.cluster=kd-a-ae26
        docker rm --force --volumes FOUND
        docker ps --all --quiet --filter label=kubedyno.io/cluster=kd-a-ae26
        docker rm --force --volumes FOUND
        docker network ls --quiet --filter label=kubedyno.io/cluster=kd-a-ae26
        docker network rm FOUND
        ");
    }
}
