//! A gate from its first run to its exit code, of a system whose truth is known: what its runs leave is written as real ones
//! leave it, and everything behind that is the gate's own.

use std::path::PathBuf;

use measure::Verdict;
use measure::arms::{Round, Run};
use measure::gate::Answer;
use measure::stats::Estimator;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use record::{ArmRun, Comparison, Judgement, METRICS, RunDir, SCHEMA, Trial};
use rstest::rstest;

use super::lost::Lost;
use super::series::{Ended, Next, in_turn};
use super::*;
use crate::compare::allowing_untold;

const PAIRS: usize = 10;
const ROW: (&str, &str) = ("kperf-suite", "nodepool_gate");

/// The row's metrics with what they are on this system, and how far a run of it is off: times by three hundredths, counts by
/// half of one.
const METRICS_OF_ROW: [(&str, f64, f64); 6] = [
    ("create_pods_api_requests_per_object", 5.6, 0.005),
    ("create_pods_etcd_wal_bytes_per_object", 11_000.0, 0.005),
    ("create_pods_yardsticks_per_object", 2.4, 0.03),
    ("create_nodes_s", 1.2, 0.03),
    ("create_pods_s", 8.0, 0.03),
    ("delete_pods_s", 4.0, 0.03),
];

/// A system under test.
struct System {
    /// How much longer each run takes than the one before, whatever its arm.
    drift: f64,
    /// How much longer head takes, in this run of it.
    slower: fn(usize) -> f64,
    /// How a run ends, and why.
    ends: fn(&Run) -> (Option<Verdict>, &'static str),
}

impl System {
    fn sound() -> Self {
        Self { drift: 1.01, slower: |_| 1.0, ends: |_| (Some(Verdict::Pass), "") }
    }

    /// What a run leaves in its directory.
    fn leaves(&self, run: &Run) -> Trial {
        let mut noise = Xoshiro256PlusPlus::seed_from_u64(run.position as u64);
        // The sum of twelve is nearly normal, with a spread of one.
        let mut normal = || (0..12).map(|_| noise.random::<f64>()).sum::<f64>() - 6.0;
        let arm = ArmRun::from(run);
        let slower = if arm.arm == "head" { (self.slower)(arm.repeat) } else { 1.0 };
        let sample = |(name, truth, off): &(&str, f64, f64)| {
            let time = if name.ends_with("_s") { slower * self.drift.powi(run.position as i32) } else { 1.0 };
            ((*name).to_owned(), truth * time * (off * normal()).exp())
        };
        let (verdict, reason) = (self.ends)(run);
        Trial {
            schema: SCHEMA,
            metrics_version: METRICS,
            run_id: format!("20261128-020000-0001-{}", run.position),
            suite: ROW.0.to_owned(),
            test: ROW.1.to_owned(),
            metrics: METRICS_OF_ROW.iter().map(sample).collect(),
            arm: Some(arm),
            verdict,
            reason: reason.to_owned(),
            ..Trial::default()
        }
    }
}

/// A gate that was run.
struct Gated {
    place: tempfile::TempDir,
    lost: Lost,
    ran: usize,
    comparison: Option<Comparison>,
}

/// The gate of a system: the schedule, what is run again, the records, the comparison by the suite's own budgets.
async fn gated(system: &System) -> Gated {
    let place = tempfile::tempdir().unwrap();
    let mut schedule = Schedule::new(&["base", "head"], PAIRS, 1, 7).unwrap();
    let (mut lost, mut ran) = (Lost::new(place.path(), PAIRS), 0);
    let one = async |run: &Run, _: usize| {
        ran += 1;
        let trial = system.leaves(run);
        let run_dir = RunDir::at(place.path().join(ArmRun::from(run).directory()));
        run_dir.write_json(&run_dir.run_json(), &record::Run::default())?;
        run_dir.write_trial(&trial)?;
        // A row without a verdict was killed, which is no data.
        let verdict = trial.verdict.unwrap_or(Verdict::NoData);
        Ok::<_, Failure>(Some(Ended { verdict, reason: trial.reason, interrupted: false }))
    };
    let whole = in_turn(&mut schedule, one, |schedule, run, ended| lost.look(schedule, run, ended)).await.unwrap();
    let comparison = whole.then(|| compare_arms(&Ctx::from_env().unwrap(), place.path(), false).unwrap());
    Gated { place, lost, ran, comparison }
}

impl Gated {
    /// The answers by metric; none where the gate could not be judged.
    fn answers(&self) -> Vec<(&str, Answer)> {
        let rows = self.comparison.iter().flat_map(|comparison| &comparison.rows);
        let outcomes = rows.filter_map(record::RowComparison::gate).flat_map(|gate| &gate.outcomes);
        outcomes.map(|outcome| (outcome.metric.as_str(), outcome.answer)).collect()
    }

    fn exit(&self) -> Exit {
        self.comparison.as_ref().map_or(Exit::NotMeasured, verdict)
    }

    fn worse(&self) -> Vec<&str> {
        self.answers().into_iter().filter(|(_, answer)| *answer == Answer::Worse).map(|(metric, _)| metric).collect()
    }
}

fn is(run: &Run, arm: &str, repeat: usize) -> bool {
    run.arm == arm && run.round == Round::Repeat(repeat)
}

const TIMES: [&str; 3] = ["create_nodes_s", "create_pods_s", "delete_pods_s"];

#[tokio::test]
async fn two_equal_systems_on_a_machine_that_gets_slower_pass() {
    let gated = gated(&System::sound()).await;
    assert_eq!((gated.exit(), gated.ran), (Exit::Ok, 2 + 2 * PAIRS), "{:?}", gated.answers());
}

#[tokio::test]
async fn a_system_that_is_delayed_by_three_tenths_is_worse_in_its_times_and_in_nothing_else() {
    let gated = gated(&System { slower: |_| 1.3, ..System::sound() }).await;
    assert_eq!((gated.exit(), gated.worse()), (Exit::BudgetFailed, TIMES.to_vec()));
    let gate = gated.comparison.as_ref().unwrap().rows[0].gate().unwrap();
    let off = |ratio: f64| (ratio - 1.3).abs();
    let times = gate.worse().map(|outcome| (outcome.ratio, outcome.interval));
    times.for_each(|(ratio, interval)| assert!(off(ratio) < 0.05 && interval.holds(1.3), "{ratio} {interval:?}"));
}

/// One side is killed in every run: there is nothing to compare, and that is neither a pass nor an hour of trying.
#[tokio::test]
async fn a_side_that_is_killed_again_and_again_ends_the_gate_with_the_reason() {
    let ends = |run: &Run| match run.arm.as_str() {
        "head" => (None, "killed in create-pods"),
        _ => (Some(Verdict::Pass), ""),
    };
    let gated = gated(&System { ends, ..System::sound() }).await;
    assert_eq!(gated.exit(), Exit::NotMeasured);
    let why = gated.lost.unfit.as_deref().unwrap();
    assert_eq!(
        why,
        "head is no-data: killed in create-pods; 2 repeats were lost before (of head, head), and no more may be run again"
    );
    assert!(gated.ran <= 2 + 6, "{}", gated.ran);
}

#[tokio::test]
async fn what_one_run_of_each_side_lost_is_run_again_and_the_gate_finds_what_is_there() {
    let ends = |run: &Run| match () {
        () if is(run, "base", 3) => (None, "killed"),
        () if is(run, "head", 6) => (Some(Verdict::Invalid), "the clock stepped"),
        () => (Some(Verdict::Pass), ""),
    };
    let gated = gated(&System { slower: |_| 1.3, ends, ..System::sound() }).await;
    assert_eq!((gated.exit(), gated.worse()), (Exit::BudgetFailed, TIMES.to_vec()));
    let row = &gated.comparison.as_ref().unwrap().rows[0];
    assert!(row.pairs == PAIRS && row.interleaved && row.unjudged.is_empty(), "{row:?}");
    let there = |place: &str| gated.place.path().join(place).is_dir();
    for arm in ["base", "head"] {
        let lost: Vec<bool> = ["003", "006"].map(|repeat| there(&format!("arms/{arm}/{repeat}"))).into();
        assert_eq!(lost, [false, false], "what was lost is compared with nothing");
        assert!(there(&format!("arms/{arm}/010")) && there(&format!("arms/{arm}/011")));
    }
    assert!(there("lost/base/003") && there("lost/head/006"), "and is kept");
    assert_eq!(
        gated.lost.markdown(),
        "\nLost and run again for both arms: repeat 3, of which base is no-data (killed), again as repeat 10; repeat 6, of \
         which head is invalid (the clock stepped), again as repeat 11.\n"
    );
}

#[rstest]
#[case::stalled(Verdict::Stalled)]
#[case::too_slow_to_end(Verdict::Timeout)]
fn a_system_that_does_not_get_there_is_a_finding_and_is_not_run_again(#[case] verdict: Verdict) {
    let mut schedule = Schedule::new(&["base", "head"], PAIRS, 1, 7).unwrap();
    let mut lost = Lost::new(&PathBuf::from("/nonexistent"), PAIRS);
    let (warm_up, measured) = (schedule.runs[0].clone(), schedule.runs[2].clone());
    let ended = Ended { verdict, reason: "at 3/100".to_owned(), interrupted: false };
    assert_eq!(lost.look(&mut schedule, &warm_up, &ended), Next::Run, "a warm-up decides nothing");
    assert_eq!(lost.look(&mut schedule, &measured, &ended), Next::Stop);
    assert_eq!(schedule.runs.len(), 22);
    assert_eq!(lost.unfit, Some(format!("{} is {verdict}: at 3/100", measured.arm)));
}

/// Two of ten runs take twice as long: the estimate sets them aside, and nothing is called the same. That these runs could
/// not have seen a change by 1.3 in the mean keeps it from passing as untold.
#[tokio::test]
async fn a_slowdown_that_comes_and_goes_does_not_pass_even_where_untold_may() {
    let slower = |repeat: usize| if [2, 7].contains(&repeat) { 2.0 } else { 1.0 };
    let gated = gated(&System { slower, ..System::sound() }).await;
    assert_eq!(gated.exit(), Exit::NotMeasured, "{:?}", gated.answers());
    let comparison = gated.comparison.as_ref().unwrap();
    let gate = comparison.rows[0].gate().unwrap();
    let untold: Vec<&str> = gate.untold().map(|outcome| outcome.metric.as_str()).collect();
    assert_eq!(untold, TIMES);
    assert!(gate.untold().any(|outcome| outcome.estimator == Estimator::TrimmedMean), "{gate:?}");
    let (exit, why) = allowing_untold(comparison, None);
    assert_eq!((exit, why.len()), (Exit::NotMeasured, 3), "{why:?}");
    assert!(
        why[0].starts_with(
            "kperf-suite nodepool_gate: create_nodes_s cannot be told, and these runs could only have seen a change by "
        ),
        "{why:?}"
    );
    assert!(why[0].contains(", where 1.3 x has to be seen; "), "{why:?}");
    assert_eq!(allowing_untold(comparison, Some(4.0)), (Exit::Ok, Vec::new()), "where no more has to be seen");
}

#[tokio::test]
async fn what_is_worse_does_not_pass_because_something_else_is_untold() {
    let gated = gated(&System { slower: |_| 1.3, ..System::sound() }).await;
    assert_eq!(allowing_untold(gated.comparison.as_ref().unwrap(), Some(10.0)), (Exit::BudgetFailed, Vec::new()));
}

/// Half an ABBA is not balanced.
#[rstest]
#[case::odd(5, 6)]
#[case::even(10, 10)]
#[case::the_most(199, 200)]
fn pairs_make_whole_blocks(#[case] asked: usize, #[case] run: usize) {
    assert_eq!(whole_blocks(asked), run);
}

#[tokio::test]
async fn a_machine_that_changes_under_the_gate_is_refused_unless_that_is_allowed() {
    let gated = gated(&System::sound()).await;
    let of_head = RunDir::at(gated.place.path().join("arms/head/004"));
    let other = record::Fingerprint { host: "another".to_owned(), ..record::Fingerprint::default() };
    let run = record::Run { fingerprint: other, ..record::Run::default() };
    of_head.write_json(&of_head.run_json(), &run).unwrap();
    let compared = |allow| compare_arms(&Ctx::from_env().unwrap(), gated.place.path(), allow).unwrap();
    let refused = compared(false);
    let Judgement::Different(differences) = &refused.rows[0].judgement else { panic!("{refused:?}") };
    assert_eq!(differences, &["host and its start (a hash): base has , head has  and another"]);
    assert_eq!(verdict(&refused), Exit::Usage);
    let allowed = compared(true);
    assert_eq!(verdict(&allowed), Exit::Ok);
    assert!(comparison_markdown(&allowed).contains("Compared although they differ: host"));
}
