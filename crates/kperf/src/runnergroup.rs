//! `kperf runnergroup`: several runners of one profile, whose state is in the cluster.
//!
//! A group is a Job; its profile and what its runners found are ConfigMaps that the Job owns. So every machine that
//! reaches the cluster can ask for status and result, and nothing is lost with a connection. kperf keeps a server Pod for
//! this, and the result in that Pod.
//!
//! Where Pods really run, the Job's do (driver `job`). Where they are simulated, the same runners are processes of the
//! machine that started the group (driver `local`): the Job has a `managedBy`, so that the Job controller leaves it alone,
//! and a process of ours writes its status.

mod local;
mod objects;
mod runner;
mod spec;
mod store;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::columns::columns;
use crate::error::{Error, Result};
use crate::nodepool::Affinity;
use crate::report::{Format, Latency, of_group};
use crate::say;
pub use local::supervise;
pub use objects::{FlowControl, GROUP_LABEL, RUNNER};
pub use runner::run_one;
pub use spec::GroupSpec;
pub use store::{Group, State, delete, groups};

/// The namespace of everything about groups.
pub const NAMESPACE: &str = "runnergroups-kperf-io";
const LOOK: Duration = Duration::from_millis(500);

/// Where the runners of a group run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Driver {
    /// In Pods, if the cluster has a node that is not simulated; else on this machine.
    #[default]
    Auto,
    /// In the Pods of a Job.
    Job,
    /// As processes of this machine.
    Local,
}

/// What is asked of a group.
#[derive(Debug)]
pub struct RunGroups {
    /// The kubeconfig; found as kubectl does where none is named.
    pub kubeconfig: Option<PathBuf>,
    /// URIs of specs: `file:///path`, `configmap://name?namespace=ns&specName=key`.
    pub specs: Vec<String>,
    /// Image of the runners' Pods.
    pub image: Option<String>,
    /// Priority of their requests.
    pub flow_control: FlowControl,
    /// Labels of the nodes that may run them; more than those of the spec.
    pub affinity: Affinity,
    /// How much a runner says.
    pub verbosity: u8,
    /// Where they run.
    pub driver: Driver,
}

/// Starts groups, and does not wait for them.
///
/// # Errors
/// When a spec is refused, or the apiserver refuses an object.
pub async fn run(asked: &RunGroups) -> Result<()> {
    let client = crate::client(asked.kubeconfig.clone()).await?;
    let mut specs = Vec::new();
    for uri in &asked.specs {
        specs.push(spec::load(&client, uri).await?);
    }
    let driver = match asked.driver {
        Driver::Auto if has_real_nodes(&client).await? => Driver::Job,
        Driver::Auto => Driver::Local,
        driver => driver,
    };
    let image = match (driver, &asked.image) {
        (Driver::Job, None) => {
            return Err(Error::Usage(
                "--runner-image is needed, because the runners of this cluster run in Pods; `cargo xtask runner-image` in \
                 a checkout of kubedyno makes one"
                    .to_owned(),
            ));
        }
        (_, image) => image.clone().unwrap_or_else(|| "kperf".to_owned()),
    };
    for mut spec in specs {
        spec.node_affinity.extend(asked.affinity.clone());
        let name = store::create(&client, &spec, driver, &image, asked).await?;
        if driver == Driver::Local {
            local::start(&name, asked)?;
        }
    }
    Ok(())
}

/// The table of groups.
pub fn table(groups: &[Group]) -> String {
    let rows: Vec<[String; 6]> = groups
        .iter()
        .map(|group| {
            [
                group.name.clone(),
                group.count.to_string(),
                group.succeeded.to_string(),
                group.failed.to_string(),
                group.state.to_string(),
                group.started.clone().unwrap_or_else(|| "unknown".to_owned()),
            ]
        })
        .collect();
    columns(["NAME", "COUNT", "SUCCEEDED", "FAILED", "STATE", "START"], &rows)
}

/// What the runners of a group found, together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupResult {
    /// The group, as it was when its runners were over.
    pub group: Group,
    /// Runners that left no result.
    pub missing: u32,
    /// The results of the others, added up.
    pub json: Vec<u8>,
}

impl GroupResult {
    /// Whether it is of all that the group was to send: no runner is missing, and none was stopped before its end.
    pub fn is_whole(&self) -> bool {
        self.missing == 0 && self.group.failed == 0
    }
}

/// The result of a group: of the one that there is, where none is named.
///
/// # Errors
/// When there is no such group, when it is not over within `timeout`, and when no runner left a result.
pub async fn result(
    client: &Client,
    name: Option<&str>,
    timeout: Option<Duration>,
    format: Format,
    latency: Latency,
) -> Result<GroupResult> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    let group = loop {
        match store::one(client, name).await {
            Ok(group) if group.state == State::Finished => break group,
            Ok(group) if until.is_none_or(|until| Instant::now() > until) => {
                return Err(Error::TimedOut(format!(
                    "group {} is {}: {} of {} runners are over",
                    group.name,
                    group.state,
                    group.succeeded + group.failed,
                    group.count
                )));
            }
            // An apiserver that is started again is there again in seconds, and so is the group.
            Err(error) if error.is_usage() || until.is_none_or(|until| Instant::now() > until) => return Err(error),
            _ => tokio::time::sleep(LOOK).await,
        }
    };
    let results = store::results(client, &group.name).await?;
    let Some(target) = results.first().map(|result| result.target.clone()) else {
        return Err(Error::TimedOut(format!("no runner of group {} left a result", group.name)));
    };
    let missing = group.count.saturating_sub(results.len() as u32);
    if missing > 0 {
        say(&format!("warning: {missing} of {} runners left no result", group.count));
    }
    if group.failed > missing {
        let (cut, of) = (group.failed - missing, group.count);
        say(&format!(
            "warning: {cut} of {of} runners ended before their load did: the result is what they had until then"
        ));
    }
    let runners: Vec<_> = results.into_iter().map(|result| result.phases).collect();
    Ok(GroupResult { group, missing, json: of_group(&target, &runners, format, latency) })
}

/// Whether a Pod would really run somewhere.
async fn has_real_nodes(client: &Client) -> Result<bool> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = api.list_metadata(&ListParams::default()).await.map_err(Error::api("cannot list nodes"))?;
    let simulated =
        |annotations: &std::collections::BTreeMap<String, String>| annotations.contains_key("kwok.x-k8s.io/node");
    Ok(nodes.items.iter().any(|node| !node.metadata.annotations.as_ref().is_some_and(simulated)))
}
