//! A load profile on a cluster that has what it asks for, and what client and server say of it.

mod figures;
mod objects;
mod readyz;
mod server;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use apiload::{Control, Target};
use futures_util::future::{Either, select};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Error, PhaseSpec, Result, Trial, fixture};
use kperf::profile::Arrivals;
use kperf::{LoadProfile, Sending};
use measure::ledger::Stage;
use measure::{Seen, StallRule, Verdict};
use serde::{Deserialize, Serialize};

use figures::Figures;
use readyz::Readyz;
use server::Page;

/// Stages of a runner.
const RUNNER: &[&str] = &["intended", "finished"];
const RUNNER_INTENDED: Stage = 0;
const RUNNER_FINISHED: Stage = 1;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// File of the profile in `fixtures/kperf`.
    pub profile: String,
    /// Runners, each of which sends the whole profile.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub runners: u32,
    /// Pods that are there before.
    pub pods: u32,
    /// Bytes of padding in each of them.
    pub pod_bytes: u32,
    /// ConfigMaps that are there before.
    pub configmaps: u32,
    /// Bytes of the content of each.
    pub configmap_bytes: u32,
    /// Watches of one ConfigMap each.
    pub watches: u32,
    /// Seconds that the load may take.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub limit_s: u64,
    /// Seed of every random choice.
    pub seed: u64,
    /// Whether response times are judged. Then a generator that was late makes the row invalid; else they are left out
    /// where they do not hold, and the service times stand alone.
    pub judges_response: bool,
}

/// Called once when the load begins.
pub type OnLoad = Box<dyn FnOnce() + Send>;

/// Makes the objects, puts the load on, and reports.
///
/// # Errors
/// When the profile is refused, the apiserver refuses an object, the load does not end, or its latencies say nothing.
pub async fn drive(trial: &mut Trial, load: &Load, fixture_variable: &str, on_load: Option<OnLoad>) -> Result<()> {
    objects::create(trial, load).await?;
    let _watches = objects::watch(trial, load).await?;
    let beside = async {
        if let Some(on_load) = on_load {
            on_load();
        }
        Ok(())
    };
    send(trial, load, fixture_variable, beside).await
}

/// Puts the load on, and reports. What goes on `beside` it is given up when the load is over, and may end before.
///
/// # Errors
/// As [`drive`], or when what goes on beside fails.
pub(crate) async fn send(
    trial: &mut Trial,
    load: &Load,
    fixture_variable: &str,
    beside: impl Future<Output = Result<()>>,
) -> Result<()> {
    let profile = LoadProfile::read(&path(&load.profile)).map_err(|error| Error::Environment(error.to_string()))?;
    let profile = profile.in_namespace(trial.namespace());
    let (descriptor, _) = fixture(fixture_variable)?;
    let config = cluster::quiet_config(&descriptor.kubeconfig).await?;
    let target = Target::new(&config).await.map_err(failed)?;

    let readyz = Readyz::start(trial.client().clone());
    let before = Page::read(trial.client()).await;
    let account = Account::new(RUNNER);
    let cohort = account.ledger().cohort("runners", load.runners as usize);
    // A runner is done when all its requests are: nothing moves before.
    let rule = StallRule::seconds(load.limit_s, load.limit_s);
    let spec = PhaseSpec::new("load", &account, vec![cohort], (RUNNER_INTENDED, RUNNER_FINISHED), rule);
    let outcomes = Mutex::new(Vec::new());
    let clock = trial.clock();
    let run_id = trial.run_id().to_owned();
    let labels = trial.labels();
    let runner = async |index: u32| {
        let name = format!("runner-{index}");
        let mark = |stage| account.ledger().mark(&name, cohort, stage, clock.elapsed(), Seen::Event);
        mark(RUNNER_INTENDED);
        let sending = Sending {
            seed: load.seed + u64::from(index),
            arrivals: Arrivals::Even,
            user_agent: None,
            prefix: Some(format!("{run_id}-{index}")),
        };
        let mut plan = profile.plan(&sending).map_err(|error| Error::Environment(error.to_string()))?;
        plan.labels = labels.clone();
        let outcome = apiload::run(&target, &plan, &Control::new()).await.map_err(failed)?;
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        mark(RUNNER_FINISHED);
        Ok::<_, Error>(())
    };
    let runners = stream::iter(0..load.runners).map(runner).buffer_unordered(load.runners as usize);
    let action = async {
        match select(pin!(beside), pin!(runners.try_collect::<()>())).await {
            Either::Left((beside, runners)) => {
                beside?;
                runners.await
            }
            Either::Right((sent, _)) => sent,
        }
    };
    trial.phase(spec, action).await?;
    let readyz = readyz.stop().await;
    let after = Page::read(trial.client()).await;
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let figures = Figures { profile: &profile, outcomes: &outcomes, readyz: &readyz };
    let invalid = figures.invalid();
    figures.report(trial, invalid.is_none());
    let mut server = after.since(&before);
    let counted = server.get("server_counted").map(|counted| counted / figures.answered().max(1) as f64);
    server.extend(counted.map(|share| ("server_counted_share".to_owned(), share)));
    server.into_iter().for_each(|(name, value)| trial.metric(&name, value));
    match invalid {
        Some(why) if load.judges_response => {
            Err(Error::Phase { phase: "load".to_owned(), end: why, verdict: Verdict::Invalid })
        }
        _ => Ok(()),
    }
}

/// The file of a profile.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf").join(name)
}

fn failed(error: apiload::Error) -> Error {
    Error::Environment(error.to_string())
}
