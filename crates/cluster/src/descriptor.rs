//! `fixture.json`: what a running cluster is, for whoever adopts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::process::{Process, boot_id};
use crate::settings::SettingsUsed;
use crate::shell::Shell;

/// The version of the descriptor's schema. A reader refuses a newer one and reads every older one.
pub const SCHEMA: u32 = 2;

/// The provider of clusters of others, which are adopted by a kubeconfig.
pub const EXISTING: &str = "existing";

/// A running cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The fixture's name.
    pub name: String,
    /// The provider: `kwok`, `kind`, or [`EXISTING`].
    pub provider: String,
    /// Hash of the configuration and of the programs: a cluster with another key is another cluster.
    pub key: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The boot of the machine that it belongs to.
    pub boot_id: String,
    /// Its kubeconfig, mode 0600.
    pub kubeconfig: PathBuf,
    /// The apiserver's URL.
    pub apiserver: String,
    /// What its tests can count on: `simulated-nodes` or `real-nodes`, `component-processes`, `etcd-metrics`; on an existing cluster the
    /// rights of the user as well, in words: `create on nodes`.
    pub capabilities: Vec<String>,
    /// Versions by the name of the system: `kubernetes`, `etcd`, `kwok`, `containerd`, `node-image`.
    pub versions: BTreeMap<String, String>,
    /// The settings that change what is measured; those of an existing cluster are unknown.
    pub settings: Option<SettingsUsed>,
    /// The programs that it runs, and where each came from.
    pub programs: Vec<ProgramUsed>,
    /// Its components.
    pub components: Vec<Component>,
    /// What was repaired since it was made, oldest first.
    #[serde(default)]
    pub repairs: Vec<String>,
}

/// One component of the control plane, the controller that simulates the nodes, or a part of a real node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Its name: `etcd`, `kube-apiserver`, …
    pub name: String,
    /// Its process.
    pub process: Process,
    /// Where it serves `/metrics`.
    pub metrics_url: Option<String>,
    /// Its log.
    pub log: PathBuf,
    /// Its command line without the program, as it runs.
    pub args: Vec<String>,
}

impl Descriptor {
    /// Of a cluster that is described now, on this machine as it has booted, with nothing yet of what it consists of.
    pub(crate) fn new(name: &str, provider: &str, key: String) -> Self {
        Self {
            schema: SCHEMA,
            name: name.to_owned(),
            provider: provider.to_owned(),
            key,
            created_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            boot_id: boot_id(),
            kubeconfig: PathBuf::new(),
            apiserver: String::new(),
            capabilities: Vec::new(),
            versions: BTreeMap::new(),
            settings: None,
            programs: Vec::new(),
            components: Vec::new(),
            repairs: Vec::new(),
        }
    }
}

impl Component {
    /// The port that it serves its metrics at.
    pub fn port(&self) -> Option<u16> {
        self.metrics_url.as_deref()?.parse::<http::Uri>().ok()?.port_u16()
    }
}

/// A program that the fixture runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramUsed {
    /// Its name.
    pub name: String,
    /// What it says of its version.
    pub version: String,
    /// Where it came from: `explicit path`, `release`, `go modules`, …
    pub source: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its path.
    pub path: PathBuf,
    /// Whether it is another build than the pinned one: of another version, or given by its path.
    #[serde(default)]
    pub deviates: bool,
}

impl From<&thirdparty::Program> for ProgramUsed {
    fn from(program: &thirdparty::Program) -> Self {
        Self {
            name: program.name.clone(),
            version: program.version.clone(),
            source: program.origin.unwrap_or(program.source).to_string(),
            sha256: program.sha256.clone(),
            path: program.path.clone(),
            deviates: program.deviates || program.source == thirdparty::Source::Explicit,
        }
    }
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: u32,
    #[serde(default)]
    name: String,
}

impl Descriptor {
    /// Reads a descriptor; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, is no descriptor, or has a newer schema.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let bad = |error: serde_json::Error| Error::BadDescriptor {
            path: path.to_owned(),
            line: error.line(),
            message: error.to_string(),
        };
        let SchemaOnly { schema, name } = serde_json::from_str(&text).map_err(bad)?;
        if schema > SCHEMA {
            return Err(Error::NewerSchema { path: path.to_owned(), name, found: schema, known: SCHEMA });
        }
        serde_json::from_str(&text).map(Some).map_err(bad)
    }

    /// Writes the descriptor, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, shell: &Shell) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        shell.write(path, &text)
    }

    /// Whether it is a cluster of others: used, but never made, started again or ended here.
    pub fn is_existing(&self) -> bool {
        self.provider == EXISTING
    }

    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    /// The same, for somebody who typed the name.
    ///
    /// # Errors
    /// When there is none of that name; those that there are are listed.
    pub fn require(&self, component: &str) -> Result<&Component> {
        let known = || self.components.iter().map(|component| component.name.clone()).collect();
        self.component(component).ok_or_else(|| Error::NoSuchComponent {
            cluster: self.name.clone(),
            component: component.to_owned(),
            known: known(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::newer(
        r#"{"schema": 99, "name": "default", "shape": "unknown"}"#,
        "has schema 99, this kubedyno knows up to 2"
    )]
    #[case::half("{\"schema\": 1,\n\"name\": ", "fixture.json:2: not a fixture descriptor")]
    #[case::other("{\"schema\": 1,\n\"name\": 5}", "fixture.json:2: not a fixture descriptor")]
    fn a_descriptor_that_cannot_be_understood_is_refused(#[case] text: &str, #[case] message: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fixture.json");
        std::fs::write(&path, text).unwrap();
        let error = Descriptor::read(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn no_descriptor_is_no_cluster() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Descriptor::read(&dir.path().join("fixture.json")).unwrap(), None);
    }
}
