//! Certificates and keys, made by the kubeadm that the operator has built in: those of the DataStores, and as many as a
//! tenant has, to know what they cost without an operator.
//!
//! kubeadm writes RSA keys as PKCS#1, which Kamaji v1.0.0 insists on for the authority of a DataStore.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cluster::Shell;
use harness::{Error, Program, ended_children_cpu_s};
use k8s_openapi::ByteString;
use tokio::process::Command;

use crate::pkcs8;

/// kubeadm wants an address for what it signs, and asks the routing table for one when it is loopback's. This is of the
/// block for documentation (RFC 5737): nobody dials it.
const ADVERTISED: &str = "192.0.2.1";
/// RSA keys of a tenant: 3 of its authorities and its service accounts, 3 of its apiserver's certificates, 6 of its
/// kubeconfigs, and one for its DataStore.
const KEYS_OF_TENANT: u32 = 13;
/// RSA keys that `certs all` and `kubeconfig all` make: 11 and 5.
const KEYS_OF_KUBEADM: u32 = 16;

/// Where the keys of a trial lie, and who makes them.
#[derive(Clone, Debug)]
pub struct Keys {
    kubeadm: PathBuf,
    directory: PathBuf,
}

/// What the keys of one tenant cost without an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bare {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Wall seconds.
    pub wall_s: f64,
}

impl Keys {
    /// Makes the authority of the DataStores with a server's and a client's certificate.
    ///
    /// # Errors
    /// When kubeadm refuses, with its last words.
    pub(super) async fn make(kubeadm: &Program, directory: &Path) -> Result<Self, Error> {
        let keys = Self { kubeadm: kubeadm.used.path.clone(), directory: directory.join("pki") };
        for phase in [["certs", "etcd-ca"], ["certs", "etcd-server"], ["certs", "apiserver-etcd-client"]] {
            keys.kubeadm(&phase, &keys.directory).await?;
        }
        Ok(keys)
    }

    /// A file of the authority.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The content of a file.
    pub(super) fn content(&self, name: &str) -> Result<ByteString, Error> {
        let path = self.file(name);
        let unreadable = |error| Error::Environment(format!("cannot read {}: {error}", path.display()));
        std::fs::read(&path).map(ByteString).map_err(unreadable)
    }

    /// The authority's certificate, for whoever has to trust it.
    pub(super) fn authority(&self) -> Result<ByteString, Error> {
        self.content("etcd/ca.crt")
    }

    /// The authority's key as PKCS#8, which is what most other tools write.
    pub(super) fn authority_key_as_pkcs8(&self) -> Result<ByteString, Error> {
        let not = |why| Error::Environment(format!("etcd/ca.key {why}"));
        pkcs8::of_pkcs1(&self.content("etcd/ca.key")?.0).map(|pem| ByteString(pem.into_bytes())).map_err(not)
    }

    /// Makes as many keys as `tenants` have, one after the other, and says what those of one cost.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub async fn bare(&self, tenants: u32) -> Result<Bare, Error> {
        let repeats = (tenants * KEYS_OF_TENANT).div_ceil(KEYS_OF_KUBEADM).max(1);
        let (began, before) = (Instant::now(), ended_children_cpu_s());
        for _ in 0..repeats {
            let directory = self.directory.join("bare");
            self.kubeadm(&["certs", "all"], &directory).await?;
            self.kubeadm(&["kubeconfig", "all", "--kubeconfig-dir", &directory.display().to_string()], &directory)
                .await?;
            Shell::real().remove_dir(&directory)?;
        }
        let of_tenant = f64::from(KEYS_OF_TENANT) / f64::from(repeats * KEYS_OF_KUBEADM);
        Ok(Bare {
            cpu_s: (ended_children_cpu_s() - before) * of_tenant,
            wall_s: began.elapsed().as_secs_f64() * of_tenant,
        })
    }

    async fn kubeadm(&self, phase: &[&str], directory: &Path) -> Result<(), Error> {
        let shell = Shell::real();
        shell.make_dir(directory)?;
        let config = directory.join("kubeadm.yaml");
        shell.write(&config, config_of(directory).as_bytes())?;
        let mut command = Command::new(&self.kubeadm);
        command.args(["init", "phase"]).args(phase).arg("--config").arg(&config).kill_on_drop(true);
        let failed = |why: String| Error::Environment(format!("kubeadm init phase {}: {why}", phase.join(" ")));
        let output = command.output().await.map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

/// A version that it may not look up, a runtime socket that it may not look for, and etcd on loopback.
fn config_of(directory: &Path) -> String {
    let init = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta3",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": ADVERTISED},
        "nodeRegistration": {"name": "node", "criSocket": "unix:///run/containerd/containerd.sock"},
    });
    let cluster = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta3",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": "v1.30.2",
        "certificatesDir": directory,
    });
    format!("{init}\n---\n{cluster}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadm_is_told_where_and_asks_nobody() {
        let text = config_of(Path::new("/somewhere/pki"));
        let documents: Vec<serde_json::Value> =
            text.split("---\n").map(|document| serde_json::from_str(document).unwrap()).collect();
        assert_eq!(documents[0]["localAPIEndpoint"]["advertiseAddress"], ADVERTISED);
        assert_eq!(documents[1]["certificatesDir"], "/somewhere/pki");
    }
}
