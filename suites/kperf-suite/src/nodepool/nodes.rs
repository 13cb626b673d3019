//! The nodes of a pool: made, waited for, deleted, and every one of them accounted for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{NodeShape, create_nodes, node};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Change, Error, Goal, Object, PhaseSpec, Result, Sink, Trial, WatchSpec};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::DeleteParams;
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};

use super::ours;

/// Nodes that are deleted at once.
const DELETES_AT_ONCE: usize = 8;

const STAGES: &[&str] = &["intended", "acknowledged", "observed", "ready", "delete requested", "gone"];
const INTENDED: Stage = 0;
const ACKNOWLEDGED: Stage = 1;
const OBSERVED: Stage = 2;
const READY: Stage = 3;
const DELETE: Stage = 4;
const GONE: Stage = 5;

/// A pool as `kperf vc nodepool add` makes it.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Its name, as kperf labels its nodes.
    pub(crate) name: String,
    /// What the names of its nodes begin with, before `-0`, `-1`, ….
    pub(crate) prefix: String,
    /// How many there are.
    pub(crate) count: u32,
    /// What each has.
    pub(crate) shape: NodeShape,
}

/// The nodes of a pool, in a trial.
pub(crate) struct Nodes {
    pool: Pool,
    client: kube::Client,
    labels: BTreeMap<String, String>,
    clock: Instant,
    account: Account,
    cohort: CohortId,
    rule: StallRule,
}

impl Nodes {
    /// Opens their account and the watch that stamps it.
    pub(crate) async fn watched(trial: &mut Trial, pool: Pool, rule: StallRule) -> Result<Self> {
        let account = Account::new(STAGES);
        let cohort = account.ledger().cohort(&pool.name, pool.count as usize);
        let sink = NodeSink { account: account.clone(), cohort };
        let spec = WatchSpec { path: "/api/v1/nodes".to_owned(), selector: ours(trial), tamper: None };
        trial.watch("nodes", &account, spec, sink).await?;
        Ok(Self {
            pool,
            client: trial.client().clone(),
            labels: trial.cluster_labels(),
            clock: trial.clock(),
            account,
            cohort,
            rule,
        })
    }

    /// The phase in which they come.
    pub(crate) fn creation(&self) -> PhaseSpec {
        PhaseSpec {
            stages: vec![(INTENDED, ACKNOWLEDGED), (INTENDED, OBSERVED), (OBSERVED, READY)],
            gap: Some((OBSERVED, READY)),
            ..self.phase("create-nodes", (INTENDED, READY))
        }
    }

    /// Makes them, with kperf's labels and taint.
    pub(crate) async fn create(&self) -> Result<()> {
        let labels = self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let labels: Vec<_> =
            labels.chain([("type", "kperf-virtualnodes"), ("alpha.kperf.io/nodepool", &self.pool.name)]).collect();
        let taints = [("kperf.io/nodepool", "fake", "NoSchedule")];
        // The iterator is pulled when a request is about to be sent, so that is when the node is intended.
        let nodes = (0..self.pool.count).map(|i| {
            let name = self.name(i);
            self.stamp(&name, INTENDED);
            node(&name, &self.pool.shape, &labels, &taints)
        });
        create_nodes(&self.client, nodes, |name| self.stamp(name, ACKNOWLEDGED)).await?;
        Ok(())
    }

    /// The phase in which they go.
    pub(crate) fn deletion(&self) -> PhaseSpec {
        PhaseSpec { goal: Goal::AllSeen, ..self.phase("delete-nodes", (DELETE, GONE)) }
    }

    /// Deletes them, each by its name.
    pub(crate) async fn delete(&self) -> Result<()> {
        let api: Api<Node> = Api::all(self.client.clone());
        let delete = async |i: u32| {
            let name = self.name(i);
            self.stamp(&name, DELETE);
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete node {name}")))
        };
        stream::iter(0..self.pool.count).map(delete).buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    fn stamp(&self, name: &str, stage: Stage) {
        self.account.ledger().mark(name, self.cohort, stage, self.clock.elapsed(), Seen::Event);
    }

    fn name(&self, i: u32) -> String {
        format!("{}-{i}", self.pool.prefix)
    }

    fn phase(&self, name: &'static str, between: (Stage, Stage)) -> PhaseSpec {
        PhaseSpec::new(name, &self.account, vec![self.cohort], between, self.rule)
    }
}

struct NodeSink {
    account: Account,
    cohort: CohortId,
}

impl Sink for NodeSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let name = &object.metadata.name;
        let mut ledger = self.account.ledger();
        ledger.mark(name, self.cohort, OBSERVED, at, seen);
        if object.is("Ready") {
            ledger.mark(name, self.cohort, READY, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, self.cohort, GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}
