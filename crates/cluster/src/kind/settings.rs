//! A setting that is recorded but does not hold on the nodes would be a lie in every result: each is read back.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::docker;
use super::shape::flatten;
use crate::error::{Error, Result};
use crate::shell::Shell;

/// Settings that containerd shows elsewhere than it takes them: it shows its configuration in the newest version, and in
/// version 4 servers are plugins.
const MOVED: [(&str, &str); 1] =
    [("containerd.metrics.address", "containerd.plugins.io.containerd.server.v1.metrics.address")];

/// Compares the settings with what every node's kubelet and containerd say that they run with.
pub(super) fn check(
    kubectl: &Path,
    kubeconfig: &str,
    nodes: &[String],
    wanted: &BTreeMap<String, Value>,
    shell: &Shell,
) -> Result<()> {
    for node in nodes {
        let configz = format!("/api/v1/nodes/{node}/proxy/configz");
        let kubelet = shell.output(kubectl, &["--kubeconfig", kubeconfig, "get", "--raw", &configz])?;
        let containerd = docker::output(&["exec", node, "containerd", "config", "dump"], shell)?;
        if shell.is_dry() {
            continue;
        }
        let different = different(wanted, &holding(&kubelet, &containerd));
        if !different.is_empty() {
            return Err(Error::Failed(format!("{node} runs with other settings: {}", different.join(", "))));
        }
    }
    Ok(())
}

/// What a node says.
fn holding(kubelet: &str, containerd: &str) -> BTreeMap<String, Value> {
    let mut holding = BTreeMap::new();
    let kubelet: Value = serde_json::from_str(kubelet).unwrap_or_default();
    flatten("kubelet", kubelet["kubeletconfig"].clone(), &mut holding);
    let containerd: toml::Table = toml::from_str(containerd).unwrap_or_default();
    flatten("containerd", serde_json::to_value(containerd).unwrap_or_default(), &mut holding);
    holding
}

/// The settings of kubelet and containerd that do not hold.
fn different(wanted: &BTreeMap<String, Value>, holding: &BTreeMap<String, Value>) -> Vec<String> {
    let nodes = wanted.iter().filter(|(path, _)| path.starts_with("kubelet.") || path.starts_with("containerd."));
    let held = |path: &str| {
        let moved = MOVED.iter().find(|(from, _)| *from == path).and_then(|(_, to)| holding.get(*to));
        holding.get(path).or(moved)
    };
    let different = nodes.filter(|(path, value)| held(path) != Some(value));
    let tell = |(path, value): (&String, &Value)| {
        let found = held(path).map_or("unset".to_owned(), ToString::to_string);
        format!("{path} is {found}, not {value}")
    };
    different.map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containerd_shows_elsewhere_is_found() {
        let wanted = BTreeMap::from([("containerd.metrics.address".to_owned(), Value::from("0.0.0.0:1338"))]);
        let four = "version = 4\n[plugins.'io.containerd.server.v1.metrics']\naddress = '0.0.0.0:1338'\n";
        assert!(different(&wanted, &holding("{}", four)).is_empty());
        assert_eq!(different(&wanted, &holding("{}", "version = 4\n")).len(), 1);
    }

    #[test]
    fn what_does_not_hold_is_told_with_what_does() {
        let kubelet = r#"{"kubeletconfig": {"serializeImagePulls": false, "registryPullQPS": 5}}"#;
        let containerd = "version = 3\n[metrics]\naddress = '0.0.0.0:1338'\n";
        let wanted = BTreeMap::from([
            ("kubelet.serializeImagePulls".to_owned(), Value::from(true)),
            ("kubelet.registryPullQPS".to_owned(), 5.into()),
            ("containerd.metrics.address".to_owned(), "0.0.0.0:1338".into()),
            ("containerd.root".to_owned(), "/var".into()),
            ("networking.kubeProxyMode".to_owned(), "iptables".into()),
        ]);
        let different = different(&wanted, &holding(kubelet, containerd));
        assert_eq!(
            different,
            ["containerd.root is unset, not \"/var\"", "kubelet.serializeImagePulls is false, not true"]
        );
    }
}
