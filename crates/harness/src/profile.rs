//! The CPU profile of a component, as its pprof endpoint serves it, taken while a trial runs.

use std::time::Duration;

use cluster::{Component, Descriptor, quiet_config};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use tokio::task::JoinHandle;

/// How long is profiled, in seconds; a trial that ends sooner waits for it.
const SECONDS: u32 = 5;

/// A profile that is being taken.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The component.
    pub(crate) component: String,
    taking: JoinHandle<Result<Vec<u8>, String>>,
}

impl Profile {
    /// Profiles a component from now on.
    pub(crate) fn start(descriptor: &Descriptor, component: String) -> Self {
        let (descriptor, name) = (descriptor.clone(), component.clone());
        let taken = async move {
            let component = descriptor.component(&name).ok_or("the cluster has no such component")?;
            take(&descriptor, component).await
        };
        Self { component, taking: tokio::spawn(taken) }
    }

    /// The profile, gzipped protobuf, or why there is none.
    pub(crate) async fn finish(self) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(Duration::from_secs(u64::from(SECONDS)), self.taking).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) | Err(_) => Err("it took too long".to_owned()),
        }
    }
}

async fn take(descriptor: &Descriptor, component: &Component) -> Result<Vec<u8>, String> {
    let metrics = component.metrics_url.as_deref().unwrap_or_default();
    let base = metrics.strip_suffix("/metrics").ok_or("it serves no metrics, so where it listens is not known")?;
    let mut config = quiet_config(&descriptor.kubeconfig).await.map_err(|error| error.to_string())?;
    // Components of one cluster trust the same client certificate; each has a serving certificate of its own.
    config.cluster_url = base.parse().map_err(|error| format!("{base}: {error}"))?;
    config.accept_invalid_certs = true;
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let request = http::Request::get(format!("/debug/pprof/profile?seconds={SECONDS}"));
    let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    match response.status().is_success() {
        true => Ok(response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes().to_vec()),
        false => Err(format!("it answers {}", response.status())),
    }
}
