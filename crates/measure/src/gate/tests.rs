use super::*;
use crate::stats::simulate::{Draws, share};
use proptest::prelude::*;
use rstest::rstest;

/// A metric with these log ratios.
fn metric(name: &str, logs: &[f64]) -> Metric {
    Metric {
        name: name.to_owned(),
        better: Better::Lower,
        basis: Basis::Time,
        relevance: 1.15,
        base: vec![2.0; logs.len()],
        head: logs.iter().map(|log| 2.0 * log.exp()).collect(),
    }
}

fn judge_one(metric: Metric) -> Outcome {
    judge(&[metric], &Rule::default()).expect("judged").outcomes.remove(0)
}

const SLOWER: [f64; 8] = [0.30, 0.38, 0.42, 0.27, 0.36, 0.45, 0.33, 0.31];
const NOISY: [f64; 8] = [0.25, -0.15, 0.05, -0.10, 0.22, 0.00, -0.02, 0.12];
const QUIET: [f64; 8] = [0.01, -0.02, 0.02, 0.0, -0.01, 0.03, -0.03, 0.01];
const NEAR: [f64; 8] = [0.12, 0.14, 0.13, 0.11, 0.15, 0.12, 0.14, 0.13];

#[rstest]
#[case::worse(&SLOWER, "create_pods_s: 1.42 x slower (95 % interval 1.35 to 1.50, 8 pairs)")]
#[case::same(&QUIET, "create_pods_s: the same, 1.00 x (95 % interval 0.98 to 1.02, 8 pairs), within 1.15 x")]
#[case::noisy(
    &NOISY,
    "create_pods_s: cannot tell: 1.05 x (95 % interval 0.93 to 1.18, 8 pairs); this run could have seen 1.33 x; \
     15 more pairs would show 1.15 x",
)]
#[case::near(
    &NEAR,
    "create_pods_s: cannot tell: 1.14 x (95 % interval 1.13 to 1.15, 8 pairs); this run could have seen 1.16 x; \
     2 more pairs would show on which side of 1.15 x it is",
)]
#[case::hopeless(
    &[2.5, -2.5, 1.5, -1.0, 2.2, 0.0, -2.0, 1.2],
    "create_pods_s: cannot tell: 1.27 x (95 % interval 0.26 to 6.27, 8 pairs); this run could have seen 44.82 x; \
     not even 1000 pairs would show 1.15 x",
)]
fn an_answer_reads_as_a_sentence(#[case] logs: &[f64], #[case] sentence: &str) {
    assert_eq!(judge_one(metric("create_pods_s", logs)).sentence, sentence);
}

#[rstest]
#[case::slower(Better::Lower, Basis::Time, 1.0, Answer::Worse, "1.42 x slower")]
#[case::faster(Better::Lower, Basis::Time, -1.0, Answer::Better, "1.42 x faster")]
#[case::a_rate_that_fell(Better::Higher, Basis::Time, -1.0, Answer::Worse, "1.42 x slower")]
#[case::a_rate_that_rose(Better::Higher, Basis::Time, 1.0, Answer::Better, "1.42 x faster")]
#[case::more_requests(Better::Lower, Basis::Count, 1.0, Answer::Worse, "1.42 x more")]
#[case::fewer_requests(Better::Lower, Basis::Count, -1.0, Answer::Better, "1.42 x less")]
#[case::fewer_hits(Better::Higher, Basis::Count, -1.0, Answer::Worse, "1.42 x less")]
fn the_direction_makes_a_change_better_or_worse(
    #[case] better: Better,
    #[case] basis: Basis,
    #[case] sign: f64,
    #[case] answer: Answer,
    #[case] words: &str,
) {
    let logs = SLOWER.map(|log| log * sign);
    let outcome = judge_one(Metric { better, basis, ..metric("m", &logs) });
    assert_eq!(outcome.answer, answer);
    assert_eq!(outcome.sentence, format!("m: {words} (95 % interval 1.35 to 1.50, 8 pairs)"));
}

#[test]
fn a_change_that_is_certain_but_too_small_to_matter_is_the_same() {
    let small = Metric { relevance: 1.5, ..metric("m", &SLOWER.map(|log| log / 4.0)) };
    let outcome = judge_one(small);
    assert!(outcome.adjusted_p < 0.001, "{outcome:?}");
    assert_eq!(outcome.answer, Answer::Same);
}

#[test]
fn one_metric_that_is_clear_alone_is_held_to_more_among_ten() {
    let logs = [0.30, 0.10, 0.42, 0.17, 0.46, 0.25, 0.33, 0.21];
    assert_eq!(judge_one(metric("m", &logs)).answer, Answer::Worse);
    let mut many: Vec<Metric> = (0..9).map(|i| metric(&format!("quiet_{i}"), &QUIET)).collect();
    many.push(metric("m", &logs.map(|log| log - 0.08)));
    let gate = judge(&many, &Rule::default()).expect("judged");
    assert!(gate.outcomes[9].p < 0.01 && gate.outcomes[9].adjusted_p > 0.01, "{:?}", gate.outcomes[9]);
    assert!(!gate.passes());
    assert_eq!((gate.worse().count(), gate.untold().count()), (0, 1));
}

#[test]
fn a_gate_passes_only_when_nothing_is_worse_and_nothing_untold() {
    let gate = |metrics: &[Metric]| judge(metrics, &Rule::default()).expect("judged");
    assert!(gate(&[metric("a", &QUIET), metric("b", &SLOWER.map(|log| -log))]).passes());
    assert!(!gate(&[metric("a", &QUIET), metric("b", &SLOWER)]).passes());
    assert!(!gate(&[metric("a", &QUIET), metric("b", &NOISY)]).passes());
}

#[rstest]
#[case::missing_arm(Metric { head: vec![], ..metric("m", &QUIET) }, "m: the head arm has no samples: was it run?")]
#[case::unequal_arms(
    Metric { base: vec![1.0; 7], ..metric("m", &QUIET) },
    "m: 7 samples of base and 8 of head do not make pairs: drop the repeats that only one arm has",
)]
#[case::too_few(
    metric("m", &QUIET[..4]),
    "m: 4 samples are fewer than the 5 that this needs: run more repeats",
)]
#[case::not_a_number(
    Metric { base: vec![f64::NAN; 8], ..metric("m", &QUIET) },
    "m: sample 0 of base is NaN: a ratio needs finite samples above zero",
)]
#[case::zero(
    Metric { head: vec![0.0; 8], ..metric("m", &QUIET) },
    "m: sample 0 of head is 0: a ratio needs finite samples above zero",
)]
#[case::coarse_clock(
    metric("m", &[0.0; 8]),
    "m: a time with the same ratio in all 8 pairs was rounded or read twice: use a finer clock, or compare two arms",
)]
#[case::relevance(Metric { relevance: 1.0, ..metric("m", &QUIET) }, "m: a relevance of 1 is not a ratio above 1")]
#[case::twice(metric("ok", &QUIET), "ok: named twice")]
fn bad_data_refuses_the_whole_gate_and_names_the_metric(#[case] bad: Metric, #[case] message: &str) {
    let error = judge(&[metric("ok", &QUIET), bad], &Rule::default()).expect_err("bad");
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_gate_of_nothing_is_refused() {
    assert_eq!(judge(&[], &Rule::default()), Err(GateError::NoMetrics));
}

#[rstest]
#[case::equal(0.0, Answer::Same)]
#[case::a_tenth_more(0.0953, Answer::Worse)]
fn counts_that_are_the_same_in_every_pair_are_certain(#[case] log: f64, #[case] answer: Answer) {
    let exact = Metric { basis: Basis::Count, relevance: 1.05, ..metric("requests_per_pod", &[log; 5]) };
    assert_eq!(judge_one(exact).answer, answer);
}

/// The disturbed repeat makes the mean and its interval useless; the trimmed mean is not moved.
#[test]
fn a_slowdown_is_found_beside_a_disturbed_repeat() {
    let logs = [0.26, 0.30, 0.22, 0.28, 0.25, 0.27, 0.24, 0.29, 0.23, 1.4];
    let outcome = judge_one(metric("create_pods_s", &logs));
    assert_eq!((outcome.answer, outcome.estimator), (Answer::Worse, Estimator::TrimmedMean));
    assert!(outcome.sentence.ends_with("10 pairs, trimmed mean)"), "{}", outcome.sentence);
}

/// A slowdown that comes and goes: the robust estimators set it aside, and nothing may be called the same for that.
#[test]
fn two_of_ten_runs_that_take_twice_as_long_are_not_the_same() {
    let logs = [0.01, -0.02, 0.02, 0.69, -0.01, 0.03, -0.03, 0.70, 0.01, 0.0];
    let outcome = judge_one(metric("create_pods_s", &logs));
    assert!(outcome.estimator == Estimator::TrimmedMean && outcome.interval.is_within(1.15), "{outcome:?}");
    assert!(matches!(outcome.answer, Answer::CannotTell { more_pairs: Some(_) }), "{outcome:?}");
    assert!(outcome.detectable > 1.3, "the mean could not have seen less: {outcome:?}");
    assert!(
        outcome.sentence.contains("10 pairs, trimmed mean), but the mean of all pairs may be"),
        "{}",
        outcome.sentence
    );
}

/// Of gates of six metrics with nothing changed, at most one in a hundred calls any of them changed, at the sizes that
/// gates have: the level of each metric is then 0.01 / 6. 6,000 gates have a standard error of 0.13 %.
#[rstest]
#[case::five_normal(5, Draws::normal as fn(&mut Draws) -> f64)]
#[case::ten_normal(10, Draws::normal)]
#[case::five_contaminated(5, Draws::contaminated)]
#[case::ten_contaminated(10, Draws::contaminated)]
#[case::five_laplace(5, Draws::laplace)]
#[case::ten_laplace(10, Draws::laplace)]
fn a_gate_of_six_metrics_raises_a_false_alarm_at_most_once_in_a_hundred(
    #[case] pairs: usize,
    #[case] noise: fn(&mut Draws) -> f64,
) {
    let mut draws = Draws::new(61);
    let alarms = share(6_000, || {
        let of_noise = |i: usize| {
            let logs: Vec<f64> = (0..pairs).map(|_| 0.05 * noise(&mut draws)).collect();
            metric(&format!("metric_{i}_s"), &logs)
        };
        let six: Vec<Metric> = (0..6).map(of_noise).collect();
        let gate = judge(&six, &Rule::default()).expect("judged");
        gate.outcomes.iter().any(|outcome| outcome.adjusted_p <= gate.rule.alpha)
    });
    assert!(alarms <= 0.014, "{alarms}");
}

/// What a gate of counts is there for: 1.1 x as many requests, with 1 % of noise, in 5 pairs, among ten metrics.
#[test]
fn a_tenth_more_requests_are_found_in_five_pairs() {
    let mut draws = Draws::new(53);
    let found = share(1_000, || {
        let gate: Vec<Metric> = (0..10)
            .map(|i| {
                let rise = if i == 0 { 1.1_f64.ln() } else { 0.0 };
                let logs: Vec<f64> = (0..5).map(|_| rise + 0.01 * draws.normal()).collect();
                Metric { basis: Basis::Count, relevance: 1.05, ..metric(&format!("count_{i}"), &logs) }
            })
            .collect();
        judge(&gate, &Rule::default()).expect("judged").worse().any(|outcome| outcome.metric == "count_0")
    });
    assert!(found >= 0.95, "{found}");
}

/// What a gate says it could have seen, gates like it find.
#[test]
fn a_change_of_the_size_that_could_have_been_seen_is_found() {
    let mut draws = Draws::new(59);
    // The detectable ratio of this noise, without the luck of one sample of it.
    let rule = Rule::default();
    let exact = Estimate {
        standard_error: 0.08 / 10.0_f64.sqrt(),
        ..LogRatios::of(&[1.0; 10], &[1.0; 10]).expect("ten").mean(0.95)
    };
    let seen = power::detectable(&exact, rule.alpha, rule.power).max(power::clearing(&exact, 1.15, rule.power));
    let found = share(2_000, || {
        let logs: Vec<f64> = (0..10).map(|_| seen.ln() + 0.08 * draws.normal()).collect();
        judge_one(metric("m", &logs)).answer == Answer::Worse
    });
    assert!((0.93..0.97).contains(&found), "{found}");
}

fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((0.5f64..2.0, 0.5f64..2.0), 5..20)
}

proptest! {
    #[test]
    fn swapping_the_arms_swaps_better_and_worse(pairs in pairs(), shift in 0.3f64..3.0) {
        let (base, head): (Vec<f64>, Vec<f64>) = pairs.into_iter().map(|(base, head)| (base, head * shift)).unzip();
        let there = judge_one(Metric { base: base.clone(), head: head.clone(), ..metric("m", &[]) });
        let back = judge_one(Metric { base: head, head: base, ..metric("m", &[]) });
        prop_assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
        prop_assert!((there.interval.low * back.interval.high - 1.0).abs() < 1e-9);
        prop_assert!((there.detectable / back.detectable - 1.0).abs() < 1e-9);
        let swapped = match there.answer {
            Answer::Better => Answer::Worse,
            Answer::Worse => Answer::Better,
            other => other,
        };
        prop_assert_eq!(back.answer, swapped);
    }

    #[test]
    fn the_unit_and_the_order_of_pairs_do_not_matter(pairs in pairs(), unit in 1e-3f64..1e3) {
        let (base, head): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let other = Metric {
            base: base.iter().rev().map(|value| value * unit).collect(),
            head: head.iter().rev().map(|value| value * unit).collect(),
            ..metric("m", &[])
        };
        let one = judge_one(Metric { base, head, ..metric("m", &[]) });
        let other = judge_one(other);
        prop_assert_eq!(one.answer, other.answer);
        prop_assert!((one.ratio / other.ratio - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_slowdown_of_some_runs_is_never_the_same(
        seed: u64, slow in 2usize..5, factor in 1.6f64..4.0, noise in 0.001f64..0.05,
    ) {
        let mut draws = Draws::new(seed);
        let log = |i: usize| noise * draws.normal() + if i < slow { factor.ln() } else { 0.0 };
        let logs: Vec<f64> = (0..10).map(log).collect();
        let outcome = judge_one(metric("m", &logs));
        prop_assert!(outcome.answer != Answer::Same, "{:?}", outcome);
    }

    #[test]
    fn an_answer_is_never_the_same_where_the_interval_reaches_what_matters(pairs in pairs()) {
        let (base, head): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let outcome = judge_one(Metric { base, head, ..metric("m", &[]) });
        let within = outcome.interval.low > 1.0 / 1.15 && outcome.interval.high < 1.15;
        let within = within && outcome.of_all_pairs.is_within(1.15);
        prop_assert!(outcome.answer != Answer::Same || within);
        prop_assert!(outcome.answer != Answer::Worse || (outcome.ratio >= 1.15 && outcome.adjusted_p <= 0.01));
        let asks_for_none = matches!(outcome.answer, Answer::CannotTell { more_pairs: Some(0) });
        prop_assert!(!asks_for_none);
    }
}
