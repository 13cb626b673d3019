//! A namespace that is to go, gone at once.
//!
//! The namespace controller looks at a namespace five seconds after its deletion (`namespaceDeletionGracePeriod` in
//! `pkg/controller/namespace` of Kubernetes), so that other apiservers have heard of it by then. A cluster of ours has one,
//! and the next trial waits. So what the controller would do is done here: all that is in the namespace is deleted, and the
//! finalizer is taken off when nothing is left.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Scope, verbs};
use kube::{Api, Client, Discovery};

/// Kinds that are emptied or looked at at once.
const AT_ONCE: usize = 4;

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
    let (now, all) = (DeleteParams::background(), ListParams::default());
    let empty = async |kind: &Api<DynamicObject>| kind.delete_collection(&now, &all).await.map(drop);
    stream::iter(&kinds).map(empty).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let one = all.clone().limit(1);
    let left = async |kind: &Api<DynamicObject>| kind.list_metadata(&one).await.map(|found| found.items.len());
    let left: Vec<usize> = stream::iter(&kinds).map(left).buffer_unordered(AT_ONCE).try_collect().await?;
    if left.iter().sum::<usize>() > 0 {
        return Ok(false);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Some(mut found) = namespaces.get_opt(namespace).await? else { return Ok(true) };
    if let Some(spec) = &mut found.spec {
        spec.finalizers = None;
    }
    namespaces.replace_subresource("finalize", namespace, &PostParams::default(), &found).await.map(|_| true)
}
