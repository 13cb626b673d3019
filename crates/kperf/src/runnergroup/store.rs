//! Groups in the cluster: a Job, and the ConfigMaps that it owns.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::objects::{self, GROUP_LABEL, PROFILE, RESULT, RUNNER, typed};
use super::spec::GroupSpec;
use super::{Driver, NAMESPACE, RunGroups};
use crate::error::{Error, Result};
use crate::objects::ensure_namespace;
use crate::profile::LoadProfile;
use crate::report::Part;
use crate::say;

/// How long the namespace may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// A group, as its Job tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Runners.
    pub count: u32,
    /// Those that sent all of their load and left a result.
    pub succeeded: u32,
    /// Those that did not.
    pub failed: u32,
    /// How far it is.
    pub state: State,
    /// When it began, RFC 3339.
    pub started: Option<String>,
}

/// How far a group is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Nothing has begun yet.
    Unknown,
    /// Runners are at work.
    Running,
    /// All are over.
    Finished,
}

/// What a runner found, as its ConfigMap holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunnerResult {
    /// Its number in the group.
    pub(super) index: u32,
    /// The apiserver that it asked.
    pub(super) target: String,
    /// What came of each phase.
    pub(super) phases: Vec<Part>,
}

/// Creates the objects of a group; its name is the next one that is free.
pub(super) async fn create(
    client: &Client,
    spec: &GroupSpec,
    driver: Driver,
    image: &str,
    asked: &RunGroups,
) -> Result<String> {
    ensure_namespace(client, NAMESPACE).await?;
    if driver == Driver::Job {
        let [account, role, binding, flow] = objects::rights(&asked.flow_control);
        ensure(&Api::<ServiceAccount>::namespaced(client.clone(), NAMESPACE), account).await?;
        ensure(&Api::<ClusterRole>::all(client.clone()), role).await?;
        ensure(&Api::<ClusterRoleBinding>::all(client.clone()), binding).await?;
        ensure(&Api::<FlowSchema>::all(client.clone()), flow).await?;
    }
    let taken: Vec<String> = groups(client).await?.into_iter().map(|group| group.name).collect();
    // kperf's only group is called runnergroup-server-0.
    let free = (0..).map(|index| format!("runnergroup-server-{index}")).find(|name| !taken.contains(name));
    let name = free.unwrap_or_default();
    let job = objects::job(&name, spec, driver, image, asked.verbosity);
    let job = typed(job).map_err(Error::api("cannot write the Job"))?;
    let created = jobs(client).create(&PostParams::default(), &job).await;
    let job = created.map_err(Error::api(format!("cannot create Job {name}")))?;
    if job.spec.as_ref().is_none_or(|spec| spec.backoff_limit_per_index.is_none()) {
        say(
            "warning: this cluster is older than Kubernetes 1.29: it starts a runner that fails again, which then sends its load again",
        );
    }
    let profile = serde_json::to_string_pretty(&spec.load_profile).unwrap_or_default();
    put(client, &name, &job, BTreeMap::from([(PROFILE.to_owned(), profile)])).await?;
    Ok(name)
}

/// All groups, by name.
///
/// # Errors
/// When the apiserver refuses.
pub async fn groups(client: &Client) -> Result<Vec<Group>> {
    let labelled = ListParams::default().labels(GROUP_LABEL);
    let jobs = jobs(client).list(&labelled).await.map_err(Error::api("cannot list groups"))?;
    Ok(jobs.items.into_iter().map(Group::of).collect())
}

/// The group of that name, or the only one.
pub(super) async fn one(client: &Client, name: Option<&str>) -> Result<Group> {
    let mut groups = groups(client).await?;
    let known: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    match name {
        Some(name) => groups.retain(|group| group.name == name),
        None if groups.len() > 1 => {
            return Err(Error::Usage(format!("there are several groups, so name one: {}", known.join(", "))));
        }
        None => {}
    }
    groups.pop().ok_or_else(|| match name {
        Some(name) => Error::Usage(format!("there is no group {name}; there are: {}", known.join(", "))),
        None => Error::Usage("there is no group: `kperf runnergroup run` starts one".to_owned()),
    })
}

/// What the runners of a group found, by their numbers.
pub(super) async fn results(client: &Client, group: &str) -> Result<Vec<RunnerResult>> {
    let labelled = ListParams::default().labels(&format!("{GROUP_LABEL}={group}"));
    let maps = maps(client).list(&labelled).await.map_err(Error::api("cannot list results"))?;
    let mut results = Vec::new();
    for text in maps.items.iter().filter_map(|map| map.data.as_ref()?.get(RESULT)) {
        let result: RunnerResult = serde_json::from_str(text)
            .map_err(|error| Error::Usage(format!("a result of group {group} cannot be read: {error}")))?;
        results.push(result);
    }
    results.sort_by_key(|result| result.index);
    Ok(results)
}

/// Deletes all groups, with everything that belongs to them, and waits until it is gone.
///
/// # Errors
/// When the apiserver refuses.
pub async fn delete(client: &Client) -> Result<()> {
    gone(&Api::<FlowSchema>::all(client.clone()), RUNNER).await?;
    gone(&Api::<ClusterRoleBinding>::all(client.clone()), RUNNER).await?;
    gone(&Api::<ClusterRole>::all(client.clone()), RUNNER).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    gone(&namespaces, NAMESPACE).await?;
    let until = Instant::now() + GONE_WITHIN;
    let cannot = || format!("cannot delete namespace {NAMESPACE}");
    while namespaces.get_metadata_opt(NAMESPACE).await.map_err(Error::api(cannot()))?.is_some() {
        if Instant::now() > until {
            return Err(Error::TimedOut(format!("{}: still there after {} s", cannot(), GONE_WITHIN.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// The profile of a group.
pub(super) async fn profile(client: &Client, group: &str) -> Result<LoadProfile> {
    let map = maps(client).get(group).await.map_err(Error::api(format!("cannot read the profile of group {group}")))?;
    let text = map.data.and_then(|mut data| data.remove(PROFILE)).unwrap_or_default();
    Ok(LoadProfile::parse(&format!("{NAMESPACE}/{group}"), &text)?)
}

/// Keeps what a runner found.
pub(super) async fn publish(client: &Client, group: &str, result: &RunnerResult) -> Result<()> {
    let job = jobs(client).get(group).await.map_err(Error::api(format!("cannot read Job {group}")))?;
    let text = serde_json::to_string(result).unwrap_or_default();
    let name = format!("{group}-{}", result.index);
    match put(client, &name, &job, BTreeMap::from([(RESULT.to_owned(), text)])).await {
        // Nobody else has this runner's number: it was taken before, and the answer got lost with an apiserver that ended.
        Err(Error::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 409) => Ok(()),
        put => put,
    }
}

pub(super) fn jobs(client: &Client) -> Api<Job> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

async fn put(client: &Client, name: &str, job: &Job, data: BTreeMap<String, String>) -> Result<()> {
    let map = typed(objects::config_map(name, job, data)).map_err(Error::api("cannot write a ConfigMap"))?;
    let created = maps(client).create(&PostParams::default(), &map).await;
    created.map(drop).map_err(Error::api(format!("cannot create ConfigMap {name}")))
}

/// Creates an object, unless it is there.
async fn ensure<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Clone + fmt::Debug + Serialize + DeserializeOwned,
{
    let what = format!("{} {}", object["kind"].as_str().unwrap_or_default(), RUNNER);
    let object = typed(object).map_err(Error::api(format!("cannot write {what}")))?;
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::api(format!("cannot create {what}"))(error)),
    }
}

/// Deletes an object, if it is there.
async fn gone<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + fmt::Debug + DeserializeOwned,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api(format!("cannot delete {name}"))(error)),
    }
}

impl Group {
    fn of(job: Job) -> Self {
        let status = job.status.unwrap_or_default();
        let count = |n: Option<i32>| u32::try_from(n.unwrap_or_default()).unwrap_or_default();
        let ended = |condition: &str| {
            let conditions = status.conditions.iter().flatten();
            conditions.into_iter().any(|found| found.type_ == condition && found.status == "True")
        };
        let state = match status.start_time {
            _ if ended("Complete") || ended("Failed") => State::Finished,
            Some(_) => State::Running,
            None => State::Unknown,
        };
        Self {
            name: job.metadata.name.unwrap_or_default(),
            count: count(job.spec.and_then(|spec| spec.completions)),
            succeeded: count(status.succeeded),
            failed: count(status.failed),
            state,
            started: status.start_time.map(|time| time.0.to_string()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Finished => "finished",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use kube::Config;
    use rstest::rstest;
    use scripted::{Reply, Server, Speaks};
    use serde_json::json;

    /// An apiserver that ends may have taken a result without having said so.
    #[tokio::test]
    async fn a_result_that_is_there_already_was_left() {
        let server = Server::start(Speaks::Http1, |asked| match asked.method.as_str() {
            "POST" => {
                let there = json!({"kind": "Status", "status": "Failure", "reason": "AlreadyExists", "code": 409});
                Reply { status: StatusCode::CONFLICT, ..Reply::ok(there.to_string()) }
            }
            _ => Reply::ok(json!({"metadata": {"name": "g", "uid": "u"}}).to_string()),
        });
        let client = Client::try_from(Config::new(format!("http://{}", server.address).parse().unwrap())).unwrap();
        publish(&client, "g", &RunnerResult { index: 0, target: String::new(), phases: Vec::new() }).await.unwrap();
    }

    #[rstest]
    #[case::not_begun(json!({}), State::Unknown, (0, 0))]
    #[case::at_work(json!({"startTime": "2024-10-29T00:30:03Z", "succeeded": 2}), State::Running, (2, 0))]
    #[case::over(
        json!({"startTime": "2024-10-29T00:30:03Z", "succeeded": 3, "conditions": [{"type": "Complete", "status": "True"}]}),
        State::Finished,
        (3, 0)
    )]
    #[case::failed(
        json!({"startTime": "2024-10-29T00:30:03Z", "succeeded": 2, "failed": 1,
            "conditions": [{"type": "Failed", "status": "True"}]}),
        State::Finished,
        (2, 1)
    )]
    fn a_group_is_as_far_as_its_job(#[case] status: Value, #[case] state: State, #[case] counts: (u32, u32)) {
        let job = json!({"metadata": {"name": "g"}, "spec": {"completions": 3, "template": {}}, "status": status});
        let group = Group::of(typed(job).unwrap());
        assert_eq!((group.state, (group.succeeded, group.failed), group.count), (state, counts, 3));
        let started = group.started.is_none_or(|started| started == "2024-10-29T00:30:03Z");
        assert!(started);
    }
}
