//! What a cluster of others has and lets its user do. Everything here asks; nothing is created.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::needs::{METRICS, Needs, Right, SIMULATED_NODES};
use crate::nodes::{ANNOTATION, is_ready};
use crate::sweep::{OWNER_LABEL, RUN_LABEL};

/// How long the apiserver may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions under way at once.
const AT_ONCE: usize = 8;
/// Nodes of one page of a list.
const PAGE: u32 = 500;

/// What was found. What the user may not read is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preflight {
    /// The kubeconfig's context.
    pub context: String,
    /// The apiserver's URL.
    pub server: String,
    /// The user as the apiserver knows it.
    pub user: Option<String>,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// The nodes.
    pub nodes: Option<NodeCount>,
    /// Whether the user may do what some row needs, by [`Right`] in words: `create on nodes`.
    pub rights: BTreeMap<String, bool>,
    /// FlowSchemas of priority and fairness.
    pub flow_schemas: Option<usize>,
    /// Namespaces of runs that other people or machines have under way, or have left.
    pub namespaces_of_others: Option<usize>,
}

/// Nodes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeCount {
    /// With a kubelet.
    pub real: usize,
    /// Of which Ready.
    pub real_ready: usize,
    /// Simulated by kwok.
    pub simulated: usize,
    /// Of which Ready.
    pub simulated_ready: usize,
}

impl Preflight {
    /// Asks the cluster. `owner` is who sweeps for this machine: what carries another one is of others.
    ///
    /// # Errors
    /// When the apiserver cannot be reached, or does not know the user.
    pub async fn of(client: &Client, access: &Access, owner: &str) -> Result<Self> {
        let version = tokio::time::timeout(PATIENCE, client.apiserver_version()).await;
        let version = match version {
            Ok(version) => version.map_err(|error| access.refused(&error))?,
            Err(_) => return Err(access.silent(PATIENCE)),
        };
        let rights = stream::iter(Needs::all_rights().chain([METRICS]))
            .map(async |right| Ok::<_, Error>((right.to_string(), may(client, right).await?)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = review.ok().and_then(|review| review.status?.user_info?.username);
        let schemas: Api<FlowSchema> = Api::all(client.clone());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let of_others = ListParams::default().labels(&format!("{RUN_LABEL},{OWNER_LABEL}!={owner}"));
        Ok(Self {
            context: access.context.clone(),
            server: access.server.clone(),
            user,
            kubernetes: version.git_version,
            nodes: count_nodes(client).await,
            rights,
            flow_schemas: schemas.list_metadata(&ListParams::default()).await.ok().map(|list| list.items.len()),
            namespaces_of_others: namespaces.list_metadata(&of_others).await.ok().map(|list| list.items.len()),
        })
    }

    /// What rows can count on: the rights that the user has, in words, and [`SIMULATED_NODES`] where one is Ready.
    pub fn capabilities(&self) -> Vec<String> {
        let rights = self.rights.iter().filter(|(_, allowed)| **allowed).map(|(right, _)| right.clone());
        let simulates = self.nodes.is_some_and(|nodes| nodes.simulated_ready > 0);
        rights.chain(simulates.then(|| SIMULATED_NODES.to_owned())).collect()
    }
}

async fn may(client: &Client, right: Right) -> Result<bool> {
    let mut spec = SelfSubjectAccessReviewSpec::default();
    let verb = Some(right.verb.to_owned());
    if right.resource.starts_with('/') {
        spec.non_resource_attributes = Some(NonResourceAttributes { verb, path: Some(right.resource.to_owned()) });
    } else {
        spec.resource_attributes = Some(ResourceAttributes {
            verb,
            group: Some(right.group.to_owned()),
            resource: Some(right.resource.to_owned()),
            ..ResourceAttributes::default()
        });
    }
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(Error::api(format!("cannot ask whether the user may {right}")))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// `None` when the user may not list nodes.
async fn count_nodes(client: &Client) -> Option<NodeCount> {
    let api: Api<Node> = Api::all(client.clone());
    let (mut count, mut page) = (NodeCount::default(), ListParams::default().limit(PAGE));
    loop {
        let list = api.list(&page).await.ok()?;
        for node in &list.items {
            let annotations = node.metadata.annotations.as_ref();
            let simulated = annotations.is_some_and(|annotations| annotations.contains_key(ANNOTATION));
            let (all, ready) = match simulated {
                true => (&mut count.simulated, &mut count.simulated_ready),
                false => (&mut count.real, &mut count.real_ready),
            };
            *all += 1;
            *ready += usize::from(is_ready(node));
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Some(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    /// Answers as an apiserver gave them, cut down to what is read; `None` is a 403.
    fn answer(path: &str, body: &serde_json::Value) -> Option<serde_json::Value> {
        let attributes = &body["spec"]["resourceAttributes"];
        match path {
            "/version" => {
                Some(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}))
            }
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
                let allowed = attributes["resource"] != "nodes" || attributes["verb"] == "list";
                Some(json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
                    "spec": body["spec"], "status": {"allowed": allowed}}))
            }
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
                Some(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
                    "status": {"userInfo": {"username": "jane"}}}))
            }
            "/api/v1/nodes" => Some(json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [
                {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
                {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
                {"metadata": {"name": "c", "annotations": {"kwok.x-k8s.io/node": "fake"}}, "status": {}},
            ]})),
            _ => None,
        }
    }

    async fn ask(status_of_version: u16) -> Result<Preflight> {
        let service = service_fn(move |request: Request<Body>| async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect_bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let refusal = |code: u16| {
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
                    "message": "no", "reason": "x"});
                (code, status)
            };
            let (code, answer) = match answer(&path, &body) {
                Some(_) if path == "/version" && status_of_version != 200 => refusal(status_of_version),
                Some(answer) => (200, answer),
                None => refusal(403),
            };
            Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))
        });
        let yaml = "clusters: [{name: c, cluster: {server: 'https://kube.example'}}]\n\
            users: [{name: u, user: {token: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n";
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config"), yaml).unwrap();
        let access = Access::read(&[dir.path().join("config")], None)?;
        Preflight::of(&Client::new(service, "default"), &access, "me").await
    }

    #[tokio::test]
    async fn what_the_cluster_has_and_allows_is_asked_and_what_may_not_be_read_is_absent() {
        let preflight = ask(200).await.unwrap();
        assert_eq!((preflight.kubernetes.as_str(), preflight.user.as_deref()), ("v1.36.3", Some("jane")));
        let nodes = NodeCount { real: 2, real_ready: 1, simulated: 1, simulated_ready: 0 };
        assert_eq!(
            (preflight.nodes, preflight.flow_schemas, preflight.namespaces_of_others),
            (Some(nodes), None, None)
        );
        assert!(preflight.rights["get on /metrics"]);
        assert!(!preflight.rights["create on nodes"]);
        let needs = Needs { nodes: 1, pods: 1 };
        let lacks = Needs::lacks(Some(&needs), &preflight.capabilities());
        assert_eq!(lacks.as_deref(), Some("create, watch, delete, deletecollection on nodes"));
    }

    #[tokio::test]
    async fn a_user_that_the_apiserver_does_not_know_is_told_so() {
        let error = ask(401).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot use https://kube.example (context `x`): it refuses the credentials of user `u` (401 Unauthorized); they may \
             have expired: log in again, or name another --context"
        );
    }
}
