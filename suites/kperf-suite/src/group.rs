//! A group of runners in Pods: `kperf runnergroup`, as people use it, on nodes that run them.

mod figures;
mod image;
mod runners;
mod served;

use std::path::PathBuf;
use std::time::Duration;

use harness::{Error, Result, Trial};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kperf::LoadProfile;
use kperf::report::{Format, Latency};
use kperf::runnergroup::{self, Driver, FlowControl, GroupResult, GroupSpec, NAMESPACE, RunGroups};
use kube::api::PostParams;
use kube::{Api, Client};
use measure::{StallRule, Verdict};
use serde::{Deserialize, Serialize};

use crate::load::path;
use runners::Runners;
use served::Served;

/// What a runner says on its stderr, as upstream's flag has it by default.
const VERBOSITY: u8 = 2;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// File of the profile in `fixtures/kperf`.
    pub profile: String,
    /// Runners, each of which sends the whole profile.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub runners: u32,
    /// Seconds that the runners may take to run, to be over, and to go.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub limit_s: u64,
}

/// Starts the group, waits for its result, and deletes it.
///
/// # Errors
/// When the profile is refused, the workers do not take the image, the apiserver refuses something, or a runner is lost.
pub async fn drive(trial: &mut Trial, row: &Group) -> Result<()> {
    let profile = LoadProfile::read(&path(&row.profile)).map_err(|error| Error::Environment(error.to_string()))?;
    let profile = profile.in_namespace(trial.namespace());
    let image = image::on_workers(trial)?;
    let asked = asked(trial, row, &profile, image)?;
    let client = trial.client().clone();
    clear(trial, &client).await?;

    let runners = Runners::watched(trial, row).await?;
    // Some runners may be over before the last one runs.
    let before = Served::read(&client).await;
    runners.intend();
    // On the heap: it is a large future.
    trial.phase(runners.start(), async { Box::pin(runnergroup::run(&asked)).await.map_err(failed) }).await?;
    let mut found = None;
    let outcome = trial.phase(runners.load(), wait(&client, row, &mut found)).await;
    // What the others sent is reported also where one was lost.
    if let Some(found) = &found {
        figures::report(trial, row, &profile, found)?;
        let served = Served::read(&client).await.since(&before);
        let share = served.map(|served| served / trial.figure("load_answered").unwrap_or(0.0).max(1.0));
        trial.metric("served_at_priority_share", share.unwrap_or(f64::NAN));
        let groups = runnergroup::groups(&client).await.map_err(failed)?;
        let succeeded: u32 = groups.iter().map(|group| group.succeeded).sum();
        trial.metric("runners_not_succeeded", f64::from(row.runners) - f64::from(succeeded));
    }
    outcome?;
    runners.delete();
    trial.phase(runners.deletion(), async { runnergroup::delete(&client).await.map_err(failed) }).await
}

/// What `kperf rg run` is asked for, with its spec in a file.
fn asked(trial: &Trial, row: &Group, profile: &LoadProfile, image: String) -> Result<RunGroups> {
    let spec = GroupSpec {
        count: row.runners,
        load_profile: profile.clone(),
        node_affinity: Default::default(),
        service_account: None,
        owner_reference: None,
    };
    let file: PathBuf = trial.scratch()?.join("group.yaml");
    let text = serde_json::to_string_pretty(&spec).unwrap_or_default();
    let cannot = |error| Error::Environment(format!("cannot write {}: {error}", file.display()));
    std::fs::write(&file, text).map_err(cannot)?;
    Ok(RunGroups {
        kubeconfig: Some(trial.kubeconfig().to_owned()),
        specs: vec![format!("file://{}", file.display())],
        image: Some(image),
        flow_control: FlowControl { priority_level: "workload-low".to_owned(), precedence: 1000 },
        affinity: Default::default(),
        verbosity: VERBOSITY,
        driver: Driver::Auto,
    })
}

/// Removes what a killed trial left, and makes the group's namespace: kperf takes the one that is there, and by the trial's labels it
/// is swept with everything in it.
async fn clear(trial: &Trial, client: &Client) -> Result<()> {
    runnergroup::delete(client).await.map_err(failed)?;
    let labels = Some(trial.cluster_labels());
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), labels, ..ObjectMeta::default() };
    let api: Api<Namespace> = Api::all(client.clone());
    let made = api.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
    made.map(drop).map_err(Error::api(format!("cannot create namespace {NAMESPACE}")))
}

/// Waits for the result, and keeps what there is of it. With less than all of it the load has not been measured.
async fn wait(client: &Client, row: &Group, found: &mut Option<GroupResult>) -> Result<()> {
    let limit = Some(Duration::from_secs(row.limit_s));
    let result = runnergroup::result(client, None, limit, Format::V015, Latency::Service).await.map_err(failed)?;
    let result = found.insert(result);
    if result.is_whole() {
        return Ok(());
    }
    let (failed, of, missing) = (result.group.failed, row.runners, result.missing);
    let end = format!("{failed} of {of} runners did not come to their end, and {missing} left no result");
    Err(Error::Phase { phase: "load".to_owned(), end, verdict: Verdict::NoData })
}

fn failed(error: kperf::Error) -> Error {
    Error::Environment(error.to_string())
}

impl Group {
    /// A runner is over when all its requests are: nothing moves before.
    fn rule(&self) -> StallRule {
        StallRule::seconds(self.limit_s, self.limit_s)
    }
}
