//! A DataStore: an etcd of its own with TLS and users, and the object that names it.

use std::collections::BTreeMap;
use std::path::Path;

use cluster::Component;
use harness::{Error, Launch, Service, Supervisor, Trial, free_port, until_ready};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::etcdctl::Etcdctl;
use super::keys::Keys;
use super::metrics;
use crate::parameters::KeyFormat;
use crate::tenant::datastores;

/// The common name of the client's certificate that kubeadm makes, which is its user in etcd.
const ADMINISTRATOR: &str = "kube-apiserver-etcd-client";

/// A running DataStore.
#[derive(Debug)]
pub struct DataStore {
    /// Its name.
    pub name: String,
    launch: Launch,
    service: Service,
    etcdctl: Etcdctl,
    metrics: String,
}

/// What an etcd has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreFigures {
    /// Writes.
    pub puts: f64,
    /// Bytes that they added to its log.
    pub wal_bytes: f64,
    /// Bytes of its database that are used.
    pub db_bytes: f64,
}

impl DataStore {
    /// Starts an etcd as the kamaji-etcd chart does (quota 8 GiB, compaction every 5 minutes), but for its single member;
    /// gives its administrator everything, and makes its object.
    pub(super) async fn start(
        trial: &mut Trial,
        supervisor: &Supervisor,
        keys: &Keys,
        name: &str,
        directory: &Path,
        key: KeyFormat,
    ) -> Result<Self, Error> {
        let (client, peer, metrics) = (free_port()?, free_port()?, free_port()?);
        let endpoint = format!("127.0.0.1:{client}");
        let url = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
        let file = |name: &str| keys.file(name).display().to_string();
        let flags = [
            ("name", name.to_owned()),
            ("data-dir", directory.join(name).display().to_string()),
            ("listen-client-urls", url("https", client)),
            ("advertise-client-urls", url("https", client)),
            ("listen-peer-urls", url("http", peer)),
            ("initial-advertise-peer-urls", url("http", peer)),
            ("initial-cluster", format!("{name}={}", url("http", peer))),
            ("listen-metrics-urls", url("http", metrics)),
            ("client-cert-auth", "true".to_owned()),
            ("trusted-ca-file", file("etcd/ca.crt")),
            ("cert-file", file("etcd/server.crt")),
            ("key-file", file("etcd/server.key")),
            ("quota-backend-bytes", (8_u64 << 30).to_string()),
            ("auto-compaction-mode", "periodic".to_owned()),
            ("auto-compaction-retention", "5m".to_owned()),
            ("unsafe-no-fsync", "true".to_owned()),
        ];
        let launch = Launch {
            name: name.to_owned(),
            program: trial.cluster_program("etcd")?.path.clone(),
            args: flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect(),
            env: Vec::new(),
            log: directory.join(format!("{name}.log")),
        };
        let base = url("http", metrics);
        let service = healthy(&launch, &base, supervisor).await?;
        let program = trial.cluster_program("etcdctl")?.path.clone();
        let etcdctl = Etcdctl { program, endpoint: endpoint.clone(), keys: keys.clone() };
        for user in ["root", ADMINISTRATOR] {
            etcdctl.run(&["user", "add", user, "--no-password"]).await?;
            etcdctl.run(&["user", "grant-role", user, "root"]).await?;
        }
        etcdctl.run(&["auth", "enable"]).await?;
        object(trial, keys, name, &endpoint, key).await?;
        Ok(Self { name: name.to_owned(), launch, service, etcdctl, metrics: base })
    }

    /// Ends it as a power failure does.
    pub fn kill(&mut self) {
        self.service.kill();
    }

    /// Starts it again on what it had stored.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self, supervisor: &Supervisor) -> Result<(), Error> {
        self.service = healthy(&self.launch, &self.metrics, supervisor).await?;
        Ok(())
    }

    /// Its process.
    pub fn component(&self) -> &Component {
        self.service.component()
    }

    /// Its administrator.
    pub fn administrator(&self) -> &Etcdctl {
        &self.etcdctl
    }

    /// What it has counted; none when it does not answer.
    pub async fn figures(&self) -> Option<StoreFigures> {
        let wanted =
            ["etcd_mvcc_put_total", "etcd_disk_wal_write_bytes_total", "etcd_mvcc_db_total_size_in_use_in_bytes"];
        let page = metrics::sums(self.metrics.clone() + "/metrics", &wanted).await?;
        let of = |name: &str| page.get(name).copied().unwrap_or(0.0);
        Some(StoreFigures { puts: of(wanted[0]), wal_bytes: of(wanted[1]), db_bytes: of(wanted[2]) })
    }
}

async fn healthy(launch: &Launch, base: &str, supervisor: &Supervisor) -> Result<Service, Error> {
    let service = supervisor.launch(launch)?;
    let health = format!("{base}/health");
    until_ready(&launch.name, service.log(), || metrics::answers(health.clone())).await?;
    Ok(service)
}

/// The Secret with its certificates, in the trial's namespace, and the DataStore that names it.
async fn object(trial: &Trial, keys: &Keys, name: &str, endpoint: &str, key: KeyFormat) -> Result<(), Error> {
    let files = [
        ("ca.crt", "etcd/ca.crt"),
        ("ca.key", "etcd/ca.key"),
        ("tls.crt", "apiserver-etcd-client.crt"),
        ("tls.key", "apiserver-etcd-client.key"),
    ];
    let data = files.iter().map(|(key, file)| Ok(((*key).to_owned(), keys.content(file)?)));
    let mut data: BTreeMap<String, ByteString> = data.collect::<Result<_, Error>>()?;
    if key == KeyFormat::Pkcs8 {
        data.insert("ca.key".to_owned(), keys.authority_key_as_pkcs8()?);
    }
    let mut secret = Secret { data: Some(data), ..Secret::default() };
    secret.metadata.name = Some(format!("{name}-certs"));
    secret.metadata.labels = Some(trial.labels());
    let secrets: Api<Secret> = Api::namespaced(trial.client().clone(), trial.namespace());
    let made = secrets.create(&PostParams::default(), &secret).await;
    made.map_err(Error::api(format!("cannot make the Secret of DataStore {name}")))?;
    let content = |key: &str| json!({"secretReference": {"name": format!("{name}-certs"), "namespace": trial.namespace(), "keyPath": key}});
    let store = json!({
        "apiVersion": "kamaji.clastix.io/v1alpha1",
        "kind": "DataStore",
        "metadata": {"name": name, "labels": trial.cluster_labels()},
        "spec": {
            "driver": "etcd",
            "endpoints": [endpoint],
            "tlsConfig": {
                "certificateAuthority": {"certificate": content("ca.crt"), "privateKey": content("ca.key")},
                "clientCertificate": {"certificate": content("tls.crt"), "privateKey": content("tls.key")},
            },
        },
    });
    let what = || Error::api(format!("cannot make DataStore {name}"));
    let store = serde_json::from_value(store).map_err(|error| what()(kube::Error::SerdeError(error)))?;
    datastores(trial.client()).create(&PostParams::default(), &store).await.map(drop).map_err(what())
}
