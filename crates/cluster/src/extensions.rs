//! What trials extend the Kubernetes API with: kinds of their own and admission webhooks.
//!
//! Both outlive the programs that serve them. A webhook whose server is dead refuses every write that it was asked about,
//! and an object with a finalizer that nobody takes off holds its namespace for ever. So webhooks go first, then the
//! finalizers, then the kinds with all objects of them.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::json;

use crate::error::{Error, Result};

/// How long a kind may take to go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// Removes every webhook configuration and every kind that `selector` selects, whatever is left of their objects, and
/// waits until they are gone. A user who may not see such things has not made any.
///
/// # Errors
/// When the apiserver refuses, or a kind is still there after a minute.
pub async fn remove_extensions(client: &Client, selector: &str) -> Result<()> {
    let labelled = ListParams::default().labels(selector);
    let now = DeleteParams::default();
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let Some(found) = permitted(kinds.list(&labelled).await, "cannot list kinds")? else { return Ok(()) };
    permitted(mutating.delete_collection(&now, &labelled).await, "cannot delete webhooks")?;
    permitted(validating.delete_collection(&now, &labelled).await, "cannot delete webhooks")?;
    for kind in &found.items {
        free_objects(client, kind).await?;
        let name = kind.metadata.name.as_deref().unwrap_or_default();
        match kinds.delete(name, &now).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.map_err(Error::api(format!("cannot delete kind {name}")))?),
        }
    }
    let started = tokio::time::Instant::now();
    loop {
        let left = kinds.list(&labelled).await.map_err(Error::api("cannot list kinds"))?.items;
        let Some(kind) = left.first() else { return Ok(()) };
        if started.elapsed() > PATIENCE {
            let name = kind.metadata.name.as_deref().unwrap_or_default();
            return Err(Error::Failed(format!("{} kinds of dead runs do not go away, among them {name}", left.len())));
        }
        // What came or was written between the first look and the deletion.
        for kind in &left {
            free_objects(client, kind).await?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes the finalizers off every object of a kind: who would act on them is gone.
async fn free_objects(client: &Client, kind: &CustomResourceDefinition) -> Result<()> {
    let names = &kind.spec.names;
    let Some(version) = kind.spec.versions.iter().find(|version| version.storage) else { return Ok(()) };
    let gvk = GroupVersionKind::gvk(&kind.spec.group, &version.name, &names.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &names.plural);
    let what = || format!("cannot free the objects of {}.{}", names.plural, kind.spec.group);
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let started = tokio::time::Instant::now();
    let objects = loop {
        match all.list_metadata(&ListParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            // An apiserver that has just started has not read these objects yet.
            Err(kube::Error::Api(status)) if status.code == 429 && started.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK).await;
            }
            other => break other.map_err(Error::api(what()))?,
        }
    };
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    for object in objects.items.iter().filter(|object| object.metadata.finalizers.is_some()) {
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        match api.patch(name, &PatchParams::default(), &none).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.map_err(Error::api(what()))?),
        }
    }
    Ok(())
}

fn permitted<T>(answer: Result<T, kube::Error>, what: &str) -> Result<Option<T>> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        other => other.map(Some).map_err(Error::api(what)),
    }
}
