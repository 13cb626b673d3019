//! The logs of a cluster's nodes, which lie inside of them.

use std::path::Path;

use super::docker::{docker_cluster, output};
use crate::error::Result;
use crate::shell::Shell;

/// The last `lines` lines of a component's log. `directory` is the fixture's.
///
/// # Errors
/// When its node does not run.
pub fn container_logs(directory: &Path, component: &str, lines: usize) -> Result<String> {
    let (cluster, shell, lines) = (docker_cluster(directory), Shell::real(), lines.to_string());
    let (node, unit) = match component.split_once('/') {
        Some((node, unit)) => (format!("{cluster}-{node}"), Some(unit)),
        None => (format!("{cluster}-{component}"), None),
    };
    match unit {
        Some(unit) => {
            let journal =
                ["exec", &node, "journalctl", "--no-pager", "--output", "cat", "--lines", &lines, "--unit", unit];
            output(&journal, &shell)
        }
        None if component.contains("kube-") || component == "etcd" => {
            let tail = format!("tail -q -n {lines} /var/log/pods/kube-system_{component}-*/{component}/*.log");
            output(&["exec", &format!("{cluster}-control-plane"), "sh", "-c", &tail], &shell)
        }
        None => output(&["logs", "--tail", &lines, &node], &shell),
    }
}
