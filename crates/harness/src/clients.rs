//! The clients of a trial.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::{Descriptor, quiet_config};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tower::util::MapRequestLayer;

use crate::error::{Error, Result};

/// A client of etcd itself, where it listens for plain HTTP.
pub(crate) fn etcd(descriptor: &Descriptor) -> Option<Client> {
    let metrics = descriptor.component("etcd")?.metrics_url.as_deref()?;
    let mut config = Config::new(metrics.strip_suffix("/metrics")?.parse().ok()?);
    config.default_retry = false;
    Client::try_from(config).ok()
}

/// A client that never retries and counts its requests.
pub(crate) async fn counting_client(kubeconfig: &Path, requests: Arc<AtomicU64>) -> Result<Client> {
    let config = quiet_config(kubeconfig).await?;
    let count = MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
        requests.fetch_add(1, Ordering::Relaxed);
        request
    });
    let builder = ClientBuilder::try_from(config).map_err(Error::api("cannot set up TLS"))?;
    Ok(builder.with_layer(&count).build())
}
