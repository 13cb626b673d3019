//! A shape of clusters: a file of `kind-configs/`, which is kind's own configuration.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// A shape of clusters, with every setting of its nodes that changes what is measured.
#[derive(Clone, Debug)]
pub struct Shape {
    text: String,
    workers: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    networking: BTreeMap<String, Value>,
    #[serde(default)]
    kubeadm_config_patches: Vec<String>,
    #[serde(default)]
    containerd_config_patches: Vec<String>,
}

#[derive(Deserialize)]
struct Node {
    role: String,
}

impl Shape {
    /// The shape of one control plane and `workers` workers among the files of `directory`.
    ///
    /// # Errors
    /// When there is no such file, or it is of another shape than its name says.
    pub fn read(directory: &Path, workers: usize) -> Result<Self> {
        let path = directory.join(format!("1+{workers}.yaml"));
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoSuchShape { workers, directory: directory.to_owned(), known: known(directory) });
            }
            text => text.map_err(Error::io("read", &path))?,
        };
        let config = parse(&text).map_err(|error| Error::Failed(format!("{}: {error}", path.display())))?;
        let of = |role: &str| config.nodes.iter().filter(|node| node.role == role).count();
        if (of("control-plane"), of("worker")) != (1, workers) {
            let found = format!("{} control planes and {} workers", of("control-plane"), of("worker"));
            return Err(Error::Failed(format!("{} has {found}; its name promises 1 and {workers}", path.display())));
        }
        Ok(Self { text, workers })
    }

    /// The file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    /// The nodes as kind names them, the control plane first.
    pub(super) fn nodes(&self, cluster: &str) -> Vec<String> {
        let worker = |n: usize| if n == 1 { format!("{cluster}-worker") } else { format!("{cluster}-worker{n}") };
        std::iter::once(format!("{cluster}-control-plane")).chain((1..=self.workers).map(worker)).collect()
    }

    /// Every setting of the file, by its path: `kubelet.serializeImagePulls`, `containerd.metrics.address`.
    pub(super) fn settings(&self) -> Result<BTreeMap<String, Value>> {
        let bad = |error: String| Error::Failed(format!("a shape in kind-configs/: {error}"));
        let config = parse(&self.text).map_err(bad)?;
        let mut settings = BTreeMap::from([("workers".to_owned(), self.workers.into())]);
        flatten("networking", Value::from_iter(config.networking), &mut settings);
        for patch in &config.kubeadm_config_patches {
            let mut patch: BTreeMap<String, Value> =
                serde_saphyr::from_str(patch).map_err(|error| bad(error.to_string()))?;
            let kind = patch.remove("kind");
            let of = if kind == Some("KubeletConfiguration".into()) { "kubelet" } else { "kubeadm" };
            flatten(of, Value::from_iter(patch), &mut settings);
        }
        for patch in &config.containerd_config_patches {
            let patch: toml::Table = toml::from_str(patch).map_err(|error| bad(error.to_string()))?;
            flatten("containerd", serde_json::to_value(patch).unwrap_or_default(), &mut settings);
        }
        Ok(settings)
    }
}

/// The leaves of a tree by their paths. A list is a leaf.
pub(super) fn flatten(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(children) => {
            children.into_iter().for_each(|(name, child)| flatten(&format!("{path}.{name}"), child, leaves));
        }
        leaf => drop(leaves.insert(path.to_owned(), leaf)),
    }
}

fn parse(text: &str) -> Result<Config, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("is no configuration of kind: {error}"))
}

/// The workers of the shapes that there are.
fn known(directory: &Path) -> Vec<usize> {
    let workers = |path: &Path| path.file_stem()?.to_str()?.strip_prefix("1+")?.parse().ok();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut known: Vec<usize> = entries.filter_map(|entry| workers(&entry.path())).collect();
    known.sort_unstable();
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kind-configs")
    }

    #[test]
    fn every_shape_has_the_workers_of_its_name_and_one_set_of_settings() {
        let shapes = [2, 4, 9].map(|n| Shape::read(&configs(), n).unwrap());
        let settings = shapes.each_ref().map(|shape| {
            let mut settings = shape.settings().unwrap();
            assert_eq!(settings.remove("workers"), Some(shape.workers.into()));
            settings
        });
        assert!(settings.iter().all(|other| *other == settings[0]));
        for (path, value) in [
            ("kubelet.serializeImagePulls", Value::from(true)),
            ("containerd.metrics.address", "0.0.0.0:1338".into()),
            ("containerd.plugins.io.containerd.cri.v1.images.registry.config_path", "/etc/containerd/certs.d".into()),
            ("networking.kubeProxyMode", "iptables".into()),
        ] {
            assert_eq!(settings[0].get(path), Some(&value), "{path}");
        }
    }

    #[test]
    fn a_shape_that_there_is_not_is_told_with_those_that_there_are() {
        let error = Shape::read(&configs(), 3).unwrap_err().to_string();
        assert!(error.contains("there is no shape of 3 workers: there are 2, 4, 9"), "{error}");
    }

    #[test]
    fn a_file_whose_name_lies_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1+2.yaml"), "nodes: [{role: control-plane}, {role: worker}]").unwrap();
        let error = Shape::read(dir.path(), 2).unwrap_err().to_string();
        assert!(error.contains("1 control planes and 1 workers; its name promises 1 and 2"), "{error}");
    }
}
