//! The operator's webhooks, registered under its address: it is no Service here. What they are asked about is what its
//! chart says (`charts/kamaji/templates/*webhookconfiguration.yaml`).

use std::collections::BTreeMap;

use harness::Error;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::keys::Keys;

/// The port of the operator's webhooks, which it has no setting for.
pub(super) const PORT: u16 = 9443;

/// The address of a webhook.
pub(super) fn url(path: &str) -> String {
    format!("https://127.0.0.1:{PORT}{path}")
}

/// Registers all of them.
pub(super) async fn register(client: &Client, labels: &BTreeMap<String, String>, keys: &Keys) -> Result<(), Error> {
    let authority = keys.authority()?;
    let hook = |name: &str, path: &str, policy: &str, rule: Value| {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url(path), "caBundle": authority},
            "failurePolicy": policy,
            "sideEffects": "None",
            "rules": [rule],
        })
    };
    let rule = |group: &str, version: &str, resource: &str, operations: &[&str]| json!({"apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": operations});
    let ours = |resource: &str, operations: &[&str]| rule("kamaji.clastix.io", "v1alpha1", resource, operations);
    let (create, change) = (["CREATE", "UPDATE"], ["CREATE", "UPDATE", "DELETE"]);
    let of_tenants = "kamaji-clastix-io-v1alpha1-tenantcontrolplane";
    let mutating = [hook(
        "mtenantcontrolplane.kb.io",
        &format!("/mutate-{of_tenants}"),
        "Fail",
        ours("tenantcontrolplanes", &create),
    )];
    let validating = [
        hook("telemetry.kamaji.clastix.io", "/telemetry", "Ignore", ours("tenantcontrolplanes", &change)),
        hook("vdatastoresecrets.kb.io", "/validate--v1-secret", "Ignore", rule("", "v1", "secrets", &["DELETE"])),
        hook("vdatastore.kb.io", "/validate-kamaji-clastix-io-v1alpha1-datastore", "Fail", ours("datastores", &change)),
        hook(
            "vtenantcontrolplane.kb.io",
            &format!("/validate-{of_tenants}"),
            "Fail",
            ours("tenantcontrolplanes", &create),
        ),
    ];
    let configuration = |kind: &str, hooks: &[Value]| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "kamaji", "labels": labels},
            "webhooks": hooks,
        })
    };
    let post = PostParams::default();
    let what = "cannot register Kamaji's webhooks";
    let mutating: MutatingWebhookConfiguration = typed(configuration("MutatingWebhookConfiguration", &mutating))?;
    Api::all(client.clone()).create(&post, &mutating).await.map_err(Error::api(what))?;
    let validating: ValidatingWebhookConfiguration =
        typed(configuration("ValidatingWebhookConfiguration", &validating))?;
    Api::all(client.clone()).create(&post, &validating).await.map(drop).map_err(Error::api(what))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    let wrap = |error| Error::api("cannot write Kamaji's webhooks")(kube::Error::SerdeError(error));
    serde_json::from_value(value).map_err(wrap)
}
