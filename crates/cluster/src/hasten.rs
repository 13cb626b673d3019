//! A namespace that is to go, gone at once.
//!
//! The namespace controller looks at a namespace five seconds after its deletion (`namespaceDeletionGracePeriod` in
//! `pkg/controller/namespace` of Kubernetes), so that other apiservers have heard of it by then. A cluster of ours has one,
//! and the next trial waits. So what the controller would do is done here: all that is in the namespace is deleted, and the
//! finalizer is taken off when nothing is left.

use futures::{StreamExt as _, TryStreamExt as _, io, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams, Request};
use kube::discovery::{Scope, verbs};
use kube::{Api, Client, Discovery};

/// Kinds that are looked at at once.
const AT_ONCE: usize = 16;

/// Ends a namespace whose deletion was asked for. Returns false, and leaves it to the controller, when something in it stays.
///
/// # Errors
/// When the apiserver refuses; the controller goes on all the same.
pub(crate) async fn hasten(client: &Client, namespace: &str) -> kube::Result<bool> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let kinds: Vec<Api<DynamicObject>> = kinds
        .filter(|(_, has)| has.scope == Scope::Namespaced)
        .filter(|(_, has)| has.supports_operation(verbs::DELETE_COLLECTION) && has.supports_operation(verbs::LIST))
        .map(|(kind, _): (ApiResource, _)| Api::namespaced_with(client.clone(), namespace, &kind))
        .collect();
    let held = held(kinds.clone()).await?;
    for kind in &held {
        delete_all(client, kind).await?;
    }
    // All of them again: something may have come into a kind that was empty.
    if !self::held(kinds).await?.is_empty() {
        return Ok(false);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Some(mut found) = namespaces.get_opt(namespace).await? else { return Ok(true) };
    if let Some(spec) = &mut found.spec {
        spec.finalizers = None;
    }
    namespaces.replace_subresource("finalize", namespace, &PostParams::default(), &found).await.map(|_| true)
}

/// Deletes all of a kind. The answer is every object that goes, tens of MB of Events after a large row: it is read, and not kept.
async fn delete_all(client: &Client, kind: &Api<DynamicObject>) -> kube::Result<()> {
    let (now, all) = (DeleteParams::background(), ListParams::default());
    let request = Request::new(kind.resource_url()).delete_collection(&now, &all).map_err(kube::Error::BuildRequest)?;
    let gone = client.request_stream(request).await?;
    io::copy(gone, &mut io::sink()).await.map_err(kube::Error::ReadEvents)?;
    Ok(())
}

/// Those of `kinds` that have objects. Most have none, and to look is cheaper than to delete.
async fn held(kinds: Vec<Api<DynamicObject>>) -> kube::Result<Vec<Api<DynamicObject>>> {
    let one = ListParams::default().limit(1);
    let look = async |kind: Api<DynamicObject>| {
        let found = kind.list_metadata(&one).await?;
        Ok::<_, kube::Error>((!found.items.is_empty()).then_some(kind))
    };
    let held: Vec<_> = stream::iter(kinds).map(look).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(held.into_iter().flatten().collect())
}
