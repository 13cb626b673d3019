//! The exit codes, which are a public interface, and the failures that carry them.

use std::fmt;
use std::process::ExitCode;

use measure::Verdict;
use record::{Run, TrialSummary};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked for was done, and every row passed.
    Ok = 0,
    /// A check of this repository failed (`cargo xtask test`).
    CheckFailed = 1,
    /// The command line, a budget or a parameter is wrong.
    Usage = 2,
    /// Something is missing on this machine; what `doctor` says of it is printed.
    Environment = 3,
    /// A budget was missed.
    BudgetFailed = 10,
    /// A row was invalid, had no data, stalled or ran out of time; or a signal ended what made its cluster.
    NotMeasured = 11,
    /// Nothing ran.
    NothingRan = 12,
    /// Only rows that this fixture does not support were asked for.
    Unsupported = 13,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code of a run. What is a comparator's own result does not set it.
    pub(crate) fn of_run(run: &Run) -> Self {
        let verdict = |trial: &TrialSummary| if trial.ended_well() { Verdict::Pass } else { trial.verdict };
        Self::of_verdicts(&run.trials.iter().map(verdict).collect::<Vec<_>>())
    }

    /// What was not measured outranks what was too slow.
    fn of_verdicts(verdicts: &[Verdict]) -> Self {
        let all = |wanted: Verdict| verdicts.iter().all(|verdict| *verdict == wanted);
        let measured = |verdict: &Verdict| matches!(verdict, Verdict::Pass | Verdict::Fail | Verdict::Unsupported);
        match () {
            () if verdicts.is_empty() => Self::NothingRan,
            () if all(Verdict::Pass) => Self::Ok,
            () if all(Verdict::Unsupported) => Self::Unsupported,
            () if !verdicts.iter().all(measured) => Self::NotMeasured,
            () if verdicts.contains(&Verdict::Fail) => Self::BudgetFailed,
            // An unsupported row that was asked for by name beside rows that passed.
            () => Self::NotMeasured,
        }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self::new(Exit::Environment, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<cluster::Error> for Failure {
    fn from(error: cluster::Error) -> Self {
        let exit = match &error {
            cluster::Error::BadName(_)
            | cluster::Error::NoSuchCluster(_)
            | cluster::Error::NoSuchComponent { .. }
            | cluster::Error::NoSuchShape { .. }
            | cluster::Error::NotOurs { .. }
            | cluster::Error::OfAnother { .. }
            | cluster::Error::BadKubeconfig { .. }
            | cluster::Error::NoSuchContext { .. }
            | cluster::Error::NoCurrentContext { .. } => Exit::Usage,
            cluster::Error::Interrupted(_) => Exit::NotMeasured,
            _ => Exit::Environment,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<nodeimage::Error> for Failure {
    fn from(error: nodeimage::Error) -> Self {
        Self::environment(error.to_string())
    }
}

impl From<thirdparty::Error> for Failure {
    fn from(error: thirdparty::Error) -> Self {
        let exit = if matches!(error, thirdparty::Error::Unknown { .. }) { Exit::Usage } else { Exit::Environment };
        Self::new(exit, error.to_string())
    }
}

impl From<record::Error> for Failure {
    fn from(error: record::Error) -> Self {
        let exit = if matches!(error, record::Error::NoRun(_)) { Exit::NothingRan } else { Exit::Environment };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::all_passed(&[Verdict::Pass, Verdict::Pass], Exit::Ok)]
    #[case::a_budget_failed(&[Verdict::Pass, Verdict::Fail], Exit::BudgetFailed)]
    #[case::one_was_not_measured(&[Verdict::Fail, Verdict::Invalid], Exit::NotMeasured)]
    #[case::one_stalled(&[Verdict::Stalled], Exit::NotMeasured)]
    #[case::one_timed_out(&[Verdict::Pass, Verdict::Timeout], Exit::NotMeasured)]
    #[case::nothing_ran(&[], Exit::NothingRan)]
    #[case::only_unsupported(&[Verdict::Unsupported], Exit::Unsupported)]
    #[case::unsupported_beside_a_pass(&[Verdict::Unsupported, Verdict::Pass], Exit::NotMeasured)]
    fn the_exit_code_of_a_run(#[case] verdicts: &[Verdict], #[case] exit: Exit) {
        assert_eq!(Exit::of_verdicts(verdicts), exit);
    }

    #[rstest]
    #[case::a_comparators_stall(true, "stalled", Exit::Ok)]
    #[case::a_comparators_timeout(true, "timeout", Exit::Ok)]
    #[case::a_comparator_that_was_not_measured(true, "invalid", Exit::NotMeasured)]
    #[case::a_comparator_that_missed_a_budget(true, "fail", Exit::BudgetFailed)]
    #[case::the_subjects_stall(false, "stalled", Exit::NotMeasured)]
    fn the_stall_of_a_comparator_is_a_result(#[case] comparator: bool, #[case] verdict: &str, #[case] exit: Exit) {
        let trial: TrialSummary = serde_json::from_value(serde_json::json!({
            "suite": "s", "test": "t", "provider": "kwok", "profile": "default", "comparator": comparator,
            "verdict": verdict, "reason": "", "deviations": [], "versions": {}, "metrics": {}, "budgets": [],
            "wall_s": 1.0, "record": "",
        }))
        .unwrap();
        assert_eq!(Exit::of_run(&Run { trials: vec![trial], ..Run::default() }), exit);
    }
}
