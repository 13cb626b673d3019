//! The certificate of every tenant's apiserver is taken away, or its time is over: the operator has to make another one.

use std::time::Duration;

use futures_util::future::try_join_all;
use harness::{Error, Result, Trial};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use measure::ledger::Stage;
use serde_json::json;

use super::expired;
use crate::rig::Rig;
use crate::stages::{EXPIRED, RENEWED, ROTATED, ROTATION_ASKED};
use crate::tenant::Tenant;

/// How often a tenant's certificate is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The certificate in its Secret.
const CERTIFICATE: &str = "apiserver.crt";
/// Its key there.
const KEY: &str = "apiserver.key";
/// The key of the tenant's authority in its own Secret.
const AUTHORITY_KEY: &str = "ca.key";

/// What happens to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Deleted,
    Expired,
}

/// The certificates are deleted; over when each tenant has another one and its Deployment is rolled out with it.
pub(super) async fn rotate(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    renew(trial, rig, "rotate", Loss::Deleted, (ROTATION_ASKED, ROTATED)).await
}

/// The certificates are replaced by such as have expired; over as above.
pub(super) async fn expire(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    renew(trial, rig, "expire", Loss::Expired, (EXPIRED, RENEWED)).await
}

async fn renew(trial: &mut Trial, rig: &mut Rig, name: &'static str, loss: Loss, stages: (Stage, Stage)) -> Result<()> {
    let spec = rig.spec(name, rig.all(), stages, &[stages]);
    let (edge, _meddling) = rig.begin(name).await;
    let action =
        async { try_join_all(rig.tenants.iter().map(|tenant| renewed(rig, tenant, loss, stages))).await.map(drop) };
    let outcome = trial.phase(spec, action).await;
    edge.record(trial, name, rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}

async fn renewed(rig: &Rig, tenant: &Tenant, loss: Loss, (from, to): (Stage, Stage)) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let deployments: Api<Deployment> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let name = format!("{}-api-server-certificate", tenant.name);
    let what = || Error::api(format!("cannot renew {name}"));
    let before = deployments.get(&tenant.name).await.map_err(what())?.metadata.generation;
    let held = secrets.get(&name).await.map_err(what())?;
    let lost = match loss {
        Loss::Deleted => {
            rig.mark(tenant, from);
            secrets.delete(&name, &DeleteParams::default()).await.map_err(what())?;
            value(&held, CERTIFICATE)
        }
        Loss::Expired => {
            let authority = secrets.get(&format!("{}-ca", tenant.name)).await.map_err(what())?;
            let made = expired::certificate(&value(&held, KEY), &value(&authority, AUTHORITY_KEY))?;
            let made = ByteString(made.into_bytes());
            rig.mark(tenant, from);
            let patch = Patch::Merge(json!({"data": {CERTIFICATE: made}}));
            secrets.patch(&name, &PatchParams::default(), &patch).await.map_err(what())?;
            made.0
        }
    };
    loop {
        let found = secrets.get_opt(&name).await.map_err(what())?;
        let made = found.is_some_and(|secret| value(&secret, CERTIFICATE) != lost);
        let deployment = deployments.get(&tenant.name).await.map_err(what())?;
        if made && deployment.metadata.generation > before && is_rolled_out(&deployment) {
            rig.mark(tenant, to);
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn value(secret: &Secret, key: &str) -> Vec<u8> {
    secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone()).unwrap_or_default()
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == wanted
        && status.ready_replicas == wanted
        && status.replicas == wanted
}
