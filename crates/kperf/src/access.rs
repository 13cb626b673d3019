//! The way to the cluster, found as kperf and kubectl find it.

use std::path::PathBuf;

use cluster::Access;
use kube::{Client, Config};

use crate::error::{Error, Result};

/// The configuration of a client that never retries: of the kubeconfig that is named, of `KUBECONFIG`, of
/// `~/.kube/config`, or, in a Pod that has none of them, of its service account.
///
/// # Errors
/// When there is no kubeconfig, or it cannot be used.
pub async fn access(kubeconfig: Option<PathBuf>) -> Result<Config> {
    let named = kubeconfig.is_some();
    let files: Vec<PathBuf> = match (kubeconfig, std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty())) {
        (Some(file), _) => vec![file],
        (None, Some(value)) => std::env::split_paths(&value).collect(),
        (None, None) => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if !named && in_cluster && !files.iter().any(|file| file.exists()) {
        let unusable =
            |error| Error::Usage(format!("there is no kubeconfig, and the service account is of no use: {error}"));
        let mut config = Config::incluster().map_err(unusable)?;
        config.default_retry = false;
        return Ok(config);
    }
    Ok(Access::read(&files, None)?.config().await?)
}

/// A client with [`access`].
///
/// # Errors
/// As [`access`].
pub async fn client(kubeconfig: Option<PathBuf>) -> Result<Client> {
    Client::try_from(access(kubeconfig).await?).map_err(Error::api("cannot set up TLS"))
}
