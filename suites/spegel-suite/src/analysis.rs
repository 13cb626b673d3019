//! Results of several arms set against each other: by cell and step, each arm with a true median.

mod boxplot;
mod rates;
mod summary;
mod table;

use std::path::{Path, PathBuf};

pub use boxplot::boxplot;
pub use rates::{Point, crossover, points, rates_table};
pub use summary::Summary;
pub use table::table;

use crate::results::{self, Suite};

/// The steps, in their order.
pub const STEPS: [&str; 2] = ["create", "update"];

/// The arm of this suite that the others are compared with.
const BASE: &str = "none";

/// One step of one pair of images, as each arm ran it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The pair of images.
    pub cell: String,
    /// The step.
    pub step: &'static str,
    /// Pull times in seconds, sorted, by arm. The first arm is the one that the others are compared with.
    pub arms: Vec<(String, Vec<f64>)>,
}

/// What was read, and what was passed over.
#[derive(Debug, Default)]
pub struct Read {
    /// The results, in the order in which they were named; those of a directory by path.
    pub suites: Vec<Suite>,
    /// Files of a directory that no tool of Spegel's benchmark wrote.
    pub passed_over: usize,
}

impl Read {
    /// Reads files, and whatever results lie below directories: upstream's published ones, or a run of this suite.
    ///
    /// # Errors
    /// When a named file is of another form, or any file is malformed.
    pub fn of(paths: &[PathBuf]) -> Result<Self, results::Error> {
        let mut read = Self::default();
        for path in paths {
            if path.is_dir() { read.below(path)? } else { read.suites.push(Suite::read(path)?) }
        }
        Ok(read)
    }

    fn below(&mut self, directory: &Path) -> Result<(), results::Error> {
        let entries = fs_err::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths {
            if path.is_dir() {
                // What rows showed that were disturbed is no result.
                if path.file_name().is_none_or(|name| name != "disturbed") {
                    self.below(&path)?;
                }
            } else if path.extension().is_some_and(|extension| extension == "json") {
                match Suite::read(&path) {
                    Ok(suite) => self.suites.push(suite),
                    Err(results::Error::Form(_)) => self.passed_over += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Every step of every cell, in the order of their names. Pulls of arms of one name are pooled; an arm without pulls is left out.
pub fn compare(suites: &[Suite]) -> Vec<Comparison> {
    let mut cells: Vec<&String> = suites.iter().flat_map(|suite| suite.benchmarks.keys()).collect();
    cells.sort_unstable();
    cells.dedup();
    let comparison = |cell: &String, step: &'static str| {
        let mut arms: Vec<(String, Vec<f64>)> = Vec::new();
        for suite in suites {
            let Some(found) = suite.benchmarks.get(cell) else { continue };
            let measured = if step == STEPS[0] { &found.create } else { &found.update };
            let times = measured.samples.iter().map(results::Sample::seconds);
            match arms.iter_mut().find(|(name, _)| *name == suite.name) {
                Some((_, known)) => known.extend(times),
                None => arms.push((suite.name.clone(), times.collect())),
            }
        }
        arms.retain(|(_, times)| !times.is_empty());
        // Ours come by the names of their directories, in which others than the first may be before it.
        arms.sort_by_key(|(name, _)| name != BASE);
        arms.iter_mut().for_each(|(_, times)| times.sort_unstable_by(f64::total_cmp));
        Comparison { cell: cell.clone(), step, arms }
    };
    let all = cells.into_iter().flat_map(|cell| STEPS.map(|step| comparison(cell, step)));
    all.filter(|comparison| !comparison.arms.is_empty()).collect()
}
