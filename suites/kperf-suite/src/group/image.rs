//! The runner's image on the nodes: no registry is asked for it.

use std::path::Path;

use cluster::KindNode;
use harness::{Error, Result, Trial};
use nodeimage::{RUNNER_IMAGE, RUNNER_REPOSITORY, RunnerImage};

/// containerd's client with the namespace of the kubelet.
const CTR: [&str; 4] = ["ctr", "--namespace", "k8s.io", "images"];
/// Where the archive lies on a node until it is loaded. What is below `/tmp` there is not seen from outside.
const ARCHIVE: &str = "/kubedyno-kperf.tar";

/// Loads the image that a setup script has made on every worker that does not have it, in place of those of other builds. Returns its
/// name.
pub(super) fn on_workers(trial: &mut Trial) -> Result<String> {
    let image = given()?;
    let nodes = KindNode::all(&trial.fixture_directory())?;
    nodes.iter().filter(|node| !node.control_plane).try_for_each(|worker| load(worker, &image))?;
    trial.note(format!("the runners' image is {}", image.reference));
    Ok(image.reference)
}

fn given() -> Result<RunnerImage> {
    let text = std::env::var(RUNNER_IMAGE).map_err(|_| {
        let fix = "nextest's setup script sets it; run `cargo nextest run -p kperf-suite` or `cargo xtask run kperf`";
        Error::Environment(format!("{RUNNER_IMAGE} is not set: {fix}"))
    })?;
    serde_json::from_str(&text).map_err(|error| Error::Environment(format!("{RUNNER_IMAGE} names no image: {error}")))
}

fn load(worker: &KindNode, image: &RunnerImage) -> Result<()> {
    let listed = worker.run(&[&CTR[..], &["ls", "--quiet"]].concat())?;
    if listed.lines().any(|name| name == image.reference) {
        return Ok(());
    }
    let others: Vec<&str> = listed.lines().filter(|name| is_runner(name)).collect();
    if !others.is_empty() {
        worker.run(&[&CTR[..], &["rm", "--sync"], &others].concat())?;
    }
    worker.put(&image.archive, Path::new(ARCHIVE))?;
    worker.run(&[&CTR[..], &["import", ARCHIVE]].concat())?;
    worker.run(&["rm", ARCHIVE])?;
    Ok(())
}

/// Whether this is a name of a runner's image: with a tag, or with a digest.
fn is_runner(name: &str) -> bool {
    name.strip_prefix(RUNNER_REPOSITORY).is_some_and(|rest| rest.starts_with([':', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_image_is_known_by_its_repository() {
        assert!(is_runner("localhost/kubedyno-kperf:0.1.0-1a2b3c4d"));
        assert!(is_runner("localhost/kubedyno-kperf@sha256:1"));
        assert!(!is_runner("localhost/kubedyno-kperf-other:1") && !is_runner("sha256:1"));
    }
}
