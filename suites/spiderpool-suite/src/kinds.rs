//! The kinds that a plugin needs, made from the manifests of its module.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Error, Program};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};

/// How long the apiserver may take to serve a new kind.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the kinds in `files` of the program's module, labelled as the trial's own, and waits until they are served.
///
/// # Errors
/// When a file is not there or no kind, the apiserver refuses one, or does not serve it in time.
pub async fn make_kinds(
    client: &Client,
    labels: &BTreeMap<String, String>,
    program: &Program,
    files: &[&str],
) -> Result<(), Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for file in files {
        let text = program.manifest(file)?;
        let no_kind = |error: String| Error::Environment(format!("{}: {error}", program.module.join(file).display()));
        let value: serde_json::Value = serde_saphyr::from_str(&text).map_err(|error| no_kind(error.to_string()))?;
        let mut kind: CustomResourceDefinition =
            serde_json::from_value(value).map_err(|error| no_kind(error.to_string()))?;
        kind.metadata.labels.get_or_insert_default().extend(labels.clone());
        let made = api.create(&PostParams::default(), &kind).await;
        made.map_err(Error::api(format!("cannot make the kind of {file}")))?;
    }
    let until = tokio::time::Instant::now() + PATIENCE;
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    loop {
        let kinds = api.list(&kube::api::ListParams::default().labels(&selector)).await;
        let kinds = kinds.map_err(Error::api("cannot list kinds"))?.items;
        let served = kinds.iter().filter(|kind| is_served(kind)).count();
        if served == files.len() {
            return Ok(());
        }
        if tokio::time::Instant::now() > until {
            let message = format!("only {served} of {} kinds are served within {} s", files.len(), PATIENCE.as_secs());
            return Err(Error::Environment(message));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_served(kind: &CustomResourceDefinition) -> bool {
    let conditions = kind.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
