//! IPAM without pods that come up: so many requests through each plugin, so many at once, while its pool fills to the last
//! address. The objects are there, because Spiderpool looks them up, and nobody acts on them.

use std::sync::Arc;

use cluster::{NodeShape, RUN_LABEL};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Arms, Error, PhaseSpec, Result, Trial};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use measure::ledger::{CohortId, Stage};
use measure::{Quantiles, Seen, StallRule};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::kubelet::container_id;
use crate::machines::Machines;
use crate::plugin::{Plugin, Sandbox};
use crate::system::{Families, Interpose, PluginName, System};

/// Objects that are created or deleted at once.
const OBJECTS_AT_ONCE: usize = 8;

/// Stages of a request pair.
const REQUEST: &[&str] = &["asked", "answered", "release asked", "released"];
const ASKED: Stage = 0;
const ANSWERED: Stage = 1;
const RELEASE_ASKED: Stage = 2;
const RELEASED: Stage = 3;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The plugin.
    pub plugin: PluginName,
    /// The families.
    pub families: Families,
    /// Addresses of each family in the pool, and requests for one.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub addresses: u32,
    /// Requests under way at once.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub at_once: usize,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// Parameters of a row that compares the subject with the floor in one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The families.
    pub families: Families,
    /// Addresses of each family in the pool, and requests for one.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub addresses: u32,
    /// Requests under way at once.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub at_once: usize,
    /// Measured runs of each plugin.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub repeats: usize,
    /// Runs of each before that are thrown away.
    pub warm_up: usize,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

impl Ratio {
    /// The floor, and what is compared with it.
    const NAMES: [&str; 2] = ["host_local", "spiderpool"];

    /// The two plugins as arms that take turns.
    pub fn arms(&self) -> Arms {
        Arms { names: &Self::NAMES, subjects: &Self::NAMES, repeats: self.repeats, warm_up: self.warm_up }
    }

    /// What an arm is run with.
    pub fn tier(&self, arm: &str) -> Tier {
        let Self { families, addresses, at_once, stalled_after_s, phase_limit_s, .. } = *self;
        let plugin = if arm == Self::NAMES[0] { PluginName::HostLocal } else { PluginName::Spiderpool };
        Tier { plugin, families, addresses, at_once, stalled_after_s, phase_limit_s }
    }
}

/// Fills the pool with one request after the other, or many at once, and empties it.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Tier, interpose: Option<Interpose>) -> Result<()> {
    let node = format!("worker-{}", trial.suffix());
    let nodes = vec![node.clone()];
    let _machines = Machines::register(trial.client(), &nodes, &NodeShape::default(), &trial.cluster_labels()).await?;
    let system = System {
        plugin: row.plugin,
        families: row.families,
        addresses: row.addresses,
        execs_at_once: row.at_once,
        nodes,
    };
    let plugin = system.start(trial, interpose).await?;
    let sandboxes = sandboxes(trial, &node, row.addresses).await?;
    let account = Account::new(REQUEST);
    let cohort = account.ledger().cohort("requests", sandboxes.len());
    let outcome = async {
        let spec = spec(row, "add", &account, cohort, (ASKED, ANSWERED));
        trial.phase(spec, requests(row, &account, cohort, &sandboxes, &plugin, trial.clock(), true)).await?;
        delete_objects(trial, &sandboxes).await?;
        let spec = self::spec(row, "del", &account, cohort, (RELEASE_ASKED, RELEASED));
        trial.phase(spec, requests(row, &account, cohort, &sandboxes, &plugin, trial.clock(), false)).await
    };
    let outcome = outcome.await;
    tenths(trial, &account, cohort);
    let selector = format!("{RUN_LABEL}={}", trial.run_id());
    let removed = cluster::remove_extensions(trial.client(), &selector).await;
    outcome.and(removed.map_err(Error::from))
}

fn spec(row: &Tier, name: &'static str, account: &Account, cohort: CohortId, between: (Stage, Stage)) -> PhaseSpec {
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    PhaseSpec::new(name, account, vec![cohort], between, rule)
}

/// A sandbox for each address, with a pod object that is bound to the machine.
async fn sandboxes(trial: &Trial, node: &str, count: u32) -> Result<Vec<Sandbox>> {
    let pods: Api<Pod> = Api::namespaced(trial.client().clone(), trial.namespace());
    let create = async |n: u32| {
        let name = format!("request-{n}");
        let pod = json!({
            "metadata": {"name": name, "labels": trial.labels()},
            "spec": {"nodeName": node, "containers": [{"name": "pause", "image": "pause"}]},
        });
        let pod: Pod = serde_json::from_value(pod)
            .map_err(|error| Error::api(format!("cannot write pod {name}"))(kube::Error::SerdeError(error)))?;
        let made = pods.create(&PostParams::default(), &pod).await;
        let made = made.map_err(Error::api(format!("cannot create pod {name}")))?;
        let uid = made.metadata.uid.unwrap_or_default();
        let container = container_id(&uid, 1);
        Ok::<_, Error>(Sandbox {
            node: node.to_owned(),
            namespace: trial.namespace().to_owned(),
            pod: name,
            uid,
            container,
        })
    };
    stream::iter(0..count).map(create).buffered(OBJECTS_AT_ONCE).try_collect().await
}

/// The pods have to go before Spiderpool frees their addresses; their objects stay for as long as nobody ends them.
async fn delete_objects(trial: &Trial, sandboxes: &[Sandbox]) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(trial.client().clone(), trial.namespace());
    let delete = async |sandbox: &Sandbox| {
        let deleted = pods.delete(&sandbox.pod, &DeleteParams::default()).await;
        deleted.map(drop).map_err(Error::api(format!("cannot delete pod {}", sandbox.pod)))
    };
    stream::iter(sandboxes).map(delete).buffer_unordered(OBJECTS_AT_ONCE).try_collect().await
}

/// Asks for all addresses, or for the release of all. A refusal ends the phase: here nobody competes.
async fn requests(
    row: &Tier,
    account: &Account,
    cohort: CohortId,
    sandboxes: &[Sandbox],
    plugin: &Arc<dyn Plugin>,
    clock: std::time::Instant,
    add: bool,
) -> Result<()> {
    let (asked, answered) = if add { (ASKED, ANSWERED) } else { (RELEASE_ASKED, RELEASED) };
    let request = async |sandbox: &Sandbox| {
        let mark = |stage| account.ledger().mark(&sandbox.pod, cohort, stage, clock.elapsed(), Seen::Event);
        mark(asked);
        let answer = match add {
            true => plugin.add(sandbox).await.map(drop),
            false => plugin.del(sandbox).await.and_then(|hidden| hidden.map_or(Ok(()), Err)),
        };
        answer.map_err(|failure| Error::Environment(format!("{}: {failure}", sandbox.pod)))?;
        mark(answered);
        Ok(())
    };
    stream::iter(sandboxes).map(request).buffer_unordered(row.at_once).try_collect().await
}

/// The first and the last tenth of the requests: what a request costs when the pool is empty, and when it is full.
fn tenths(trial: &mut Trial, account: &Account, cohort: CohortId) {
    for (name, from, to) in [("add", ASKED, ANSWERED), ("del", RELEASE_ASKED, RELEASED)] {
        let durations = account.ledger().durations(&[cohort], from, to);
        let tenth = (durations.len() / 10).max(1);
        let all = Quantiles::of(durations.clone());
        let first = Quantiles::of(durations.iter().take(tenth).copied().collect());
        let last = Quantiles::of(durations.iter().rev().take(tenth).copied().collect());
        let figures = [
            ("p50_ms", all.p50_ms),
            ("p99_ms", all.p99_ms),
            ("first_tenth_p50_ms", first.p50_ms),
            ("last_tenth_p50_ms", last.p50_ms),
        ];
        for (figure, value) in figures {
            if let Some(value) = value {
                trial.metric(&format!("{name}_{figure}"), value);
            }
        }
    }
}
