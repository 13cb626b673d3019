//! The namespace of a trial.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::error::{Error, Result};

/// How long the controller manager may take to see a namespace. After its apiserver was away it watches again only after a
/// pause that has grown meanwhile, to a minute at most (`defaultBackoffMax` in client-go's `reflector.go`, with its jitter).
const PATIENCE: Duration = Duration::from_secs(90);

/// `kd-<row>-<end of the run id>-<pid>`, at most 63 characters of a DNS label. No two trials share a name: for 30 s after
/// a namespace is gone, the apiserver reads it afresh for every request in one of the same name, which doubled the
/// requests of a pod.
pub(crate) fn name(test: &str, run_id: &str, pid: u32) -> String {
    let tail = suffix(run_id, pid);
    let row: String =
        test.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let row: String = row.chars().take(63 - 4 - tail.len()).collect();
    format!("kd-{row}-{tail}")
}

/// What the names of a trial's own objects end with, so that no other trial has the same.
pub(crate) fn suffix(run_id: &str, pid: u32) -> String {
    format!("{}-{pid}", run_id.rsplit('-').next().unwrap_or_default())
}

/// Makes the namespace `name`, and waits until pods can be made in it.
///
/// # Errors
/// When it is refused, or the controller manager makes no service account.
pub(crate) async fn make(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(Error::api(format!("cannot create namespace {name}")))?;
    // Pods are refused until the controller manager has made the namespace's service account.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    let until = Instant::now() + PATIENCE;
    loop {
        match accounts.get_opt("default").await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(None) => {
                let within = PATIENCE.as_secs();
                let message = format!("the controller manager made no service account within {within} s");
                return Err(Error::Environment(message));
            }
            Err(error) => return Err(Error::api("cannot read the service account")(error)),
        }
    }
}
