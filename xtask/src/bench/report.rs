//! How long the report of a hundred rows takes to write, and how large it is: copies of the largest row of the newest run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use record::{Expected, Run, RunDir, Trial, gather};

use super::fixture::Scratch;
use super::paired::{Figure, Limit, Side};
use crate::ctx::{Ctx, say};
use crate::exit::Failure;
use crate::report::locate;

const ROWS: usize = 100;

/// The page, `times` times, by the command that people type: its start is part of the figure.
pub(super) fn measure(ctx: &Ctx, times: u32) -> Result<Vec<Figure>, Failure> {
    let scratch = Scratch::new(ctx)?;
    let hundred = RunDir::at(scratch.path().join("hundred"));
    let row = copies(&RunDir::at(locate(&ctx.results(), None)), &hundred)?;
    say(&format!("{ROWS} copies of {} {}, of run {}", row.suite, row.test, row.run_id));
    let program = std::env::current_exe().map_err(|error| Failure::environment(error.to_string()))?;
    let page = hundred.path().join("index.html");
    let mut took = Figure::new("the report of 100 rows, written", "s", Limit::AtMost(2.0));
    let mut size = Figure::new("its size", "MB", Limit::AtMost(5.0));
    for _ in 0..times {
        std::fs::remove_file(&page).ok();
        let started = Instant::now();
        let mut report = Command::new(&program);
        report.arg("report").arg(hundred.path()).args(["--format", "html"]);
        // Its exit code is that of the rows' verdicts; that it wrote its page is what counts.
        report.stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        let wall_s = started.elapsed().as_secs_f64();
        let bytes =
            std::fs::metadata(&page).map_err(|error| Failure::environment(format!("no report: {error}")))?.len();
        took.push(Side::Ours, wall_s);
        size.push(Side::Ours, bytes as f64 / 1e6);
    }
    Ok(vec![took, size])
}

/// Makes a run of a hundred copies of the row of `newest` that left most; returns that row.
fn copies(newest: &RunDir, hundred: &RunDir) -> Result<Trial, Failure> {
    let hint = "`cargo xtask run kperf --filter 'test(nodepool_smoke)'` makes one";
    let left = |trial: &Trial| trial.files.iter().map(|file| size(&newest.path().join(file))).sum::<u64>();
    let largest = newest.trials()?.into_iter().max_by_key(left);
    let row = largest.ok_or_else(|| Failure::environment(format!("the newest run has no record: {hint}")))?;
    let prefix = format!("{}.{}.", row.suite, row.test);
    let names: Vec<String> = (0..ROWS).map(|i| format!("{}_{i:03}", row.test)).collect();
    for name in &names {
        let mut files = Vec::new();
        for file in &row.files {
            let bytes = std::fs::read(newest.path().join(file)).unwrap_or_default();
            files.push(hundred.write_file(&file.replace(&prefix, &format!("{}.{name}.", row.suite)), &bytes)?);
        }
        hundred.write_trial(&Trial { test: name.clone(), files, ..row.clone() })?;
    }
    let expected = names.into_iter().map(|test| Expected { suite: row.suite.clone(), test }).collect();
    hundred.write_json(&hundred.run_json(), &Run { expected, ..gather(newest)? })?;
    Ok(row)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_rows_are_copies_of_the_one_that_left_most() {
        let dir = tempfile::tempdir().unwrap();
        let (newest, hundred) = (RunDir::at(dir.path().join("newest")), RunDir::at(dir.path().join("hundred")));
        newest.write_json(&newest.run_json(), &Run::default()).unwrap();
        for (test, bytes) in [("small", 10), ("large", 1000)] {
            let file = newest.write_file(&format!("series/x-suite.{test}.components.csv"), &vec![b'1'; bytes]).unwrap();
            let (suite, test) = ("x-suite".to_owned(), test.to_owned());
            newest.write_trial(&Trial { suite, test, files: vec![file], ..Trial::default() }).unwrap();
        }
        assert_eq!(copies(&newest, &hundred).map_err(|error| error.to_string()).unwrap().test, "large");
        let trials = hundred.trials().unwrap();
        assert_eq!(trials.len(), ROWS);
        assert_eq!(trials[7].files, ["series/x-suite.large_007.components.csv"]);
        assert_eq!(size(&hundred.path().join(&trials[7].files[0])), 1000);
    }
}
