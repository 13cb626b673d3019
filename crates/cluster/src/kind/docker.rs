//! What a cluster has in Docker: its nodes, its network, and whatever joined it. All of it is found by labels.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::process;
use crate::shell::Shell;

/// The file by which a directory is known to be of a kind cluster.
pub(crate) const CONFIG: &str = "kind.yaml";
/// The variable by which kind puts its nodes into another network than the one that it shares among all clusters.
pub(super) const NETWORK: &str = "KIND_EXPERIMENTAL_DOCKER_NETWORK";
/// The label of networks and containers of ours; its value is the cluster as [`docker_cluster`] names it.
pub const CLUSTER_LABEL: &str = "kubedyno.io/cluster";
/// The label that kind gives the nodes of a cluster.
pub(super) const KIND_LABEL: &str = "io.x-k8s.kind.cluster";

/// A container's address on its only network.
pub(super) const ADDRESS: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";

/// What Docker and kind call the cluster in `directory`, and its network. Docker's names are one space for everybody, so
/// clusters of one name in two state directories differ by a hash.
pub fn docker_cluster(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let hash = Sha256::digest(directory.as_os_str().as_encoded_bytes());
    // With `-control-plane` behind it, a name of 40 characters still is a DNS label.
    format!("kd-{name}-{:02x}{:02x}", hash[0], hash[1])
}

/// Whether the cluster in `directory` is, or was to be, a kind cluster.
pub(crate) fn made(directory: &Path) -> bool {
    directory.join(CONFIG).exists()
}

/// Ends everything of the cluster in `directory` and removes its files; returns how many processes of this machine there were.
/// No kind is needed for it.
pub(crate) fn remove(directory: &Path, shell: &Shell) -> Result<usize> {
    let cluster = docker_cluster(directory);
    let variable = format!("{NETWORK}={cluster}");
    let mut outlived = Vec::new();
    if shell.doing(format!("kill every process that was started with {variable}")) {
        // A kind that outlived its parent would go on making nodes.
        outlived = process::with_environment(&variable);
        for process in &outlived {
            process.kill(Duration::from_secs(5));
        }
    }
    let removed = remove_containers(&cluster, shell);
    if outlived.is_empty() {
        removed?;
    } else {
        // What it had asked Docker for may have been made meanwhile.
        std::thread::sleep(Duration::from_secs(1));
        remove_containers(&cluster, shell)?;
    }
    shell.remove_dir(directory)?;
    Ok(outlived.len())
}

/// Removes the containers of a cluster with their volumes, and its network.
pub(super) fn remove_containers(cluster: &str, shell: &Shell) -> Result<()> {
    for label in [KIND_LABEL, CLUSTER_LABEL] {
        let filter = format!("label={label}={cluster}");
        let found = output(&["ps", "--all", "--quiet", "--filter", &filter], shell)?;
        remove_found(&["rm", "--force", "--volumes"], &found, shell)?;
    }
    let filter = format!("label={CLUSTER_LABEL}={cluster}");
    let found = output(&["network", "ls", "--quiet", "--filter", &filter], shell)?;
    remove_found(&["network", "rm"], &found, shell)
}

pub(super) fn make_network(cluster: &str, shell: &Shell) -> Result<()> {
    let label = format!("{CLUSTER_LABEL}={cluster}");
    run(&["network", "create", "--label", &label, cluster], shell)
}

pub(super) fn run(args: &[&str], shell: &Shell) -> Result<()> {
    shell.run(Path::new("docker"), args, &[])
}

pub(super) fn output(args: &[&str], shell: &Shell) -> Result<String> {
    shell.output(Path::new("docker"), args)
}

fn remove_found(command: &[&str], found: &str, shell: &Shell) -> Result<()> {
    let found: Vec<&str> = if shell.is_dry() { vec!["FOUND"] } else { found.split_whitespace().collect() };
    if found.is_empty() { Ok(()) } else { run(&[command, &found].concat(), shell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_the_longest_name_has_nodes_that_are_dns_labels() {
        let (one, two) = (docker_cluster(Path::new("/a/default")), docker_cluster(Path::new("/b/default")));
        assert!(one.starts_with("kd-default-") && two.starts_with("kd-default-") && one != two, "{one} {two}");
        let longest = docker_cluster(&Path::new("/a").join("x".repeat(40)));
        assert!(format!("{longest}-control-plane").len() <= 63);
    }
}
