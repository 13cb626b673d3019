//! The registry as a container.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::{address, docker};
use cluster::CLUSTER_LABEL;
use nodeimage::{REGISTRY_IMAGE, REGISTRY_PORT};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

/// The label of the container, beside that of its cluster.
const PART: (&str, &str) = ("kubedyno.io/part", "origin");
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the registry's program on a network, whose name is that of its cluster, with these settings beside those of its image.
pub(crate) async fn start(network: &str, settings: &[(&str, &str)]) -> Result<ContainerAsync<GenericImage>> {
    let image = std::env::var(REGISTRY_IMAGE).map_err(|_| Error::NoImage(REGISTRY_IMAGE))?;
    let (name, tag) =
        image.rsplit_once(':').ok_or_else(|| Error::Name(format!("{REGISTRY_IMAGE}={image} has no tag")))?;
    let request = GenericImage::new(name, tag)
        .with_network(network)
        .with_labels([(CLUSTER_LABEL, network), PART])
        .with_env_var("OTEL_TRACES_EXPORTER", "none");
    let request = settings.iter().fold(request, |request, (name, value)| request.with_env_var(*name, *value));
    Ok(request.start().await?)
}

/// Where a registry of that container listens.
pub(crate) async fn listens(container: &ContainerAsync<GenericImage>) -> Result<SocketAddr> {
    Ok(SocketAddr::new(container.get_bridge_ip_address().await?, REGISTRY_PORT))
}

/// Removes what a killed trial has left.
pub(crate) async fn remove_left(network: &str) -> Result<()> {
    let [cluster, part] = [format!("label={CLUSTER_LABEL}={network}"), format!("label={}={}", PART.0, PART.1)];
    let found = docker(&["ps", "--all", "--quiet", "--filter", &cluster, "--filter", &part]).await?;
    let found: Vec<&str> = found.split_whitespace().collect();
    if found.is_empty() {
        return Ok(());
    }
    docker(&[&["rm", "--force", "--volumes"][..], &found].concat()).await.map(drop)
}

/// This machine on the network.
pub(crate) async fn gateway(network: &str) -> Result<IpAddr> {
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    address(&docker(&["network", "inspect", "--format", format, network]).await?, network)
}

/// Waits until the registry answers.
pub(crate) async fn wait_ready(registry: SocketAddr) -> Result<()> {
    let url = format!("http://{registry}/v2/");
    let started = Instant::now();
    loop {
        let asked = url.clone();
        let answers = crate::blocking(move || Ok(agent().get(&asked).call().is_ok())).await?;
        if answers {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            let container = "$(docker ps --all --quiet --filter label=kubedyno.io/part=origin)";
            return Err(Error::Silent { address: registry.to_string(), seconds: PATIENCE.as_secs(), container });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client that goes to the network of the cluster by no proxy.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).timeout_connect(Some(Duration::from_secs(2))).build();
    ureq::Agent::new_with_config(config)
}
