//! The servers that both tools are measured on, and the profiles that each is sent.

use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use scripted::{Reply, Server, Speaks};
use serde_json::json;

use super::run::{Core, pin};
use crate::exit::Failure;

/// 200 requests a second for 10 s from 20 clients.
pub(super) const STALLED: &str = "\
version: 1
description: a stall of a second
specs:
  - rate: 200
    total: 2000
    conns: 10
    client: 20
    contentType: json
    requests:
      - staleGet: {version: v1, resource: configmaps, namespace: default, name: bench-0}
        shares: 1
";
const STALLED_RATE: f64 = 200.0;

/// As many as go.
pub(super) const UNLIMITED: &str = "\
version: 1
description: as many as go
specs:
  - rate: 0
    total: 30000
    conns: 10
    client: 20
    contentType: json
    requests:
      - staleGet: {version: v1, resource: configmaps, namespace: default, name: bench-0}
        shares: 1
";

/// Lists of 100 ConfigMaps from the watch cache and from etcd, at a rate that leaves the apiserver idle most of the time.
pub(super) const LISTS: &str = "\
version: 1
description: lists at a low load
specs:
  - rate: 50
    total: 1000
    conns: 10
    client: 10
    contentType: json
    requests:
      - staleList: {version: v1, resource: configmaps, namespace: default}
        shares: 1
      - quorumList: {version: v1, resource: configmaps, namespace: default}
        shares: 1
";
pub(super) const LISTS_TOTAL: u64 = 1000;

/// ConfigMaps of 1 kB that [`LISTS`] lists.
const CONFIGMAPS: usize = 100;

/// A server that answers at once, but for one second in the middle of the run.
pub(super) struct Stalling(Server);

impl Stalling {
    pub(super) fn start() -> Self {
        let first = OnceLock::new();
        Self(Server::start(Speaks::Http1, move |_| {
            let since = first.get_or_init(Instant::now).elapsed();
            let (from, until) = (Duration::from_millis(4_500), Duration::from_millis(5_500));
            let stalled = (from..until).contains(&since);
            Reply::ok("{}").after(if stalled { until - since } else { Duration::ZERO })
        }))
    }

    pub(super) fn kubeconfig(&self, directory: &Path) -> Result<PathBuf, Failure> {
        kubeconfig(&self.0, directory)
    }

    /// What a user of the run felt: the server's stamps of its answers less the offsets at which requests were due.
    pub(super) fn truth(&self) -> Truth {
        let mut stamps = self.0.stamps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stamps.sort_unstable();
        let began = stamps.first().map_or(SystemTime::UNIX_EPOCH, |(came, _)| *came);
        let felt = stamps.iter().enumerate().map(|(i, (_, done))| {
            let due = Duration::from_secs_f64(i as f64 / STALLED_RATE);
            done.duration_since(began).unwrap_or_default().saturating_sub(due).as_secs_f64()
        });
        let mut felt: Vec<f64> = felt.collect();
        felt.sort_by(f64::total_cmp);
        Truth(felt)
    }
}

/// The response times of a run by the server's stamps, sorted, in seconds.
pub(super) struct Truth(Vec<f64>);

impl Truth {
    pub(super) fn quantile(&self, p: f64) -> Result<f64, Failure> {
        measure::stats::quantile(&self.0, p).ok_or_else(|| Failure::environment("the server was asked too little"))
    }
}

/// A server that does nothing but answer, on the first core.
pub(super) struct Fast(Server);

impl Fast {
    pub(super) fn start() -> Result<Self, Failure> {
        // The server's thread inherits where it may run.
        let started = std::thread::spawn(|| {
            pin(Core::First)?;
            Ok(Self(Server::start(Speaks::Http1, |_| Reply::ok("{}"))))
        });
        started.join().unwrap_or_else(|_| Err(Failure::environment("the server did not start")))
    }

    pub(super) fn kubeconfig(&self, directory: &Path) -> Result<PathBuf, Failure> {
        kubeconfig(&self.0, directory)
    }
}

/// Makes what [`LISTS`] lists.
pub(super) async fn configmaps(client: &Client) -> Result<(), Failure> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for index in 0..CONFIGMAPS {
        let object = json!({"metadata": {"name": format!("bench-{index}")}, "data": {"payload": "x".repeat(1000)}});
        let object: ConfigMap =
            serde_json::from_value(object).map_err(|error| Failure::environment(error.to_string()))?;
        let made = api.create(&PostParams::default(), &object).await;
        made.map_err(|error| Failure::environment(format!("cannot create a ConfigMap: {}", cluster::answer(&error))))?;
    }
    Ok(())
}

fn kubeconfig(server: &Server, directory: &Path) -> Result<PathBuf, Failure> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": format!("http://{}", server.address)}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    });
    let path = directory.join("scripted.kubeconfig");
    std::fs::write(&path, config.to_string())
        .map_err(|error| Failure::environment(format!("{}: {error}", path.display())))?;
    Ok(path)
}
