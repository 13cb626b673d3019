//! At which ratio of rates a mirror begins to help: what rows of this suite say that differ in nothing else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use record::{RunDir, Trial};
use serde_json::Value;

use super::STEPS;

/// What a row says of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The row.
    pub row: String,
    /// The mirror that it compares with none.
    pub mirror: String,
    /// The step.
    pub step: &'static str,
    /// What the row varies: everything of its parameters but the rates and the number of repeats.
    pub image: String,
    /// What the mirror may send over what the registry may.
    pub rates: f64,
    /// The median pull with the mirror over that without, and its interval where there is one.
    pub pulls: f64,
    /// The interval's ends.
    pub interval: Option<[f64; 2]>,
}

/// The points of every run among directories, and of those directly below them.
///
/// # Errors
/// When a record cannot be read.
pub fn points(directories: &[PathBuf]) -> Result<Vec<Point>, record::Error> {
    let mut points = Vec::new();
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        let below = fs_err::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut runs: Vec<PathBuf> = below.filter(|path| is_run(path)).collect();
        runs.sort_unstable();
        runs.extend(Some(directory.clone()).filter(|path| is_run(path)));
        for run in runs {
            for trial in RunDir::at(run).trials()? {
                points.extend(STEPS.iter().filter_map(|step| point(&trial, step)));
            }
        }
    }
    points.sort_by(|a, b| {
        (&a.mirror, a.step, &a.image).cmp(&(&b.mirror, b.step, &b.image)).then(a.rates.total_cmp(&b.rates))
    });
    Ok(points)
}

fn is_run(path: &Path) -> bool {
    path.join("trials").is_dir()
}

fn point(trial: &Trial, step: &'static str) -> Option<Point> {
    let text = |key: &str| trial.parameters.get(key).and_then(Value::as_str);
    let number = |key: &str| trial.parameters.get(key).and_then(Value::as_f64);
    let (mirror, origin) = (text("mirror")?, number("origin_mbit").filter(|rate| *rate > 0.0)?);
    let metric = format!("{mirror}_to_none_{step}_pull_p50_ms");
    let figure = |end: &str| trial.metrics.get(&format!("{metric}{end}")).copied();
    Some(Point {
        row: trial.test.clone(),
        mirror: mirror.to_owned(),
        step,
        image: format!("{} of {} bytes in {}", text("image")?, number("image_bytes")?, number("layers")?),
        rates: number("mirror_mbit")? / origin,
        pulls: figure("")?,
        interval: figure("_low").zip(figure("_high")).map(|(low, high)| [low, high]),
    })
}

/// The table of the points, and of each image that was pulled at several ratios the one below which the mirror does not help.
pub fn rates_table(points: &[Point]) -> String {
    let mut table = String::from(
        "| images | mirror | step | mirror's rate to the registry's | median pull to none's (95 %) | row |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for Point { row, mirror, step, image, rates, pulls, interval } in points {
        let interval = interval.map_or(String::new(), |[low, high]| format!(" ({low:.2} to {high:.2})"));
        let _ = writeln!(table, "| {image} | {mirror} | {step} | {rates:.2} | {pulls:.2}{interval} | {row} |");
    }
    for series in points.chunk_by(|a, b| (&a.mirror, a.step, &a.image) == (&b.mirror, b.step, &b.image)) {
        let [first, _, ..] = series else { continue };
        let curve: Vec<(f64, f64)> = series.iter().map(|point| (point.rates, point.pulls)).collect();
        let Point { mirror, step, image, .. } = first;
        let said = match crossover(&curve) {
            Some(rates) => format!("below {rates:.2} times the registry's rate the mirror does not help"),
            None => "no crossing within these rates".to_owned(),
        };
        let _ = writeln!(table, "\n{image}, {mirror}, {step}: {said}.");
    }
    table
}

/// Where a curve of pull times to none's, by ascending ratio of rates, first falls to 1; linear between neighbours on the
/// logarithms of both, as factors are.
pub fn crossover(curve: &[(f64, f64)]) -> Option<f64> {
    let crossing = |pair: &[(f64, f64)]| {
        let [(slow, above), (fast, below)] = [pair[0], pair[1]].map(|(rates, pulls)| (rates.ln(), pulls.ln()));
        (above > 0.0 && below <= 0.0).then(|| (slow + (fast - slow) * above / (above - below)).exp())
    };
    curve.windows(2).find_map(crossing)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_crossing_lies_between_the_ratios_around_it() {
        let at = crossover(&[(0.25, 4.0), (1.0, 1.25), (4.0, 0.5)]).unwrap();
        assert!(at > 1.0 && at < 4.0, "{at}");
        let even = crossover(&[(0.5, 2.0), (2.0, 0.5)]).unwrap();
        assert!((even - 1.0).abs() < 1e-9, "{even}");
        assert_eq!(crossover(&[(1.0, 0.9), (4.0, 0.5)]), None);
        assert_eq!(crossover(&[]), None);
    }

    #[test]
    fn a_row_with_a_mirror_and_none_is_a_point_of_each_step() {
        let parameters = json!({
            "mirror": "cache", "origin_mbit": 100, "mirror_mbit": 400, "image": "even", "image_bytes": 10, "layers": 1,
        });
        let metrics = [("update_pull_p50_ms", 0.4), ("update_pull_p50_ms_low", 0.3), ("update_pull_p50_ms_high", 0.5)];
        let metrics = metrics.map(|(name, value)| (format!("cache_to_none_{name}"), value)).into();
        let parameters: BTreeMap<String, Value> = serde_json::from_value(parameters).unwrap();
        let trial = Trial { test: "a".to_owned(), parameters, metrics, ..Trial::default() };
        assert_eq!(point(&trial, "create"), None);
        let point = point(&trial, "update").unwrap();
        assert_eq!((point.rates, point.pulls, point.interval), (4.0, 0.4, Some([0.3, 0.5])));
        let table = rates_table(&[point]);
        assert!(
            table.contains("| even of 10 bytes in 1 | cache | update | 4.00 | 0.40 (0.30 to 0.50) | a |"),
            "{table}"
        );
    }
}
