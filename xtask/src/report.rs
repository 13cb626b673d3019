//! `cargo xtask report`: a run shown again, from its files only.

use std::path::{Path, PathBuf};

use measure::Verdict;
use record::{Run, RunDir, details, gather, html_page, pictures_of_page, rows_table, summary_markdown};

use crate::cli::{Format, ReportArgs};
use crate::ctx::{Ctx, print, print_json, say, width};
use crate::exit::{Exit, Failure};

pub(crate) fn report(ctx: &Ctx, args: &ReportArgs) -> Result<Exit, Failure> {
    let run_dir = RunDir::at(locate(&ctx.results(), args.run.as_deref().map(Path::new)));
    if args.format == Format::Html {
        print(&write_page(&run_dir)?.display().to_string());
    }
    if let Some(directory) = &args.pictures {
        for (name, picture) in pictures_of_page(&html_page(&run_dir)?) {
            let file = RunDir::at(directory).write_file(&format!("{name}.svg"), picture.as_bytes())?;
            say(&format!("{}/{file}", directory.display()));
        }
    }
    let run = gather(&run_dir)?;
    match args.format {
        // Who looks at the page later has to know now that a record was lost.
        Format::Html => run.trials.iter().filter(|trial| trial.record.is_empty()).for_each(|trial| {
            say(&format!("{} {}: {}", trial.suite, trial.test, trial.reason));
        }),
        Format::Text => show(&run, &run_dir),
        Format::Md => print(&summary_markdown(&run, &run_dir)),
        Format::Json => print_json(&run),
    }
    Ok(Exit::of_run(&run))
}

/// The tables of a run: a line a row, then the budgets of each row that has not passed, or of a single row.
pub(crate) fn show(run: &Run, run_dir: &RunDir) {
    let width = width();
    print(&rows_table(run, width));
    for trial in run.trials.iter().filter(|trial| !trial.budgets.is_empty()) {
        if trial.verdict != Verdict::Pass || run.trials.len() == 1 {
            print(&format!("\n{} {}", trial.suite, trial.test));
            print(&details(trial, width));
        }
    }
    for rows in run.left_out() {
        print(&format!("not selected: {rows}"));
    }
    if run.expected.is_empty() && run.not_selected.is_empty() {
        print("started by nextest itself: rows that left no record are not known here, nextest's own output has them");
    }
    print(&format!("\nresults: {}", run_dir.path().display()));
}

/// Writes `index.html` and returns its path.
pub(crate) fn write_page(run_dir: &RunDir) -> Result<PathBuf, Failure> {
    let page = html_page(run_dir)?;
    Ok(run_dir.path().join(run_dir.write_file("index.html", page.as_bytes())?))
}

/// The directory of a run: its path, or its name in `results`; the newest there when none is named.
pub(crate) fn locate(results: &Path, run: Option<&Path>) -> PathBuf {
    match run {
        None => results.join("latest"),
        Some(run) if run.is_dir() => run.to_owned(),
        Some(run) => results.join(run),
    }
}
