//! The runs of a comparison, one after the other, each on a cluster that was made for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cluster::{NodeShape, Process, Shell, UpRequest};
use harness::{ARM, KUBECONFIG, PROFILE};
use indicatif::{ProgressBar, ProgressStyle};
use measure::arms::{Round, Run, Schedule};
use measure::{Verdict, human};
use record::{ArmRun, Expected, RunDir, State, gather};

use super::arm::ArmSpec;
use crate::ctx::{Ctx, say};
use crate::exit::{Exit, Failure};
use crate::fixture::{CLUSTER, open_run};
use crate::gc::RunCard;
use crate::nextest::Nextest;
use crate::waiting::run_to_its_end;

/// The cluster of a comparison. It is made anew for every run: the state that each starts from is the same.
const FIXTURE: &str = "gate";

/// The file with the order of the runs.
pub(crate) const SCHEDULE: &str = "schedule.json";

/// The warm-up round that profiled runs are counted as, behind any real one.
const PROFILED: usize = 900;

/// A comparison that is under way.
pub(crate) struct Series<'a> {
    /// Where everything is.
    pub(crate) ctx: &'a Ctx,
    /// The comparison's id.
    pub(crate) id: &'a str,
    /// Its directory.
    pub(crate) directory: &'a Path,
    /// The arms by name.
    pub(crate) arms: BTreeMap<String, ArmSpec>,
    /// What runs in each arm.
    pub(crate) nextest: BTreeMap<String, Nextest>,
    /// The rows that it selects.
    pub(crate) rows: Vec<Expected>,
}

/// What comes after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next one.
    Run,
    /// The first one of another repeat.
    LeaveRepeat,
    /// None.
    Stop,
}

/// How one run ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The worst verdict of its rows, with the sentence.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) reason: String,
    /// Whether somebody wants an end.
    pub(crate) interrupted: bool,
}

impl Series<'_> {
    /// Runs a schedule, as far as `look` lets it: it is told how each run ended, and may add runs. Returns whether all of it
    /// ran.
    pub(crate) async fn run(
        &self,
        schedule: &mut Schedule,
        look: impl FnMut(&mut Schedule, &Run, &Ended) -> Next,
    ) -> Result<bool, Failure> {
        let bar = ProgressBar::new(schedule.runs.len() as u64);
        bar.set_style(
            ProgressStyle::with_template("{elapsed} {wide_bar} {pos}/{len} {msg}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let (own, order) = (RunDir::at(self.directory), self.directory.join(SCHEDULE));
        own.write_json(&order, schedule)?;
        let one = async |run: &Run, of: usize| {
            bar.set_length(of as u64);
            bar.set_position(run.position as u64);
            let (started, name) = (Instant::now(), name(run));
            bar.set_message(name.clone());
            // An interrupted series goes on where it was.
            if self.has(run) {
                return Ok::<_, Failure>(None);
            }
            let ended = self.one(run, None).await?;
            let line = format!(
                "[{}/{of}] {name}: {}, {}{}",
                run.position + 1,
                ended.verdict,
                human(started.elapsed()),
                if ended.verdict == Verdict::Pass { String::new() } else { format!(": {}", ended.reason) }
            );
            if bar.is_hidden() {
                say(&line)
            } else {
                bar.println(line)
            }
            Ok(Some(ended))
        };
        let whole = in_turn(schedule, one, look).await?;
        bar.finish_and_clear();
        own.write_json(&order, schedule)?;
        self.end_cluster();
        Ok(whole)
    }

    /// Whether a run was measured before.
    fn has(&self, run: &Run) -> bool {
        let run_dir = self.run_dir(run);
        let whole = |run: record::Run| {
            run.state == State::Complete && run.trials.iter().all(|trial| trial.verdict.is_measured())
        };
        run_dir.run_json().is_file() && gather(&run_dir).is_ok_and(whole)
    }

    fn run_dir(&self, run: &Run) -> RunDir {
        RunDir::at(self.directory.join(ArmRun::from(run).directory()))
    }

    /// One more run of each arm, with the CPU profiles of `component` kept; the directory with them, by arm.
    pub(crate) async fn profiles(&self, component: &str) -> Result<BTreeMap<String, PathBuf>, Failure> {
        let mut profiles = BTreeMap::new();
        for (position, arm) in self.arms.keys().enumerate() {
            // Behind all runs that count, and none of them.
            let run = Run { arm: arm.clone(), round: Round::WarmUp(PROFILED), position: PROFILED + position };
            self.one(&run, Some(component)).await?;
            let directory = self.run_dir(&run).path().join("profiles");
            if directory.is_dir() {
                profiles.insert(arm.clone(), directory);
            }
        }
        self.end_cluster();
        Ok(profiles)
    }

    async fn one(&self, run: &Run, profile: Option<&str>) -> Result<Ended, Failure> {
        let (ctx, spec) = (self.ctx, &self.arms[&run.arm]);
        self.end_cluster();
        let request = UpRequest { name: FIXTURE.to_owned(), nodes: 0, shape: NodeShape::default() };
        ctx.fixtures().up(&ctx.kwok_with(&spec.builds)?, &request, &Shell::real(), &say).await?;
        let slowed = match &spec.slowdown {
            Some(slowdown) => Some(slowdown.begin(&ctx.fixtures(), FIXTURE).await?),
            None => None,
        };

        let run_dir = self.run_dir(run);
        let run_id = format!("{}-{}", self.id, run.position);
        let command = std::env::args().skip(1).collect();
        let mut opened = open_run(ctx, &run_dir, &run_id, "default", command, self.rows.clone())?;
        let arm = serde_json::to_string(&ArmRun::from(run)).unwrap_or_default();
        let kubeconfig = slowed.as_ref().and_then(|slowed| slowed.kubeconfig.as_ref());
        let mut env = BTreeMap::from([
            (CLUSTER, FIXTURE.to_owned()),
            (ARM, arm),
            (KUBECONFIG, kubeconfig.map(|path| path.display().to_string()).unwrap_or_default()),
            (PROFILE, profile.unwrap_or_default().to_owned()),
            ("KUBEDYNO_RUN_ID", run_id.clone()),
            ("KUBEDYNO_RESULTS", run_dir.path().display().to_string()),
        ]);
        env.extend(spec.builds.iter().map(|(variable, path)| (variable.as_str(), path.display().to_string())));
        let mut card = RunCard { run_id, results: run_dir.path().to_owned(), command: Process::this(), nextest: None };
        let nextest = self.nextest[&run.arm].run(&env, &run_dir.path().join("nextest.log"))?;
        let waited = run_to_its_end(ctx, nextest, &mut card, || {}).await?;
        drop(slowed);
        opened.state = if waited.interrupted { State::Interrupted } else { State::Complete };
        run_dir.write_json(&run_dir.run_json(), &opened)?;
        let gathered = gather(&run_dir)?;
        if !waited.killed {
            card.remove(ctx);
        }
        let worst = gathered.trials.iter().max_by_key(|trial| trial.verdict);
        let worst = worst.ok_or_else(|| Failure::new(Exit::NothingRan, "no row ran"))?;
        // Counts may be judged of a run whose times cannot be trusted; compared it must not be.
        let untimed = run_dir.trials()?.into_iter().find_map(|trial| trial.untimed);
        let (verdict, reason) = match untimed.filter(|_| worst.verdict.is_measured()) {
            Some(why) => (Verdict::Invalid, format!("its times cannot be trusted: {why}")),
            None => (worst.verdict, worst.reason.clone()),
        };
        Ok(Ended { verdict, reason, interrupted: waited.interrupted })
    }

    fn end_cluster(&self) {
        self.ctx.fixtures().down(FIXTURE, false, &Shell::real()).ok();
    }
}

/// Takes the runs of a schedule in turn. `one` is given a run and how many there are, and says how it ended, or nothing
/// where it need not run; `look` says what comes next. Returns whether the schedule came to its end.
pub(super) async fn in_turn(
    schedule: &mut Schedule,
    mut one: impl AsyncFnMut(&Run, usize) -> Result<Option<Ended>, Failure>,
    mut look: impl FnMut(&mut Schedule, &Run, &Ended) -> Next,
) -> Result<bool, Failure> {
    let mut at = 0;
    while let Some(run) = schedule.runs.get(at).cloned() {
        at += 1;
        let Some(ended) = one(&run, schedule.runs.len()).await? else { continue };
        if ended.interrupted {
            return Ok(false);
        }
        match look(schedule, &run, &ended) {
            Next::Run => {}
            Next::LeaveRepeat => at += schedule.runs[at..].iter().take_while(|next| next.round == run.round).count(),
            Next::Stop => return Ok(false),
        }
    }
    Ok(true)
}

fn name(run: &Run) -> String {
    match run.round {
        Round::WarmUp(_) => format!("{}, warm-up", run.arm),
        Round::Repeat(repeat) => format!("{}, repeat {repeat}", run.arm),
    }
}
