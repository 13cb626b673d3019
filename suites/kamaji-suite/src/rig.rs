//! A trial's parts: the management side, its tenants, what they left the operator to do, and who watches.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{RUN_LABEL, remove_extensions};
use futures_util::future::BoxFuture;
use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, WatchSpec};
use kube::Client;
use measure::ledger::{CohortId, Stage};
use tokio::task::JoinHandle;

use crate::edge::{Edge, Spent};
use crate::growth::Growth;
use crate::leaks::{Holdings, told};
use crate::management::{Etcdctl, Figures, Management};
use crate::parameters::Benchmark;
use crate::sink::{Asked, TenantSink, Wanted};
use crate::stages::TENANT;
use crate::tenant::{GROUP, Tenant, tenants};
use crate::usable::{Proxy, TenantApiserver};

/// How often what was left behind is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// What an operator that forgets its tenants has more and more of.
const LEAKS: [&str; 2] = ["goroutines", "fds"];
/// With so many times as many as before, it is back: a few connections come and go.
const ABOUT: f64 = 1.1;
/// How long an operator may take to come to rest after its start.
const AT_REST_WITHIN: Duration = Duration::from_secs(10);

/// How the Secret of a tenant is called whose finalizer Kamaji v1.0.0 can forget: it takes the tenant's own finalizer off first,
/// and does not try again when the garbage collector has touched the Secret in between
/// (`controllers/resources.go`, `internal/resources/datastore/datastore_storage_config.go`).
const STUCK: &str = "-datastore-config";
/// What comes between how a phase ended and the operator's own words.
const SAYS: &str = "; the operator says ";

/// Somebody who disturbs a running trial, for tests that show that a budget can be missed.
pub trait Meddler: Send + Sync + 'static {
    /// Does something while a phase runs, at most as long as it runs. After the last phase it is called with `leaks`, and
    /// waited for.
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()>;
}

/// What a meddler can reach.
#[derive(Clone)]
pub struct Scene {
    /// A client of the management cluster.
    pub client: Client,
    /// The tenants' namespace.
    pub namespace: String,
    /// The tenants.
    pub tenants: Arc<[Tenant]>,
    /// The administrators of the DataStores.
    pub stores: Vec<Etcdctl>,
    /// The operator's process.
    pub operator: cluster::Process,
    /// Where it serves its metrics.
    pub metrics: String,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scene({} tenants in {})", self.tenants.len(), self.namespace)
    }
}

/// Everything that a trial runs.
pub(crate) struct Rig {
    pub(crate) row: Benchmark,
    pub(crate) management: Management,
    pub(crate) proxy: Proxy,
    pub(crate) tenants: Arc<[Tenant]>,
    pub(crate) account: Account,
    /// The tenants that get an apiserver, and the others.
    pub(crate) answering: CohortId,
    pub(crate) simulated: CohortId,
    pub(crate) asked: Asked,
    pub(crate) apiservers: Arc<Mutex<Vec<TenantApiserver>>>,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) client: Client,
    pub(crate) clock: Instant,
    pub(crate) spent: Spent,
    pub(crate) growth: Growth,
    before: Holdings,
    operator_before: Option<Figures>,
    /// Whether the operator still has what it had for its tenants.
    leaking: bool,
    meddler: Option<Arc<dyn Meddler>>,
}

impl Rig {
    /// Starts everything, for tenants of these names.
    pub(crate) async fn start(
        trial: &mut Trial,
        row: &Benchmark,
        names: impl IntoIterator<Item = String>,
        meddler: Option<Arc<dyn Meddler>>,
    ) -> Result<Self> {
        let network = (std::process::id() % 200 + 20) as u8;
        let tenants: Arc<[Tenant]> = tenants(names, row.datastores, network).into();
        let proxy = Proxy::start(&tenants).await?;
        let management = Management::start(trial, row, proxy.url()).await?;
        let account = Account::new(TENANT);
        let usable = (row.usable as usize).min(tenants.len());
        let answering = account.ledger().cohort("tenants with an apiserver", usable);
        let simulated = account.ledger().cohort("tenants without an apiserver", tenants.len() - usable);
        let cohort = |i: usize| if i < usable { answering } else { simulated };
        let cohorts: HashMap<String, CohortId> =
            tenants.iter().enumerate().map(|(i, tenant)| (tenant.name.clone(), cohort(i))).collect();
        let asked = Asked::default();
        let path = format!("/apis/{GROUP}/v1alpha1/namespaces/{}/tenantcontrolplanes", trial.namespace());
        let selector = format!("{RUN_LABEL}={}", trial.run_id());
        let sink = TenantSink { account: account.clone(), cohorts, asked: Arc::clone(&asked) };
        trial.watch("tenants", &account, WatchSpec { path, selector, tamper: None }, sink).await?;
        let before = Holdings::now(trial.client(), trial.namespace(), &management.datastores).await?;
        let operator_before = management.operator.figures_at_rest(AT_REST_WITHIN).await;
        Ok(Self {
            row: row.clone(),
            management,
            proxy,
            tenants,
            account,
            answering,
            simulated,
            asked,
            apiservers: Arc::default(),
            namespace: trial.namespace().to_owned(),
            labels: trial.labels(),
            client: trial.client().clone(),
            clock: trial.clock(),
            spent: Spent::default(),
            growth: Growth::default(),
            before,
            operator_before,
            leaking: false,
            meddler,
        })
    }

    /// All tenants.
    pub(crate) fn all(&self) -> Vec<CohortId> {
        vec![self.answering, self.simulated]
    }

    /// The tenants that get an apiserver.
    pub(crate) fn usable(&self) -> &[Tenant] {
        &self.tenants[..(self.row.usable as usize).min(self.tenants.len())]
    }

    /// Tells the watch what the tenants were asked for.
    pub(crate) fn ask(&self, wanted: Wanted) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    /// Stamps a stage of a tenant now.
    pub(crate) fn mark(&self, tenant: &Tenant, stage: Stage) {
        let usable = self.usable().iter().any(|usable| usable.name == tenant.name);
        let cohort = if usable { self.answering } else { self.simulated };
        let now = self.clock.elapsed();
        self.account.ledger().mark(&tenant.name, cohort, stage, now, measure::Seen::Event);
    }

    /// Stamps a stage of all tenants of `cohorts` now.
    pub(crate) fn mark_all(&self, cohorts: &[CohortId], stage: Stage) {
        let now = self.clock.elapsed();
        cohorts.iter().for_each(|cohort| self.account.ledger().mark_cohort(*cohort, stage, now));
    }

    /// A phase over `stages`, given up by the row's rule.
    pub(crate) fn spec(
        &self,
        name: &'static str,
        cohorts: Vec<CohortId>,
        (from, to): (Stage, Stage),
        stages: &[(Stage, Stage)],
    ) -> PhaseSpec {
        let (account, stages, rule) = (self.account.clone(), stages.to_vec(), self.row.rule());
        PhaseSpec { name, account, cohorts, also: None, goal: Goal::Expected, from, to, stages, gap: None, rule }
    }

    /// What is counted when a phase begins; the meddler begins with it.
    pub(crate) async fn begin(&self, phase: &'static str) -> (Edge, Option<Meddling>) {
        let edge = Edge::now(&self.management, &self.proxy).await;
        (edge, self.meddler.as_ref().map(|meddler| Meddling(tokio::spawn(meddler.beside(phase, self.scene())))))
    }

    /// Waits until nothing is left of the tenants, and says what is.
    pub(crate) async fn leaks(&mut self, trial: &mut Trial) -> Result<()> {
        if let Some(meddler) = &self.meddler {
            meddler.beside("leaks", self.scene()).await;
        }
        let began = Instant::now();
        let left = loop {
            let mut left = self.holdings().await?;
            let secrets = left.remove("secrets").unwrap_or_default();
            let (stuck, secrets) = secrets.into_iter().partition(|name| name.ends_with(STUCK));
            left.insert("secrets", secrets);
            left.insert("datastore_secrets", stuck);
            let over = left.values().all(Vec::is_empty);
            if over || began.elapsed().as_secs() >= self.row.leaks_within_s {
                break left;
            }
            tokio::time::sleep(LOOK).await;
        };
        trial.metric("gone_within_s", began.elapsed().as_secs_f64());
        self.operator_leaks(trial, began).await;
        for (what, names) in &left {
            trial.metric(&format!("{what}_left"), names.len() as f64);
            if !names.is_empty() {
                trial.note(told(what, names));
            }
        }
        Ok(())
    }

    /// What the operator still has of its tenants, beyond what it had before the first, until it is about back or its time
    /// is over: it ends its managers some while after the last object of their tenants is gone. Where it was started
    /// again meanwhile, this is of the last process: it had a manager for each tenant, and saw them go, but did not create
    /// them.
    async fn operator_leaks(&mut self, trial: &mut Trial, began: Instant) {
        let Some(was) = &self.operator_before else { return };
        let back = |is: &Figures| LEAKS.iter().all(|gauge| is.get(gauge) <= was.get(gauge).map(|was| was * ABOUT));
        let now = loop {
            let now = self.management.operator.figures().await;
            let over = now.as_ref().is_some_and(back) || began.elapsed().as_secs() >= self.row.leaks_within_s;
            if over {
                break now;
            }
            tokio::time::sleep(LOOK).await;
        };
        let Some(is) = &now else { return };
        let leaking = !back(is);
        for gauge in LEAKS {
            if let (Some(was), Some(is)) = (was.get(gauge), is.get(gauge)) {
                trial.metric(&format!("operator_{gauge}_left"), (is - was).max(0.0));
            }
        }
        if let (Some(was), Some(is)) = (was.get("rss_bytes"), is.get("rss_bytes")) {
            trial.metric("operator_mib_left", (is - was).max(0.0) / f64::from(1 << 20));
        }
        self.leaking = leaking;
    }

    /// What the tenants hold now, beyond what was there before them.
    pub(crate) async fn holdings(&self) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let now = Holdings::now(&self.client, &self.namespace, &self.management.datastores).await?;
        Ok(now.beyond(&self.before))
    }

    /// Ends the tenants' apiservers, as the ends of their pods would.
    pub(crate) fn end_apiservers(&self, trial: &Trial) {
        let mut apiservers = self.apiservers.lock().unwrap_or_else(PoisonError::into_inner);
        for apiserver in apiservers.iter_mut() {
            trial.expect_death(apiserver.component().process);
            apiserver.kill();
        }
    }

    /// Takes away what the API was extended with, while the operator that serves it still runs. One that leaks has to tell
    /// of its goroutines in the end.
    pub(crate) async fn end(self, trial: &mut Trial, outcome: Result<()>) -> Result<()> {
        let outcome = outcome.map_err(|error| self.explain(error));
        self.end_apiservers(trial);
        let selector = format!("{RUN_LABEL}={}", trial.run_id());
        let removed = remove_extensions(trial.client(), &selector).await;
        if self.leaking {
            trial.expect_death(self.management.operator.component().process);
            if let Some(goroutines) = self.management.operator.goroutines() {
                trial.drop_in("operator-goroutines.txt", &goroutines)?;
            }
        }
        outcome.and(removed.map_err(Error::from))
    }

    /// Why a phase did not complete, as the operator tells it.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match (error, self.management.operator.complaint()) {
            (Error::Phase { phase, end, verdict }, Some(complaint)) if !end.contains(SAYS) => {
                Error::Phase { phase, end: format!("{end}{SAYS}{complaint}"), verdict }
            }
            (error, _) => error,
        }
    }

    fn scene(&self) -> Scene {
        Scene {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            tenants: Arc::clone(&self.tenants),
            stores: self.management.datastores.iter().map(|store| store.administrator().clone()).collect(),
            operator: self.management.operator.component().process,
            metrics: self.management.operator.metrics().to_owned(),
        }
    }
}

/// A meddler at work, who stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Meddling(JoinHandle<()>);

impl Drop for Meddling {
    fn drop(&mut self) {
        self.0.abort();
    }
}
