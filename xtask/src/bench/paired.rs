//! Figures of two tools that were measured in turn, and what each has to be.

use comfy_table::{Table, presets};
use measure::stats::median;

use crate::ctx::print;
use crate::exit::Exit;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Theirs,
}

/// Both sides, in the order of a pair: A B, B A, A B, …, so that a machine that becomes slower does not favour one.
pub(super) fn order(pair: u32) -> [Side; 2] {
    if pair.is_multiple_of(2) { [Side::Ours, Side::Theirs] } else { [Side::Theirs, Side::Ours] }
}

/// One figure with its limit.
pub(super) struct Figure {
    what: &'static str,
    unit: &'static str,
    limit: Limit,
    pub(super) ours: Vec<f64>,
    pub(super) theirs: Vec<f64>,
}

/// What the figure has to be.
pub(super) enum Limit {
    /// Median of ours over the median of theirs.
    RatioAtMost(f64),
    /// The same, where more is better.
    RatioAtLeast(f64),
    /// Median of ours.
    AtMost(f64),
    /// Each of ours is so near to 1, as a share of 1.
    Within(f64),
    /// What ours spread over and what theirs spread over have something in common.
    Overlap,
}

impl Figure {
    pub(super) fn new(what: &'static str, unit: &'static str, limit: Limit) -> Self {
        Self { what, unit, limit, ours: Vec::new(), theirs: Vec::new() }
    }

    pub(super) fn push(&mut self, side: Side, value: f64) {
        match side {
            Side::Ours => self.ours.push(value),
            Side::Theirs => self.theirs.push(value),
        }
    }

    /// The result, the limit, and whether it is met.
    fn judge(&self) -> (String, String, bool) {
        let middle = |values: &[f64]| median(values.to_vec()).or(values.first().copied()).unwrap_or(f64::NAN);
        let ratio = middle(&self.ours) / middle(&self.theirs);
        let (of_ratio, ours) = (format!("{ratio:.2} x"), middle(&self.ours));
        match self.limit {
            Limit::RatioAtMost(most) => (of_ratio, format!("at most {most} x"), ratio <= most),
            Limit::RatioAtLeast(least) => (of_ratio, format!("at least {least} x"), ratio >= least),
            Limit::AtMost(most) => {
                let unit = self.unit;
                (format!("{ours:.3} {unit}"), format!("at most {most} {unit}"), ours <= most)
            }
            Limit::Within(share) => {
                let within = !self.ours.is_empty() && self.ours.iter().all(|value| (value - 1.0).abs() <= share);
                (format!("{ours:.3}"), format!("1, within {:.0} %", share * 100.0), within)
            }
            Limit::Overlap => {
                let ((low, high), (from, to)) = (range(&self.ours), range(&self.theirs));
                (of_ratio, "within their spreads".to_owned(), low <= to && from <= high)
            }
        }
    }
}

/// Prints the figures; the exit code says whether all limits are met.
pub(super) fn show(figures: &[Figure]) -> Exit {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["figure", "ours (min, median, max)", "theirs (min, median, max)", "result", "limit", "verdict"]);
    let mut exit = Exit::Ok;
    for figure in figures {
        let (result, limit, met) = figure.judge();
        if !met {
            exit = Exit::BudgetFailed;
        }
        let (ours, theirs) = (spread(&figure.ours, figure.unit), spread(&figure.theirs, figure.unit));
        let verdict = if met { "pass" } else { "fail" };
        table.add_row([figure.what.to_owned(), ours, theirs, result, limit, verdict.to_owned()]);
    }
    print(&table.trim_fmt());
    exit
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

fn spread(values: &[f64], unit: &str) -> String {
    let Some(middle) = median(values.to_vec()).or(values.first().copied()) else { return "-".to_owned() };
    let (least, most) = range(values);
    format!("{least:.3}, {middle:.3}, {most:.3} {unit} (n = {})", values.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::half(Limit::RatioAtMost(0.5), &[1.0, 1.1, 0.9], &[2.2, 2.0, 2.4], true)]
    #[case::more_than_half(Limit::RatioAtMost(0.5), &[1.2, 1.2, 1.2], &[2.2, 2.0, 2.4], false)]
    #[case::near_one(Limit::Within(0.01), &[0.995, 1.008], &[], true)]
    #[case::one_of_two_is_not(Limit::Within(0.01), &[0.995, 1.02], &[], false)]
    #[case::nothing_measured(Limit::Within(0.01), &[], &[], false)]
    #[case::spreads_meet(Limit::Overlap, &[1.0, 2.0], &[1.9, 3.0], true)]
    #[case::spreads_are_apart(Limit::Overlap, &[1.0, 1.8], &[1.9, 3.0], false)]
    #[case::no_ratio_of_nothing(Limit::RatioAtLeast(2.0), &[1.0], &[], false)]
    fn a_limit_is_met_or_not(#[case] limit: Limit, #[case] ours: &[f64], #[case] theirs: &[f64], #[case] met: bool) {
        let figure = Figure { ours: ours.to_vec(), theirs: theirs.to_vec(), ..Figure::new("", "", limit) };
        assert_eq!(figure.judge().2, met);
    }
}
