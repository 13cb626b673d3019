//! Tenants of one DataStore whose names begin alike: one is deleted, and not one key of the others may change. Beside it,
//! what the role of each may touch.

use std::sync::Arc;
use std::time::Duration;

use cluster::Shell;
use harness::{Account, Error, Goal, PhaseSpec, Result, Trial};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use measure::Seen;

use crate::lifecycle::{create, delete};
use crate::management::Etcdctl;
use crate::parameters::Benchmark;
use crate::rig::{Meddler, Rig};
use crate::tenant::{Tenant, api};

/// Their names; the first is deleted.
const NAMES: [&str; 3] = ["a", "a1", "a-1"];
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Keys that a record names.
const NAMED: usize = 5;

/// Creates the tenants with their apiservers, stops these, deletes the first tenant, and compares what etcd holds.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Benchmark, meddler: Option<Arc<dyn Meddler>>) -> Result<()> {
    let mut rig = Rig::start(trial, row, NAMES.map(str::to_owned), meddler).await?;
    let outcome = phases(trial, &mut rig).await;
    rig.end(trial, outcome).await
}

async fn phases(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    create::create(trial, rig).await?;
    create::usable(trial, rig).await?;
    let etcd = rig.management.datastores[0].administrator().clone();
    reach(trial, rig, &etcd).await?;
    // What the others' apiservers write is theirs; only who deletes is looked at.
    rig.end_apiservers(trial);
    let before = etcd.account().await?;
    trial.metric("keys_of_others", (before.keys.len() - before.below(&prefix(rig, &rig.tenants[0]))) as f64);
    delete_first(trial, rig).await?;
    let after = etcd.account().await?;
    let own = prefix(rig, &rig.tenants[0]);
    let changed = after.changed_since(&before, &own);
    trial.metric("keys_of_others_changed", changed.len() as f64);
    trial.metric("keys_of_deleted_left", after.below(&own) as f64);
    for key in changed.iter().take(NAMED) {
        trial.note(format!("key of another tenant changed when {} was deleted: {key}", NAMES[0]));
    }
    delete::delete(trial, rig).await
}

fn prefix(rig: &Rig, tenant: &Tenant) -> Vec<u8> {
    format!("/{}/", tenant.schema(&rig.namespace)).into_bytes()
}

/// How many tenants' roles reach keys of others, and how many keys of others one tenant could in fact read with its own
/// certificate.
async fn reach(trial: &mut Trial, rig: &Rig, etcd: &Etcdctl) -> Result<()> {
    let mut reaching = 0;
    for tenant in &*rig.tenants {
        let permissions = etcd.permissions(&tenant.schema(&rig.namespace)).await?;
        let others = rig.tenants.iter().filter(|other| other.name != tenant.name).map(|other| prefix(rig, other));
        let reached = others.filter(|other| permissions.iter().any(|permission| permission.reaches(other))).count();
        if reached > 0 {
            reaching += 1;
            trial.note(format!("the role of {} reaches the keys of {reached} other tenants", tenant.name));
        }
    }
    trial.metric("roles_that_reach_others", f64::from(reaching));
    let (crt, key) = certificate(rig, &rig.tenants[0]).await?;
    let mut read = 0;
    for other in &rig.tenants[1..] {
        let prefix = String::from_utf8_lossy(&prefix(rig, other)).into_owned();
        // A refusal is what should come.
        let keys = etcd.run_as(&crt, &key, &["get", &prefix, "--prefix", "--keys-only"]).await.unwrap_or_default();
        read += keys.lines().filter(|line| !line.is_empty()).count();
    }
    trial.metric("keys_of_others_that_a_tenant_read", read as f64);
    Ok(())
}

/// The certificate by which a tenant's apiserver is known to etcd.
async fn certificate(rig: &Rig, tenant: &Tenant) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let name = format!("{}-datastore-certificate", tenant.name);
    let secret = secrets.get(&name).await.map_err(Error::api(format!("cannot read Secret {name}")))?;
    let path = |file: &str| rig.management.directory.join(format!("{}-{file}", tenant.name));
    for file in ["server.crt", "server.key"] {
        let value = secret.data.as_ref().and_then(|data| data.get(file));
        let value = value.ok_or_else(|| Error::Environment(format!("Secret {name} has no {file}")))?;
        Shell::real().write(&path(file), &value.0)?;
    }
    Ok((path("server.crt"), path("server.key")))
}

async fn delete_first(trial: &mut Trial, rig: &Rig) -> Result<()> {
    let account = Account::new(&["delete asked", "gone"]);
    let cohort = account.ledger().cohort("the tenant that is deleted", 1);
    let spec = PhaseSpec {
        name: "delete-one",
        account: account.clone(),
        cohorts: vec![cohort],
        also: None,
        goal: Goal::Expected,
        from: 0,
        to: 1,
        stages: vec![(0, 1)],
        gap: None,
        rule: rig.row.rule(),
    };
    let tenant = &rig.tenants[0];
    let action = async {
        let api = api(&rig.client, &rig.namespace);
        let what = || Error::api(format!("cannot delete TenantControlPlane {}", tenant.name));
        account.ledger().mark(&tenant.name, cohort, 0, rig.clock.elapsed(), Seen::Event);
        api.delete(&tenant.name, &DeleteParams::background()).await.map_err(what())?;
        while api.get_metadata_opt(&tenant.name).await.map_err(what())?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        account.ledger().mark(&tenant.name, cohort, 1, rig.clock.elapsed(), Seen::Event);
        Ok(())
    };
    let (_, _meddling) = rig.begin("delete-one").await;
    trial.phase(spec, action).await
}
