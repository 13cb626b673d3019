//! A client for a cluster that was adopted from its descriptor.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};

/// The configuration of a client that never retries: a retry would hide the answer that is counted.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn quiet_config(kubeconfig: &Path) -> Result<Config> {
    let wrap = |error: kube::config::KubeconfigError| {
        Error::api(format!("cannot use {}", kubeconfig.display()))(kube::Error::Service(Box::new(error)))
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(wrap)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrap)?;
    config.default_retry = false;
    // Clusters of this project are on loopback: a proxy of the machine has nothing to do with them.
    config.proxy_url = None;
    Ok(config)
}

/// A client with [`quiet_config`] of a kubeconfig.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn connect_to(kubeconfig: &Path) -> Result<Client> {
    let config = quiet_config(kubeconfig).await?;
    Client::try_from(config).map_err(Error::api("cannot set up TLS"))
}

/// A client of an adopted cluster.
///
/// # Errors
/// When its kubeconfig cannot be read or used.
pub async fn connect(descriptor: &Descriptor) -> Result<Client> {
    connect_to(&descriptor.kubeconfig).await
}
