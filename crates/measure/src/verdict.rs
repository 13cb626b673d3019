//! The word that ends a trial, and how a time is written in the sentence that explains it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of a trial or of one budget. Only [`Verdict::Pass`] passes.
///
/// The order is the order of precedence: of several verdicts in one trial, the greatest names it. A measurement that
/// cannot be trusted says nothing about a budget, so `invalid` outranks `fail`; a phase that never ended outranks both,
/// because there is no measurement of it at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every budget was met on a valid measurement.
    Pass,
    /// A budget was missed.
    Fail,
    /// The measurement cannot be trusted: the harness was starved, the clock stepped, the run was cut short.
    Invalid,
    /// A figure that a budget needs was not measured.
    NoData,
    /// Slow but moving when its time was over.
    Timeout,
    /// No progress for the stated time.
    Stalled,
    /// The row needs something that this fixture does not have.
    Unsupported,
}

impl Verdict {
    /// The word as it is written in records and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
            Self::NoData => "no-data",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether what it judges was measured as a whole, so that its figures can be compared with others.
    pub fn is_measured(self) -> bool {
        matches!(self, Self::Pass | Self::Fail)
    }

    /// Whether this verdict passes.
    pub fn passes(self) -> bool {
        self == Self::Pass
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Writes a duration as people write it in the documents: `1h02m03s`, `14m25s`, `3.24s`, `250ms`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..=59 => format!("{:.2}s", duration.as_secs_f64()),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m{:02}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::milliseconds(Duration::from_millis(250), "250ms")]
    #[case::seconds(Duration::from_millis(3_240), "3.24s")]
    #[case::minutes_as_the_document_writes_them(Duration::from_secs(14 * 60 + 25), "14m25s")]
    #[case::hours(Duration::from_secs(3_723), "1h02m03s")]
    fn a_duration_reads_as_in_the_documents(#[case] duration: Duration, #[case] text: &str) {
        assert_eq!(human(duration), text);
    }

    #[test]
    fn only_pass_passes() {
        let all = [
            Verdict::Fail,
            Verdict::Invalid,
            Verdict::NoData,
            Verdict::Timeout,
            Verdict::Stalled,
            Verdict::Unsupported,
        ];
        assert!(Verdict::Pass.passes());
        assert!(all.iter().all(|verdict| !verdict.passes() && *verdict > Verdict::Pass));
    }
}
