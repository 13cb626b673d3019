//! A load profile on a cluster that has what it asks for, and what client and server say of it.

mod objects;
mod readyz;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apiload::{Control, Outcome, PhaseOutcome, Row, Target};
use futures_util::{StreamExt as _, stream};
use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, fixture};
use kperf::profile::Arrivals;
use kperf::{LoadProfile, Sending};
use measure::ledger::Stage;
use measure::stats::{Hdr, millis};
use measure::{Seen, StallRule, Verdict};
use serde::{Deserialize, Serialize};

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
    pub limit_s: u64,
    /// Seed of every random choice.
    pub seed: u64,
}

/// Called once when the load begins.
pub type OnLoad = Box<dyn FnOnce() + Send>;

/// Makes the objects, puts the load on, and reports.
///
/// # Errors
/// When the profile is refused, the apiserver refuses an object, the load does not end, or its latencies say nothing.
pub async fn drive(trial: &mut Trial, load: &Load, fixture_variable: &str, on_load: Option<OnLoad>) -> Result<()> {
    let profile = LoadProfile::read(&path(&load.profile)).map_err(|error| Error::Environment(error.to_string()))?;
    let profile = profile.in_namespace(trial.namespace());
    objects::create(trial, load).await?;
    let _watches = objects::watch(trial, load).await?;
    let (descriptor, _) = fixture(fixture_variable)?;
    let config = cluster::quiet_config(&descriptor.kubeconfig).await?;
    let target = Target::new(&config).await.map_err(failed)?;

    let readyz = Readyz::start(trial.client().clone());
    let before = Page::read(trial.client()).await;
    let account = Account::new(RUNNER);
    let cohort = account.ledger().cohort("runners", load.runners as usize);
    let spec = PhaseSpec {
        name: "load",
        account: account.clone(),
        cohorts: vec![cohort],
        also: None,
        goal: Goal::Expected,
        from: RUNNER_INTENDED,
        to: RUNNER_FINISHED,
        stages: vec![(RUNNER_INTENDED, RUNNER_FINISHED)],
        gap: None,
        // A runner is done when all its requests are: nothing moves before.
        rule: StallRule {
            no_progress_for: Duration::from_secs(load.limit_s),
            at_most: Duration::from_secs(load.limit_s),
        },
    };
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let clock = trial.clock();
    let run_id = trial.run_id().to_owned();
    let labels = trial.labels();
    let action = async {
        if let Some(on_load) = on_load {
            on_load();
        }
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
        let mut all = stream::iter(0..load.runners).map(runner).buffer_unordered(load.runners as usize);
        while let Some(finished) = all.next().await {
            finished?;
        }
        Ok(())
    };
    trial.phase(spec, action).await?;
    let readyz = readyz.stop().await;
    let after = Page::read(trial.client()).await;
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    let invalid = report(trial, &profile, &outcomes, &readyz);
    after.since(&before).into_iter().for_each(|(name, value)| trial.metric(&name, value));
    match invalid {
        None => Ok(()),
        // What the generator was late for is no figure of the server's, whatever it is.
        Some(why) => Err(Error::Phase { phase: "load".to_owned(), end: why, verdict: Verdict::Invalid }),
    }
}

/// The file of a profile.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf").join(name)
}

/// Writes the client's figures into the record; returns why its latencies say nothing, if so.
fn report(trial: &mut Trial, profile: &LoadProfile, outcomes: &[Outcome], readyz: &Hdr) -> Option<String> {
    let phases = || outcomes.iter().flat_map(|outcome| &outcome.phases);
    let mut total = Row::default();
    phases().for_each(|phase| total.add(&phase.total));
    let counts = total.counts.clone();
    let offered = counts.offered.max(1) as f64;
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            trial.metric(name, value);
        }
    };
    put("load_requests", Some(counts.offered as f64));
    put("load_error_share", Some((counts.offered - counts.completed) as f64 / offered));
    put("load_bytes_per_request", Some(counts.body_bytes as f64 / offered));
    put("load_achieved_share", achieved(profile, outcomes));
    put("load_late_share", Some(counts.late as f64 / offered));
    put("readyz_p50_ms", readyz.quantile(0.5).map(millis));
    let yardstick = readyz.quantile(0.5);
    let mut columns = |name: &str, row: &Row| {
        let times = row.times();
        let unknown = row.counts.unknown();
        let at = |p| times.response.quantile_of(p, unknown);
        for (figure, value) in [("p50", at(0.5)), ("p99", at(0.99)), ("max", at(1.0))] {
            put(&format!("{name}_{figure}_ms"), value.map(millis));
            let ratio = value.zip(yardstick).map(|(value, readyz)| value.as_secs_f64() / readyz.as_secs_f64());
            put(&format!("{name}_{figure}_x_readyz"), ratio);
        }
        put(&format!("{name}_service_p50_ms"), times.service.quantile_of(0.5, 0).map(millis));
    };
    columns("load", &total);
    for kind in phases().flat_map(|phase| &phase.rows).map(|row| row.kind).collect::<std::collections::BTreeSet<_>>() {
        let mut all = Row::default();
        phases().flat_map(|phase| &phase.rows).filter(|row| row.kind == kind).for_each(|row| all.add(row));
        columns(&snake(kind), &all);
    }
    let late: Vec<&PhaseOutcome> = phases().filter(|phase| phase.invalid.is_some()).collect();
    late.first().and_then(|phase| phase.invalid.clone())
}

/// Requests answered in a second, of those that were due in a second; none where the profile has no rate.
fn achieved(profile: &LoadProfile, outcomes: &[Outcome]) -> Option<f64> {
    let mut shares = Vec::new();
    for outcome in outcomes {
        for (spec, phase) in profile.specs().iter().zip(&outcome.phases) {
            let answered = phase.total.counts.completed + phase.total.counts.failures();
            let lasted = match spec.total() {
                // The last request is due one gap before the end of its schedule.
                Some(_) => phase.elapsed + Duration::from_secs_f64(1.0 / spec.rate.max(f64::MIN_POSITIVE)),
                None => phase.elapsed.max(Duration::from_secs(spec.duration)),
            };
            shares.push(answered as f64 / lasted.as_secs_f64() / spec.rate);
        }
    }
    shares.into_iter().filter(|share| share.is_finite()).reduce(f64::min)
}

/// `staleList` as `stale_list`.
fn snake(kind: &str) -> String {
    let letters = kind.chars().flat_map(|c| {
        let underscore = c.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
    });
    letters.collect()
}

fn failed(error: apiload::Error) -> Error {
    Error::Environment(error.to_string())
}
