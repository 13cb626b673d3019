//! What is asked of tenants that live: another version, and to sleep and wake.

use harness::{Error, Result, Trial};
use kube::api::{Patch, PatchParams};
use measure::ledger::Stage;
use serde_json::{Value, json};

use crate::rig::Rig;
use crate::sink::Wanted;
use crate::stages::{ASLEEP, AWAKE, SLEEP_ASKED, UPGRADE_ASKED, UPGRADED, WAKE_ASKED};
use crate::tenant::api;

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
