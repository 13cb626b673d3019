//! Something breaks while tenants are created, or was wrong from the beginning: whatever happens is told, and nothing is
//! left behind once it is repaired and the tenants are deleted.

use std::time::Duration;

use harness::{Error, Result, Trial};
use kube::api::{DeleteParams, PostParams};

use crate::lifecycle::{create, delete};
use crate::parameters::Benchmark;
use crate::rig::Rig;
use crate::stages::READY;
use crate::tenant::{Shape, Tenant, api, benchmark_names, datastores};

/// The share of the tenants that are Ready when the operator is killed.
const SHARE: f64 = 0.3;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator is killed when some tenants are Ready, and started again.
    OperatorKilled,
    /// The last DataStore is down before the first tenant comes; it is started again when the phase is over.
    StoreDown,
    /// Nothing breaks: the row itself is wrong.
    None,
}

/// Creates tenants through a fault, repairs it, deletes them and looks for what is left. The phase that the fault stopped
/// is the trial's outcome.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Benchmark, fault: Fault) -> Result<()> {
    let mut rig = Rig::start(trial, row, benchmark_names(row.tenants), None).await?;
    let outcome = through(trial, &mut rig, fault).await;
    rig.end(trial, outcome).await
}

async fn through(trial: &mut Trial, rig: &mut Rig, fault: Fault) -> Result<()> {
    let created = match fault {
        Fault::OperatorKilled => killed(trial, rig).await,
        Fault::StoreDown => {
            if let Some(store) = rig.management.datastores.last_mut() {
                trial.expect_death(store.component().process);
                store.kill();
            }
            create::create(trial, rig).await
        }
        Fault::None => create::create(trial, rig).await,
    };
    let created = created.map_err(|error| rig.explain(error));
    if let (Fault::StoreDown, Some(store)) = (fault, rig.management.datastores.last_mut()) {
        store.start_again(&rig.management.supervisor).await?;
        trial.observe(store.component());
    }
    let deleted = delete::delete(trial, rig).await;
    created.and(deleted)
}

/// The operator dies in the middle of its work, as a node's failure would do it.
async fn killed(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let spec = rig.spec("create", rig.all(), (crate::stages::APPLIED, READY), &[(crate::stages::APPLIED, READY)]);
    trial.expect_death(rig.management.operator.component().process);
    let supervisor = std::sync::Arc::clone(&rig.management.supervisor);
    let action = async {
        create::arrive(rig).await?;
        while (rig.account.ledger().count(&rig.all(), READY) as f64) < SHARE * f64::from(rig.row.tenants) {
            tokio::time::sleep(LOOK).await;
        }
        rig.management.operator.kill();
        rig.management.operator.start_again(&supervisor).await
    };
    let outcome = trial.phase(spec, action).await;
    trial.observe(rig.management.operator.component());
    outcome
}

/// What is asked for and has to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A tenant of a version that the operator does not know.
    UnknownVersion,
    /// A tenant whose name is longer than a Service's may be.
    LongName,
    /// The deletion of a DataStore that a tenant uses.
    StoreInUse,
    /// A tenant while nobody answers the operator's webhooks.
    NobodyAnswers,
}

/// Asks for it. The refusal is the trial's outcome; when there is none, that is.
///
/// # Errors
/// The refusal, in the apiserver's words.
pub async fn ask(trial: &mut Trial, row: &Benchmark, request: Request) -> Result<()> {
    let mut rig = Rig::start(trial, row, benchmark_names(row.tenants), None).await?;
    let outcome = asked(trial, &mut rig, request).await;
    rig.end(trial, outcome).await
}

async fn asked(trial: &mut Trial, rig: &mut Rig, request: Request) -> Result<()> {
    let tenant = rig.tenants[0].clone();
    match request {
        Request::UnknownVersion => one(rig, &tenant, "v1.99.0").await,
        Request::LongName => one(rig, &Tenant { name: "x".repeat(64), ..tenant }, &rig.row.version).await,
        Request::StoreInUse => {
            create::create(trial, rig).await?;
            let deleted = datastores(&rig.client).delete(&tenant.datastore, &DeleteParams::default()).await;
            let deleted = deleted.map(drop).map_err(Error::api(format!("cannot delete {}", tenant.datastore)));
            delete::delete(trial, rig).await?;
            deleted
        }
        Request::NobodyAnswers => {
            trial.expect_death(rig.management.operator.component().process);
            rig.management.operator.kill();
            one(rig, &tenant, &rig.row.version).await
        }
    }
}

async fn one(rig: &Rig, tenant: &Tenant, version: &str) -> Result<()> {
    let Rig { row, namespace, labels, .. } = rig;
    let what = || Error::api(format!("cannot create TenantControlPlane {}", tenant.name));
    let object = tenant.object(&Shape { namespace, labels, version, replicas: row.replicas });
    let object = serde_json::from_value(object).map_err(|error| what()(kube::Error::SerdeError(error)))?;
    api(&rig.client, namespace).create(&PostParams::default(), &object).await.map(drop).map_err(what())
}
