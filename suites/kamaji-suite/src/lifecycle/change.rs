//! What is done to tenants that live: a certificate is taken away, another version is asked for, they are put to sleep.

use std::time::Duration;

use futures_util::future::try_join_all;
use harness::{Error, Result, Trial};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use measure::ledger::Stage;
use serde_json::{Value, json};

use crate::rig::Rig;
use crate::sink::Wanted;
use crate::stages::{ASLEEP, AWAKE, ROTATED, ROTATION_ASKED, SLEEP_ASKED, UPGRADE_ASKED, UPGRADED, WAKE_ASKED};
use crate::tenant::{Tenant, api};

/// How often a tenant's certificate is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The apiserver's certificate of every tenant is deleted; over when each has another one and its Deployment is rolled out
/// with it.
pub(super) async fn rotate(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let spec = rig.spec("rotate", rig.all(), (ROTATION_ASKED, ROTATED), &[(ROTATION_ASKED, ROTATED)]);
    let (edge, _meddling) = rig.begin("rotate").await;
    let action = async { try_join_all(rig.tenants.iter().map(|tenant| rotated(rig, tenant))).await.map(drop) };
    let outcome = trial.phase(spec, action).await;
    edge.record(trial, "rotate", rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}

async fn rotated(rig: &Rig, tenant: &Tenant) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let deployments: Api<Deployment> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let name = format!("{}-api-server-certificate", tenant.name);
    let what = || Error::api(format!("cannot rotate {name}"));
    let before = deployments.get(&tenant.name).await.map_err(what())?.metadata.generation;
    rig.mark(tenant, ROTATION_ASKED);
    secrets.delete(&name, &DeleteParams::default()).await.map_err(what())?;
    loop {
        let made = secrets.get_metadata_opt(&name).await.map_err(what())?.is_some();
        let deployment = deployments.get(&tenant.name).await.map_err(what())?;
        if made && deployment.metadata.generation > before && is_rolled_out(&deployment) {
            rig.mark(tenant, ROTATED);
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == wanted
        && status.ready_replicas == wanted
        && status.replicas == wanted
}

/// Every tenant is asked for the row's other version.
pub(super) async fn upgrade(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let version = rig.row.upgrade_to.clone();
    let patch = json!({"spec": {"kubernetes": {"version": version}}});
    change(trial, rig, "upgrade", Wanted::Version(version), patch, (UPGRADE_ASKED, UPGRADED)).await
}

/// Every tenant is scaled to 0 and back.
pub(super) async fn sleep(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let replicas = |count: u32| json!({"spec": {"controlPlane": {"deployment": {"replicas": count}}}});
    let own = rig.row.replicas;
    change(trial, rig, "sleep", Wanted::Sleep, replicas(0), (SLEEP_ASKED, ASLEEP)).await?;
    change(trial, rig, "wake", Wanted::Awake(own), replicas(own), (WAKE_ASKED, AWAKE)).await
}

async fn change(
    trial: &mut Trial,
    rig: &mut Rig,
    name: &'static str,
    wanted: Wanted,
    patch: Value,
    (from, to): (Stage, Stage),
) -> Result<()> {
    let spec = rig.spec(name, rig.all(), (from, to), &[(from, to)]);
    let (edge, _meddling) = rig.begin(name).await;
    rig.ask(wanted);
    let action = async {
        let api = api(&rig.client, &rig.namespace);
        for tenant in &*rig.tenants {
            rig.mark(tenant, from);
            let patched = api.patch(&tenant.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map_err(Error::api(format!("cannot change TenantControlPlane {}", tenant.name)))?;
        }
        Ok(())
    };
    let outcome = trial.phase(spec, action).await;
    rig.ask(Wanted::Nothing);
    edge.record(trial, name, rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}
