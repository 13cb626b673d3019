//! A tenant's apiserver as a process: its Deployment's own arguments, with the Secrets of its Deployment's own volumes
//! where they are mounted. What a kubelet and a container runtime would do, without them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use cluster::{Component, Shell};
use harness::{Error, Launch, Service, Supervisor};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Secret};
use kube::{Api, Client};

use crate::tenant::Tenant;

/// The container.
const CONTAINER: &str = "kube-apiserver";
/// The kubeconfig of the tenant's administrator, and the Secret that holds it.
const ADMIN: &str = "admin.conf";

/// A running apiserver.
#[derive(Debug)]
pub struct TenantApiserver {
    /// Its tenant.
    pub tenant: String,
    /// The kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
    service: Service,
}

/// What is mounted somewhere: Secrets, each with the keys that are wanted of it, or all of them.
type Mounted = Vec<(String, Option<Vec<KeyToPath>>)>;

impl TenantApiserver {
    /// Writes the files and starts the process.
    ///
    /// # Errors
    /// When the Deployment or a Secret is not there, or the program does not start.
    pub async fn start(
        client: &Client,
        namespace: &str,
        tenant: &Tenant,
        program: &Path,
        directory: &Path,
        supervisor: &Supervisor,
    ) -> Result<Self, Error> {
        let Tenant { name, address, .. } = tenant;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let deployment = deployments.get(name).await;
        let deployment = deployment.map_err(Error::api(format!("cannot read Deployment {name}")))?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
        let container = pod.containers.iter().find(|container| container.name == CONTAINER);
        let container =
            container.ok_or_else(|| Error::Environment(format!("Deployment {name} has no container {CONTAINER}")))?;
        let root = directory.join("tenants").join(name);
        for (path, mounted) in mounts(&pod, container) {
            for (secret, items) in mounted {
                let held = secrets.get(&secret).await;
                let held = held.map_err(Error::api(format!("cannot read Secret {secret}")))?;
                write(&root.join(path.trim_start_matches('/')), &held, items.as_deref())?;
            }
        }
        let secret = format!("{name}-admin-kubeconfig");
        let held = secrets.get(&secret).await.map_err(Error::api(format!("cannot read Secret {secret}")))?;
        write(&root, &held, Some(&[KeyToPath { key: ADMIN.into(), path: ADMIN.into(), mode: None }]))?;
        let service = supervisor.launch(&Launch {
            name: format!("tenant-{name}"),
            program: program.to_owned(),
            args: arguments(container, &pod, &root, *address),
            env: Vec::new(),
            log: root.join("kube-apiserver.log"),
        })?;
        Ok(Self { tenant: name.clone(), kubeconfig: root.join(ADMIN), service })
    }

    /// Its process.
    pub fn component(&self) -> &Component {
        self.service.component()
    }

    /// The last line of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.service.log()).unwrap_or_default();
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// Ends it, as its pod's end would.
    pub fn kill(&mut self) {
        self.service.kill();
    }
}

/// Where the container's Secrets are mounted.
fn mounts(pod: &PodSpec, container: &Container) -> BTreeMap<String, Mounted> {
    let volumes = pod.volumes.iter().flatten();
    let of_volume: BTreeMap<&str, Mounted> = volumes
        .map(|volume| {
            let secret = volume.secret.iter().filter_map(|secret| {
                Some((secret.secret_name.clone()?, secret.items.clone().filter(|items| !items.is_empty())))
            });
            let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
            let projected = sources
                .filter_map(|source| source.secret.as_ref())
                .map(|secret| (secret.name.clone(), secret.items.clone().filter(|items| !items.is_empty())));
            (volume.name.as_str(), secret.chain(projected).collect())
        })
        .collect();
    let wanted = |path: &str| container.args.iter().flatten().any(|arg| arg.contains(&format!("={path}/")));
    let mounts = container.volume_mounts.iter().flatten().filter(|mount| wanted(&mount.mount_path));
    mounts.filter_map(|mount| Some((mount.mount_path.clone(), of_volume.get(mount.name.as_str())?.clone()))).collect()
}

/// The container's arguments, with its mounts below `root`. Left alone it would listen on every address of the machine.
fn arguments(container: &Container, pod: &PodSpec, root: &Path, address: Ipv4Addr) -> Vec<String> {
    let paths: Vec<String> = mounts(pod, container).into_keys().collect();
    let argument = |arg: &String| {
        let mounted = paths.iter().find(|path| arg.contains(&format!("={path}/")));
        mounted.map_or_else(|| arg.clone(), |path| arg.replacen(path, &format!("{}{path}", root.display()), 1))
    };
    let own = container.args.iter().flatten().map(argument);
    own.chain([format!("--bind-address={address}")]).collect()
}

fn write(directory: &Path, secret: &Secret, items: Option<&[KeyToPath]>) -> Result<(), Error> {
    let shell = Shell::real();
    let data = secret.data.iter().flatten();
    for (key, value) in data {
        let path = match items {
            None => Some(key.as_str()),
            Some(items) => items.iter().find(|item| item.key == *key).map(|item| item.path.as_str()),
        };
        if let Some(path) = path {
            let path = directory.join(path);
            shell.make_dir(path.parent().unwrap_or(directory))?;
            shell.write(&path, &value.0)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"containers": [{"name": "kube-apiserver",
        "args": ["--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt", "--secure-port=6443", "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt"],
        "volumeMounts": [{"name": "pki", "mountPath": "/etc/kubernetes/pki"}, {"name": "ca", "mountPath": "/etc/ssl/certs"}]}],
        "volumes": [{"name": "pki", "projected": {"sources": [
            {"secret": {"name": "t-apiserver", "items": [{"key": "apiserver.crt", "path": "apiserver.crt"}]}},
            {"secret": {"name": "t-etcd", "items": [{"key": "ca.crt", "path": "etcd/ca.crt"}]}}]}},
            {"name": "ca", "secret": {"secretName": "t-ca"}}]}"#;

    #[test]
    fn what_the_arguments_name_is_mounted_and_named_where_it_is() {
        let pod: PodSpec = serde_json::from_str(POD).unwrap();
        let container = &pod.containers[0];
        let mounted = mounts(&pod, container);
        let secrets: Vec<&str> = mounted["/etc/kubernetes/pki"].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((mounted.len(), secrets), (1, vec!["t-apiserver", "t-etcd"]));
        let args = arguments(container, &pod, Path::new("/x/t"), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(
            args,
            [
                "--etcd-cafile=/x/t/etc/kubernetes/pki/etcd/ca.crt",
                "--secure-port=6443",
                "--tls-cert-file=/x/t/etc/kubernetes/pki/apiserver.crt",
                "--bind-address=127.0.0.1".replace("127.0.0.1", "127.1.0.1").as_str(),
            ]
        );
    }

    #[test]
    fn the_keys_that_are_wanted_are_written_where_they_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let secret: Secret = serde_json::from_str(r#"{"data": {"ca.crt": "eA==", "ca.key": "eQ=="}}"#).unwrap();
        let items = [KeyToPath { key: "ca.crt".into(), path: "etcd/ca.crt".into(), mode: None }];
        write(dir.path(), &secret, Some(&items)).unwrap();
        assert_eq!(std::fs::read(dir.path().join("etcd/ca.crt")).unwrap(), b"x");
        assert!(!dir.path().join("ca.key").exists());
    }
}
