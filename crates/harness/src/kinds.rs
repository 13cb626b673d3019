//! The kinds that a system under test needs, made from manifests of its module.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

use crate::error::{Error, Result};

/// How long the apiserver may take to serve a new kind.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads kinds from YAML files of `directory`.
///
/// # Errors
/// When a file is not there, or is no kind.
pub fn read_kinds(directory: &Path, files: &[&str]) -> Result<Vec<CustomResourceDefinition>> {
    let read = |file: &&str| {
        let path = directory.join(file);
        let no_kind = |error: String| Error::Environment(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::Environment(format!("cannot read {}: {error}", path.display())))?;
        let value: serde_json::Value = serde_saphyr::from_str(&text).map_err(|error| no_kind(error.to_string()))?;
        serde_json::from_value(value).map_err(|error| no_kind(error.to_string()))
    };
    files.iter().map(read).collect()
}

/// Makes kinds, labelled as the trial's own, and waits until they are served.
///
/// # Errors
/// When the apiserver refuses one, or does not serve it in time.
pub async fn make_kinds(
    client: &Client,
    labels: &BTreeMap<String, String>,
    kinds: Vec<CustomResourceDefinition>,
) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let wanted = kinds.len();
    let collections: Vec<Api<DynamicObject>> = kinds.iter().filter_map(|kind| collection(client, kind)).collect();
    for mut kind in kinds {
        kind.metadata.labels.get_or_insert_default().extend(labels.clone());
        let name = kind.metadata.name.clone().unwrap_or_default();
        let made = api.create(&PostParams::default(), &kind).await;
        made.map_err(Error::api(format!("cannot make the kind {name}")))?;
    }
    let until = tokio::time::Instant::now() + PATIENCE;
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    loop {
        let kinds = api.list(&ListParams::default().labels(&selector)).await;
        let kinds = kinds.map_err(Error::api("cannot list kinds"))?.items;
        let mut served = kinds.iter().filter(|kind| is_served(kind)).count();
        if served == wanted {
            // An apiserver that says so may still have to fill its cache, and refuses lists meanwhile.
            served = 0;
            for collection in &collections {
                served += usize::from(collection.list_metadata(&ListParams::default().limit(1)).await.is_ok());
            }
            if served == wanted {
                return Ok(());
            }
        }
        if tokio::time::Instant::now() > until {
            let message = format!("only {served} of {wanted} kinds are served within {} s", PATIENCE.as_secs());
            return Err(Error::Environment(message));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All objects of a kind, at the version in which they are stored.
fn collection(client: &Client, kind: &CustomResourceDefinition) -> Option<Api<DynamicObject>> {
    let names = &kind.spec.names;
    let version = kind.spec.versions.iter().find(|version| version.storage)?;
    let gvk = GroupVersionKind::gvk(&kind.spec.group, &version.name, &names.kind);
    Some(Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, &names.plural)))
}

fn is_served(kind: &CustomResourceDefinition) -> bool {
    let conditions = kind.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
