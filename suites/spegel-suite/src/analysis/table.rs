//! The comparison as a table in Markdown.

use std::fmt::Write as _;

use measure::stats::bootstrap::{Resampling, ratio_of_quantiles};

use super::{Comparison, Summary};

/// What the intervals follow from; the same files make the same table.
const SEED: u64 = 1;

const HEAD: &str = "| images | step | arm | pulls | min | median | p90 | p99 | max | mean | median to the first arm's | mean better by |\n\
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Each arm of each step, in seconds. The ratio of medians has a 95 % interval of resampled pulls; how much better the mean is, is
/// what upstream publishes.
pub fn table(comparisons: &[Comparison]) -> String {
    let mut table = HEAD.to_owned();
    for Comparison { cell, step, arms } in comparisons {
        let base = arms.first().and_then(|(_, times)| Some((times, Summary::of(times)?)));
        for (number, (arm, times)) in arms.iter().enumerate() {
            let Some(summary) = Summary::of(times) else { continue };
            let base = base.filter(|_| number > 0);
            let ratio = base.map_or(String::new(), |(base, _)| ratio(base, times));
            let better = base
                .map_or(String::new(), |(_, base)| format!("{:.1} %", (base.mean - summary.mean) / base.mean * 100.0));
            let Summary { n, min, median, p90, p99, max, mean, .. } = summary;
            let [p90, p99] = [p90, p99].map(|p| p.map_or(String::new(), |p| format!("{p:.3}")));
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "| {cell} | {step} | {arm} | {n} | {min:.3} | {median:.3} | {p90} | {p99} | {max:.3} | {mean:.3} | {ratio} | {better} |"
            );
        }
    }
    table
}

/// The ratio of the medians by the nearest rank, with its interval where there are pulls enough.
fn ratio(base: &[f64], head: &[f64]) -> String {
    match ratio_of_quantiles(base, head, 0.5, &Resampling::seeded(SEED)) {
        Ok(found) => format!("{:.2} ({:.2} to {:.2})", found.ratio, found.interval.low, found.interval.high),
        Err(error) => format!("none: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_compared_with_the_first() {
        let arms = vec![("none".to_owned(), vec![1.0, 2.0, 3.0]), ("cache".to_owned(), vec![0.5, 1.0, 1.5])];
        let table = table(&[Comparison { cell: "10MB-1".to_owned(), step: "update", arms }]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| 10MB-1 | update | none | 3 | 1.000 | 2.000 |  |  | 3.000 | 2.000 |  |  |");
        assert!(
            rows[1].contains("| 1.000 |  |  | 1.500 | 1.000 | 0.50 (") && rows[1].ends_with("| 50.0 % |"),
            "{table}"
        );
    }

    #[test]
    fn one_pull_has_no_ratio_and_says_why() {
        let arms = vec![("none".to_owned(), vec![1.0]), ("cache".to_owned(), vec![0.5])];
        let table = table(&[Comparison { cell: "a".to_owned(), step: "create", arms }]);
        assert!(table.contains("| none: "), "{table}");
    }
}
