//! All tenants go, and nothing of them may stay.

use std::sync::Arc;

use harness::{Error, Result, Trial};
use kube::api::DeleteParams;

use crate::rig::Rig;
use crate::stages::{DELETE_ASKED, GONE};
use crate::tenant::api;

/// Until the last object is gone; then the leak check.
///
/// Where tenants have no apiserver, the operator is down while their deletion is asked for. It has a manager for each tenant
/// (`controllers/soot/manager.go`), which fails when the tenant has not answered for 2 minutes (`CacheSyncTimeout` of
/// controller-runtime); v1.0.0 then blocks for ever in the attempt to tell the failed manager something, and no tenant's
/// finalizer is taken off any more. An operator that starts on tenants which have to go makes no such manager.
pub(crate) async fn delete(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let spec = rig.spec("delete", rig.all(), (DELETE_ASKED, GONE), &[(DELETE_ASKED, GONE)]);
    let (edge, meddling) = rig.begin("delete").await;
    let all_answer = rig.usable().len() == rig.tenants.len();
    if !all_answer {
        trial.expect_death(rig.management.operator.component().process);
    }
    let supervisor = Arc::clone(&rig.management.supervisor);
    let action = async {
        if all_answer {
            return ask(rig).await;
        }
        rig.management.operator.kill();
        ask(rig).await?;
        rig.management.operator.start_again(&supervisor).await
    };
    let outcome = trial.phase(spec, action).await;
    drop(meddling);
    trial.observe(rig.management.operator.component());
    rig.end_apiservers(trial);
    edge.record(trial, "delete", rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome?;
    rig.leaks(trial).await
}

async fn ask(rig: &Rig) -> Result<()> {
    let api = api(&rig.client, &rig.namespace);
    for tenant in &*rig.tenants {
        rig.mark(tenant, DELETE_ASKED);
        match api.delete(&tenant.name, &DeleteParams::background()).await {
            // It is gone already.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.map_err(Error::api(format!("cannot delete TenantControlPlane {}", tenant.name)))?),
        }
    }
    Ok(())
}
