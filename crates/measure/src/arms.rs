//! The order in which the arms of a comparison run.
//!
//! Two arms run as ABBA: the second half of a block is the first in reverse, so that a machine that gets slower (or
//! warmer, or fuller) at a steady rate costs both arms the same. Which of them begins a block is drawn, so that no
//! rhythm of the machine can side with one arm, and so that two arms that are the same are exchangeable, which is what
//! the tests of [`crate::stats::paired`] rest on.
//!
//! More arms run in the rows of a Williams design (Williams, "Experimental designs balanced for the estimation of
//! residual effects of treatments", 1949): every arm stands at every place equally often, and follows every other arm
//! equally often, so that what one arm leaves behind (a full cache, a compacted store) falls on all others alike. For
//! two arms that is ABBA. One row is one repeat: its runs are neighbours, and are compared with each other. The rows of
//! a block and the names in it are drawn from the seed.
//!
//! Warm-up rounds come first, and their samples are thrown away.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// The runs of a comparison, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What the order follows from.
    pub seed: u64,
    /// The runs.
    pub runs: Vec<Run>,
}

/// One run of one arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The arm's name.
    pub arm: String,
    /// What the run counts as.
    pub round: Round,
    /// Its place among all runs, warm-up included, from 0.
    pub position: usize,
}

/// What a run counts as. Every arm runs once a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Round {
    /// Thrown away; from 0.
    WarmUp(usize),
    /// Measured; from 0. The runs of one repeat are compared with each other.
    Repeat(usize),
}

/// Why there is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing to compare.
    #[error("{0} arms cannot be compared: name at least two")]
    TooFewArms(usize),
    /// Two arms of one name.
    #[error("arm `{0}` is named twice: samples could not be told apart")]
    Twice(String),
    /// Nothing to measure.
    #[error("0 repeats measure nothing: ask for at least one")]
    NoRepeats,
}

impl Schedule {
    /// The order of `repeats` measured rounds of `arms` after `warm_up` rounds that are thrown away.
    ///
    /// The order is balanced where `repeats` is a multiple of [`block`]; otherwise the last block is cut short.
    ///
    /// # Errors
    /// Fewer than two arms, two of one name, no repeats.
    pub fn new(arms: &[&str], repeats: usize, warm_up: usize, seed: u64) -> Result<Self, ScheduleError> {
        check(arms, repeats)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut rows: Vec<Vec<usize>> = Vec::new();
        while rows.len() < repeats {
            rows.extend(drawn_block(arms.len(), &mut rng));
        }
        let warm_ups = (0..warm_up).map(|round| (Round::WarmUp(round), (0..arms.len()).collect()));
        let measured = rows.into_iter().take(repeats).enumerate().map(|(i, row)| (Round::Repeat(i), row));
        let in_order = warm_ups.chain(measured).flat_map(|(round, row)| row.into_iter().map(move |arm| (round, arm)));
        let runs =
            in_order.enumerate().map(|(position, (round, arm))| Run { arm: arms[arm].to_owned(), round, position });
        Ok(Self { seed, runs: runs.collect() })
    }

    /// Several comparisons of two arms in one series. Each runs as a gate of its own would, in ABBA or BAAB, and counts its
    /// repeats by itself; they take turns by stretches of so many repeats, in drawn order, so that each of them sees the
    /// machine as it is at all times of the series. The arms of the first run once before, to be thrown away.
    ///
    /// # Errors
    /// Two arms of one name, no comparison, no repeats.
    pub fn of_comparisons(
        comparisons: &[[&str; 2]],
        repeats: usize,
        stretch: usize,
        seed: u64,
    ) -> Result<Self, ScheduleError> {
        let arms = comparisons.concat();
        check(&arms, repeats)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut drawn_rows = || {
            let blocks = (0..repeats.div_ceil(block(2))).flat_map(|_| drawn_block(2, &mut rng));
            blocks.collect::<Vec<_>>()
        };
        let rows: Vec<Vec<Vec<usize>>> = comparisons.iter().map(|_| drawn_rows()).collect();
        let mut in_order: Vec<(Round, &str)> = comparisons[0].map(|arm| (Round::WarmUp(0), arm)).into();
        let mut turns: Vec<usize> = (0..comparisons.len()).collect();
        for begin in (0..repeats).step_by(stretch.max(1)) {
            turns.shuffle(&mut rng);
            for turn in &turns {
                let of_stretch = rows[*turn].iter().take(repeats).enumerate().skip(begin).take(stretch.max(1));
                in_order.extend(of_stretch.flat_map(|(repeat, row)| {
                    row.iter().map(move |arm| (Round::Repeat(repeat), comparisons[*turn][*arm]))
                }));
            }
        }
        let placed = in_order.into_iter().enumerate();
        let runs = placed.map(|(position, (round, arm))| Run { arm: arm.to_owned(), round, position });
        Ok(Self { seed, runs: runs.collect() })
    }

    /// Runs the arms of a repeat once more, behind all runs, as a repeat of its own, whose number is returned; `None` where
    /// there is no such repeat. It has the order of the one whose place it takes, so that what a steady drift costs the arms
    /// stays as balanced as it was.
    pub fn again(&mut self, repeat: usize) -> Option<usize> {
        let of = |repeat: usize| move |run: &&Run| run.round == Round::Repeat(repeat);
        let arms: Vec<String> = self.runs.iter().filter(of(repeat)).map(|run| run.arm.clone()).collect();
        let number = |run: &Run| match run.round {
            Round::Repeat(repeat) => Some(repeat),
            Round::WarmUp(_) => None,
        };
        let next = 1 + self.runs.iter().filter_map(number).max()?;
        let first = 1 + self.runs.iter().map(|run| run.position).max()?;
        let round = Round::Repeat(next);
        let new = (first..).zip(&arms).map(|(position, arm)| Run { arm: arm.clone(), round, position });
        self.runs.extend(new);
        (!arms.is_empty()).then_some(next)
    }
}

/// How many repeats that were lost may be run again: a fifth of those that were planned, and at least two. Where more are
/// lost, losing them is what the comparison shows.
pub fn spare(repeats: usize) -> usize {
    (repeats / 5).max(2)
}

/// How many repeats make a balanced block of so many arms: as many as there are arms, or twice as many where their
/// number is odd.
pub fn block(arms: usize) -> usize {
    if arms.is_multiple_of(2) { arms } else { 2 * arms }
}

fn check(arms: &[&str], repeats: usize) -> Result<(), ScheduleError> {
    if arms.len() < 2 {
        return Err(ScheduleError::TooFewArms(arms.len()));
    }
    if let Some(twice) = (1..arms.len()).find(|i| arms[..*i].contains(&arms[*i])) {
        return Err(ScheduleError::Twice(arms[twice].to_owned()));
    }
    if repeats == 0 { Err(ScheduleError::NoRepeats) } else { Ok(()) }
}

/// The rows of a Williams design, with names and rows in drawn order.
fn drawn_block(arms: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<Vec<usize>> {
    let mut names: Vec<usize> = (0..arms).collect();
    names.shuffle(rng);
    let mut rows: Vec<Vec<usize>> =
        williams(arms).into_iter().map(|row| row.into_iter().map(|arm| names[arm]).collect()).collect();
    rows.shuffle(rng);
    rows
}

/// 0, 1, k-1, 2, k-2, … and its shifts; where k is odd, each in reverse as well.
fn williams(arms: usize) -> Vec<Vec<usize>> {
    let zigzag = (0..arms).map(|i| if i % 2 == 1 { i.div_ceil(2) } else { (arms - i / 2) % arms });
    let first: Vec<usize> = zigzag.collect();
    let shifted = (0..arms).map(|shift| first.iter().map(|arm| (arm + shift) % arms).collect::<Vec<_>>());
    if arms.is_multiple_of(2) {
        shifted.collect()
    } else {
        shifted.flat_map(|row| [row.iter().rev().copied().collect(), row]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::collections::BTreeMap;

    const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

    fn order(schedule: &Schedule) -> String {
        schedule.runs.iter().map(|run| run.arm.as_str()).collect()
    }

    #[test]
    fn two_arms_run_as_abba_or_baab() {
        let seen: BTreeMap<String, usize> = (0..100).fold(BTreeMap::new(), |mut seen, seed| {
            *seen.entry(order(&Schedule::new(&["a", "b"], 2, 0, seed).expect("two"))).or_default() += 1;
            seen
        });
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["abba", "baab"]);
        assert!(seen.values().all(|n| *n > 25), "{seen:?}");
    }

    #[test]
    fn a_steady_drift_costs_two_arms_the_same() {
        let schedule = Schedule::new(&["base", "head"], 10, 1, 7).expect("two");
        let places = |arm: &str| -> usize {
            let measured = schedule.runs.iter().filter(|run| run.arm == arm && matches!(run.round, Round::Repeat(_)));
            measured.map(|run| run.position).sum()
        };
        assert_eq!(places("base"), places("head"));
    }

    #[test]
    fn warm_up_comes_first_and_is_told_apart() {
        let schedule = Schedule::new(&["a", "b"], 3, 2, 1).expect("two");
        let rounds: Vec<Round> = schedule.runs.iter().map(|run| run.round).collect();
        assert_eq!(order(&schedule)[..4], *"abab");
        assert_eq!(
            rounds[..5],
            [Round::WarmUp(0), Round::WarmUp(0), Round::WarmUp(1), Round::WarmUp(1), Round::Repeat(0)]
        );
        assert_eq!(schedule.runs.len(), 10);
    }

    /// Every arm at every place, and after every other arm, equally often.
    #[rstest]
    #[case::two(2)]
    #[case::three(3)]
    #[case::four(4)]
    #[case::five(5)]
    #[case::six(6)]
    #[case::seven(7)]
    fn a_block_is_balanced_for_places_and_for_what_went_before(#[case] arms: usize) {
        let schedule = Schedule::new(&NAMES[..arms], block(arms), 0, 3).expect("arms");
        let rows: Vec<&[Run]> = schedule.runs.chunks(arms).collect();
        let mut places = BTreeMap::new();
        let mut follows = BTreeMap::new();
        for row in &rows {
            row.iter().enumerate().for_each(|(i, run)| *places.entry((&run.arm, i)).or_insert(0) += 1);
            row.windows(2).for_each(|two| *follows.entry((&two[0].arm, &two[1].arm)).or_insert(0) += 1);
        }
        let each = block(arms) / arms;
        assert_eq!((places.len(), follows.len()), (arms * arms, arms * (arms - 1)));
        assert!(places.values().chain(follows.values()).all(|n| *n == each), "{places:?} {follows:?}");
    }

    #[test]
    fn each_comparison_of_a_series_runs_as_a_gate_would_and_all_over_the_series() {
        let comparisons = [["a", "b"], ["c", "d"], ["e", "f"]];
        let schedule = Schedule::of_comparisons(&comparisons, 20, 10, 5).expect("three");
        assert_eq!(schedule, Schedule::of_comparisons(&comparisons, 20, 10, 5).expect("three"));
        assert_eq!((order(&schedule)[..2].to_owned(), schedule.runs.len()), ("ab".to_owned(), 2 + 3 * 40));
        for [base, head] in comparisons {
            let of = |run: &&Run| [base, head].contains(&run.arm.as_str()) && matches!(run.round, Round::Repeat(_));
            let runs: Vec<&Run> = schedule.runs.iter().filter(of).collect();
            for (i, abba) in runs.chunks(4).enumerate() {
                let arms: Vec<&str> = abba.iter().map(|run| run.arm.as_str()).collect();
                assert!(arms == [base, head, head, base] || arms == [head, base, base, head], "{arms:?}");
                assert!(abba[3].position - abba[0].position == 3, "they are neighbours");
                assert!(abba.iter().enumerate().all(|(at, run)| run.round == Round::Repeat(2 * i + at / 2)));
            }
            let half = schedule.runs.len() / 2;
            assert!(runs[19].position <= half && runs[20].position >= half, "one stretch in each half");
        }
    }

    #[rstest]
    #[case::of_a_first_pair(4)]
    #[case::of_a_second_pair(7)]
    fn a_repeat_that_is_run_again_keeps_its_order_and_the_balance(#[case] lost: usize) {
        let mut schedule = Schedule::new(&["base", "head"], 10, 1, 7).expect("two");
        let order = |schedule: &Schedule, repeat: usize| -> Vec<String> {
            let of = schedule.runs.iter().filter(|run| run.round == Round::Repeat(repeat));
            of.map(|run| run.arm.clone()).collect()
        };
        assert_eq!(schedule.again(lost), Some(10));
        assert_eq!(schedule.runs.len(), 24);
        assert!(schedule.runs.iter().enumerate().all(|(i, run)| run.position == i));
        assert_eq!(order(&schedule, 10), order(&schedule, lost));
        let places = |arm: &str| -> usize {
            let counts = |run: &&Run| matches!(run.round, Round::Repeat(repeat) if repeat != lost);
            schedule.runs.iter().filter(|run| run.arm == arm).filter(counts).map(|run| run.position).sum()
        };
        assert_eq!(places("base"), places("head"));
        let runs = schedule.runs.len();
        assert_eq!((schedule.again(99), schedule.runs.len()), (None, runs));
    }

    #[rstest]
    #[case::few(5, 2)]
    #[case::ten(10, 2)]
    #[case::many(40, 8)]
    fn a_fifth_of_the_repeats_may_be_run_again_and_at_least_two(#[case] repeats: usize, #[case] spared: usize) {
        assert_eq!(spare(repeats), spared);
    }

    #[rstest]
    #[case::one_arm(&["a"], 5, "1 arms cannot be compared: name at least two")]
    #[case::twice(&["a", "b", "a"], 5, "arm `a` is named twice: samples could not be told apart")]
    #[case::no_repeats(&["a", "b"], 0, "0 repeats measure nothing: ask for at least one")]
    fn what_cannot_be_compared_is_refused(#[case] arms: &[&str], #[case] repeats: usize, #[case] message: &str) {
        assert_eq!(Schedule::new(arms, repeats, 0, 1).expect_err("bad").to_string(), message);
    }

    #[test]
    fn comparisons_that_share_an_arm_are_refused() {
        let twice = Schedule::of_comparisons(&[["a", "b"], ["a", "c"]], 4, 2, 1);
        assert_eq!(twice, Err(ScheduleError::Twice("a".to_owned())));
        assert_eq!(Schedule::of_comparisons(&[], 4, 2, 1), Err(ScheduleError::TooFewArms(0)));
    }

    proptest! {
        #[test]
        fn every_arm_runs_once_a_round_and_the_seed_is_the_order(
            arms in 2usize..8, repeats in 1usize..30, warm_up in 0usize..3, seed: u64,
        ) {
            let schedule = Schedule::new(&NAMES[..arms], repeats, warm_up, seed).expect("arms");
            prop_assert_eq!(&schedule, &Schedule::new(&NAMES[..arms], repeats, warm_up, seed).expect("arms"));
            prop_assert_eq!(schedule.runs.len(), arms * (repeats + warm_up));
            for (i, round) in schedule.runs.chunks(arms).enumerate() {
                let mut names: Vec<&str> = round.iter().map(|run| run.arm.as_str()).collect();
                names.sort_unstable();
                prop_assert_eq!(names, NAMES[..arms].to_vec());
                let counts_as = if i < warm_up { Round::WarmUp(i) } else { Round::Repeat(i - warm_up) };
                prop_assert!(round.iter().all(|run| run.round == counts_as));
            }
            prop_assert!(schedule.runs.iter().enumerate().all(|(i, run)| run.position == i));
        }
    }
}
