//! The two clocks: until the tenants are Ready, and until they are usable.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Error, Result, Trial};
use kube::api::PostParams;
use tokio::sync::Semaphore;

use crate::parameters::Arrival;
use crate::rig::Rig;
use crate::stages::{ANSWERS, APPLIED, OBSERVED, READY, STARTED, USABLE};
use crate::tenant::{Shape, Tenant, api};
use crate::usable::{Probe, Shown, TenantApiserver};

/// Requests that a burst has under way at once.
const BURST: usize = 16;
/// Apiservers that start at once: each takes a core for some seconds.
const STARTING: usize = 2;
/// How often a tenant is asked.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// "Once all the required components have been deployed, a simple bash for loop can be used to deploy the TCP resources."
pub(crate) async fn create(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let stages = [(APPLIED, OBSERVED), (OBSERVED, READY), (APPLIED, READY)];
    let spec = rig.spec("create", rig.all(), (APPLIED, READY), &stages);
    let (edge, _meddling) = rig.begin("create").await;
    let outcome = trial.phase(spec, arrive(rig)).await;
    edge.record(trial, "create", rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    rig.growth.record(trial)?;
    outcome
}

pub(crate) async fn arrive(rig: &Rig) -> Result<()> {
    match rig.row.arrival {
        Arrival::OneByOne => {
            for tenant in &*rig.tenants {
                apply(rig, tenant).await?;
            }
            Ok(())
        }
        Arrival::Burst => {
            let all = stream::iter(&*rig.tenants).map(async |tenant| apply(rig, tenant).await);
            all.buffer_unordered(BURST).try_collect().await
        }
        Arrival::Batches => {
            let size = rig.row.batch.max(1) as usize;
            for (i, batch) in rig.tenants.chunks(size).enumerate() {
                let all = stream::iter(batch).map(async |tenant| apply(rig, tenant).await);
                all.buffer_unordered(BURST).try_collect::<()>().await?;
                let due = rig.tenants.len().min((i + 1) * size);
                while rig.account.ledger().count(&rig.all(), READY) < due {
                    tokio::time::sleep(ASKED_EVERY).await;
                }
                rig.growth.add(rig.clock.elapsed(), due, &rig.management).await;
            }
            Ok(())
        }
        Arrival::Paced => {
            let began = tokio::time::Instant::now();
            let pace = Duration::from_millis(rig.row.pace_ms);
            let due = async |(i, tenant): (usize, &Tenant)| {
                tokio::time::sleep_until(began + pace * i as u32).await;
                apply(rig, tenant).await
            };
            try_join_all(rig.tenants.iter().enumerate().map(due)).await.map(drop)
        }
    }
}

async fn apply(rig: &Rig, tenant: &Tenant) -> Result<()> {
    let Rig { row, namespace, labels, .. } = rig;
    let shape = Shape { namespace, labels, version: &row.version, replicas: row.replicas };
    let what = || Error::api(format!("cannot create TenantControlPlane {}", tenant.name));
    let object =
        serde_json::from_value(tenant.object(&shape)).map_err(|error| what()(kube::Error::SerdeError(error)))?;
    rig.mark(tenant, APPLIED);
    api(&rig.client, namespace).create(&PostParams::default(), &object).await.map(drop).map_err(what())
}

/// "All the Tenant Control Planes were in `Ready` state and able to handle any request."
pub(crate) async fn usable(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let stages = [(STARTED, ANSWERS), (ANSWERS, USABLE), (STARTED, USABLE)];
    let spec = rig.spec("usable", vec![rig.answering], (STARTED, USABLE), &stages);
    let program = trial.cluster_program("kube-apiserver")?.path.clone();
    let (edge, _meddling) = rig.begin("usable").await;
    let starting = Semaphore::new(STARTING);
    // Who was Ready first is started first: the operator waits for each of them, but not for ever.
    let ready: HashMap<String, Duration> = {
        let ledger = rig.account.ledger();
        let stamps = ledger.rows().filter_map(|(name, _, stamps)| Some((name.to_owned(), stamps[READY]?.0)));
        stamps.collect()
    };
    let mut order: Vec<&Tenant> = rig.usable().iter().collect();
    order.sort_by_key(|tenant| ready.get(&tenant.name).copied());
    let all = order.into_iter().map(async |tenant| {
        let permit = starting.acquire().await.ok();
        rig.mark(tenant, STARTED);
        rig.proxy.started(&tenant.name);
        let (client, namespace) = (&rig.client, &rig.namespace);
        let (directory, supervisor) = (&rig.management.directory, &rig.management.supervisor);
        let started = TenantApiserver::start(client, namespace, tenant, &program, directory, supervisor).await?;
        let mut probe = Probe::new(&started.kubeconfig, tenant.address).await?;
        rig.apiservers.lock().unwrap_or_else(PoisonError::into_inner).push(started);
        until(rig, tenant, &mut probe, Shown::Answers).await;
        rig.mark(tenant, ANSWERS);
        drop(permit);
        until(rig, tenant, &mut probe, Shown::Usable).await;
        rig.mark(tenant, USABLE);
        Ok::<_, Error>(())
    });
    let outcome = trial.phase(spec, async { try_join_all(all).await.map(drop) }).await;
    let components: Vec<_> = {
        let apiservers = rig.apiservers.lock().unwrap_or_else(PoisonError::into_inner);
        apiservers.iter().map(|apiserver| apiserver.component().clone()).collect()
    };
    components.iter().for_each(|component| trial.observe(component));
    edge.record(trial, "usable", rig.usable().len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}

/// Asks a tenant until it shows `wanted`; why it does not yet is in the ledger, for whoever gives it up.
async fn until(rig: &Rig, tenant: &Tenant, probe: &mut Probe, wanted: Shown) {
    loop {
        let shown = probe.look().await;
        if shown == wanted || shown == Shown::Usable {
            return;
        }
        rig.account.ledger().note(&tenant.name, &probe.lacks);
        tokio::time::sleep(ASKED_EVERY).await;
    }
}
