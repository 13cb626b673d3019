use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use kube::Config;
use measure::{Schedule, Until};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::mix::Mix;
use crate::plan::{Phase, Plan, Protocol, Share};
use crate::request::Request;
use crate::target::Target;

/// The operations of a request as it stands in a profile, and the plan they are of.
async fn operations(request: Value, protocol: Protocol) -> Vec<Operation> {
    let request: Request = serde_json::from_value(request).unwrap();
    request.check(0).unwrap();
    let schedule = Schedule::constant(1.0, Until::Total(1)).unwrap();
    let phase = Phase { protocol, ..Phase::new(schedule, vec![Share { shares: 1, request }]) };
    let labels = BTreeMap::from([("run".to_owned(), "r1".to_owned())]);
    let plan = Plan { prefix: "pods".to_owned(), labels, ..Plan::new(vec![phase.clone()], 1) };
    let target = Target::new(&Config::new("http://host:8080/gateway/".parse().unwrap())).await.unwrap();
    Operation::all(0, &plan, &phase, &target).unwrap()
}

async fn body(request: http::Request<Full<Bytes>>) -> Value {
    serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[rstest]
#[case::stale_list(json!({"staleList": {"version": "v1", "resource": "pods"}}), "LIST", "/api/v1/pods?resourceVersion=0&timeout=1m0s")]
#[case::a_selector_is_escaped(
    json!({"staleList": {"version": "v1", "resource": "pods", "namespace": "a", "seletor": "app in (x, y)", "fieldSelector": "spec.nodeName=n-1"}}),
    "LIST",
    "/api/v1/namespaces/a/pods?fieldSelector=spec.nodeName%3Dn-1&labelSelector=app+in+%28x%2C+y%29&resourceVersion=0&timeout=1m0s",
)]
#[case::quorum_list(json!({"quorumList": {"group": "apps", "version": "v1", "resource": "deployments", "limit": 500}}), "LIST", "/apis/apps/v1/deployments?limit=500&timeout=1m0s")]
#[case::watch_list(
    json!({"watchList": {"version": "v1", "resource": "pods"}}),
    "WATCHLIST",
    "/api/v1/pods?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeout=1m0s&watch=true",
)]
#[case::stale_get(json!({"staleGet": {"version": "v1", "resource": "nodes", "name": "n-1"}}), "GET", "/api/v1/nodes/n-1?resourceVersion=0&timeout=1m0s")]
#[case::a_name_is_escaped(
    json!({"quorumGet": {"group": "rbac.authorization.k8s.io", "version": "v1", "resource": "clusterroles", "name": "system:a/b?c"}}),
    "GET",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb%3Fc?timeout=1m0s",
)]
#[case::pod_log(
    json!({"getPodLog": {"namespace": "a", "name": "p", "container": "c", "tailLines": 10, "limitBytes": 99}}),
    "POD_LOG",
    "/api/v1/namespaces/a/pods/p/log?container=c&limitBytes=99&tailLines=10&timeout=1m0s",
)]
#[tokio::test]
async fn a_request_that_reads_is_the_same_every_time(#[case] request: Value, #[case] verb: &str, #[case] url: &str) {
    for (protocol, base) in [(Protocol::Http1, "/gateway"), (Protocol::Http2, "http://host:8080/gateway")] {
        let operations = operations(request.clone(), protocol).await;
        let [operation] = &operations[..] else { panic!("one operation") };
        assert_eq!(*operation.label, *format!("{verb} {url}"));
        let sent = operation.request(7, &HeaderMap::new());
        assert_eq!((sent.method(), sent.uri().to_string()), (&Method::GET, format!("{base}{url}")));
        assert_eq!(sent.headers().get("host").is_some(), protocol == Protocol::Http1);
        assert!(operation.reads_only && sent.body().size_hint().exact() == Some(0));
    }
}

#[tokio::test]
async fn a_put_has_the_name_that_was_drawn_and_a_content_that_is_never_the_same() {
    let put = json!({"put": {"version": "v1", "resource": "configmaps", "namespace": "a", "name": "cm", "keySpaceSize": 10, "payloadSize": 40}});
    let operations = operations(put, Protocol::Http1).await;
    assert_eq!(&*operations[0].label, "PUT /api/v1/namespaces/a/configmaps/:name?timeout=1m0s");
    let (one, other) = (operations[0].request(123, &HeaderMap::new()), operations[0].request(133, &HeaderMap::new()));
    assert_eq!((one.method(), one.uri().path()), (&Method::PUT, "/gateway/api/v1/namespaces/a/configmaps/cm-3"));
    assert_eq!(
        (other.uri().path(), &other.headers()["content-type"]),
        (one.uri().path(), &"application/json".parse().unwrap())
    );
    let (one, other) = (body(one).await, body(other).await);
    assert_eq!((&one["metadata"]["name"], &one["kind"]), (&json!("cm-3"), &json!("ConfigMap")));
    assert_eq!(one["data"]["payload"].as_str().unwrap().len(), 40);
    assert_ne!(one["data"]["payload"], other["data"]["payload"]);
}

#[rstest]
#[case::json("json", "application/json-patch+json")]
#[case::merge("merge", "application/merge-patch+json")]
#[case::strategic("strategic-merge", "application/strategic-merge-patch+json")]
#[tokio::test]
async fn a_patch_says_of_what_kind_it_is(#[case] kind: &str, #[case] content_type: &str) {
    let patch = json!({"patch": {
        "group": "apps", "version": "v1", "resource": "deployments", "namespace": "a", "name": "d", "keySpaceSize": 100,
        "patchType": kind, "body": "{\"a\":1}",
    }});
    let operations = operations(patch, Protocol::Http1).await;
    let sent = operations[0].request(1_742, &HeaderMap::new());
    assert_eq!(sent.method(), Method::PATCH);
    assert_eq!(sent.uri(), "/gateway/apis/apps/v1/namespaces/a/deployments/d-42?timeout=1m0s");
    assert_eq!(sent.headers()["content-type"], content_type);
    assert_eq!(body(sent).await, json!({"a": 1}));
}

#[tokio::test]
async fn pods_are_deleted_only_after_they_were_created_and_oldest_first() {
    let pods = json!({"postDel": {"version": "v1", "resource": "pods", "namespace": "a", "deleteRatio": 0.5, "payloadSize": 3}});
    let operations = operations(pods, Protocol::Http1).await;
    let mut mix = Mix::of(&operations, &[(1, 0.5)], 3).unwrap();
    assert!((0..20).all(|_| mix.draw().operation == 0), "nothing is there to delete");
    operations[0].settled(4, true);
    operations[0].settled(5, false);
    operations[0].settled(6, true);
    let deleted: Vec<u64> =
        (0..40).map(|_| mix.draw()).filter(|draw| draw.operation == 1).map(|draw| draw.number).collect();
    assert_eq!(deleted, [4, 6]);
    operations[1].settled(4, true);
    operations[1].settled(6, false);
    assert_eq!(operations[1].created().unwrap().pop(), Some(6), "what could not be deleted is still there");

    let created = operations[0].request(4, &HeaderMap::new());
    assert_eq!((created.method(), created.uri().path()), (&Method::POST, "/gateway/api/v1/namespaces/a/pods"));
    let pod = body(created).await;
    assert_eq!(pod["metadata"], json!({"name": "pods-0-4", "namespace": "a", "labels": {"run": "r1"}}));
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], "xxx");
    let deleted = operations[1].request(4, &HeaderMap::new());
    assert_eq!(
        (deleted.method(), deleted.uri().path()),
        (&Method::DELETE, "/gateway/api/v1/namespaces/a/pods/pods-0-4")
    );
}

#[rstest]
#[case::limit(json!({"staleList": {"version": "v1", "resource": "pods", "limit": 5}}), "limit")]
#[case::no_resource(json!({"quorumList": {"version": "v1", "resource": ""}}), "resource")]
#[case::no_name(json!({"staleGet": {"version": "v1", "resource": "pods", "name": ""}}), "name")]
#[case::no_objects(json!({"put": {"version": "v1", "resource": "configmaps", "namespace": "a", "name": "c", "keySpaceSize": 0}}), "keySpaceSize")]
#[case::unknown_content(json!({"put": {"version": "v1", "resource": "secrets", "namespace": "a", "name": "c", "keySpaceSize": 1}}), "resource")]
#[case::no_json(
    json!({"patch": {"version": "v1", "resource": "pods", "name": "p", "keySpaceSize": 1, "patchType": "merge", "body": "{"}}),
    "body",
)]
#[case::more_deletions_than_creations(json!({"postDel": {"version": "v1", "resource": "pods", "namespace": "a", "deleteRatio": 0.6}}), "deleteRatio")]
fn a_request_that_cannot_work_is_refused_by_its_field(#[case] request: Value, #[case] field: &str) {
    let request: Request = serde_json::from_value(request).unwrap();
    let error = request.check(3).unwrap_err().to_string();
    assert!(error.starts_with(&format!("request 3 ({}): `{field}` ", request.kind())), "{error}");
}

#[test]
fn an_unknown_field_of_a_request_is_an_error() {
    let list = json!({"staleList": {"version": "v1", "resource": "pods", "selektor": "a=b"}});
    assert!(serde_json::from_value::<Request>(list).unwrap_err().to_string().contains("selektor"));
}
