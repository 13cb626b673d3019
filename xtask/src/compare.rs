//! `cargo xtask compare`: two arms compared again, from their files only.

use std::collections::BTreeMap;
use std::path::Path;

use measure::Budgets;
use measure::gate::Rule;
use record::{Arm, Comparison, Judgement, RunDir, compare, comparison_markdown, comparison_table};

use crate::cli::{CompareArgs, CompareFormat};
use crate::ctx::{Ctx, print, print_json, width};
use crate::exit::{Exit, Failure};
use crate::report::locate;
use crate::suites;

pub(crate) fn compare_runs(ctx: &Ctx, args: &CompareArgs) -> Result<Exit, Failure> {
    let arm = |path: &Path| Arm::read(&locate(&ctx.results(), Some(path))).map_err(Failure::from);
    let (base, head) = (arm(&args.base)?, arm(&args.head)?);
    let comparison = compare(&base, &head, &budgets(ctx)?, args.allow_different, &Rule::default());
    match args.format {
        CompareFormat::Text => show(&comparison),
        CompareFormat::Md => print(&comparison_markdown(&comparison)),
        CompareFormat::Json => print_json(&comparison),
    }
    if let Some(directory) = &args.pictures {
        write_pictures(&comparison, directory)?;
    }
    let verdict = verdict(&comparison);
    Ok(match verdict {
        // Without `--gate` an answer is an answer, whichever it is.
        Exit::BudgetFailed | Exit::NotMeasured if !args.gate && comparison.is_judged() => Exit::Ok,
        verdict => verdict,
    })
}

/// Writes how each row was judged, as a picture, into `directory`.
pub(crate) fn write_pictures(comparison: &Comparison, directory: &Path) -> Result<(), Failure> {
    for row in &comparison.rows {
        if let Some(picture) = row.picture() {
            let name = format!("{}.{}.svg", row.suite, row.test);
            RunDir::at(directory).write_file(&name, picture.as_bytes())?;
        }
    }
    Ok(())
}

/// The budgets of every suite that has rows, by package.
pub(crate) fn budgets(ctx: &Ctx) -> Result<BTreeMap<String, Budgets>, Failure> {
    let suites = suites::select(ctx, &[])?;
    suites.iter().map(|suite| Ok((suite.package.clone(), suites::data(suite)?.0))).collect()
}

/// The table of a comparison on the terminal.
pub(crate) fn show(comparison: &Comparison) {
    print(&comparison_table(comparison, width()));
}

/// The exit code of a gate: worse is a failure, what cannot be told or compared is not measured.
pub(crate) fn verdict(comparison: &Comparison) -> Exit {
    let different = |row: &record::RowComparison| matches!(row.judgement, Judgement::Different(_));
    match () {
        () if comparison.rows.is_empty() => Exit::NothingRan,
        () if comparison.rows.iter().any(different) => Exit::Usage,
        () if comparison.is_worse() => Exit::BudgetFailed,
        () if comparison.passes() => Exit::Ok,
        () => Exit::NotMeasured,
    }
}

/// The exit code of a gate that lets pass what could not be told, if these runs could have seen what has to be seen: by
/// `must_see`, or by what the suite's budgets say of each metric. Where they could not, the sentences say why it does not
/// pass.
pub(crate) fn allowing_untold(comparison: &Comparison, must_see: Option<f64>) -> (Exit, Vec<String>) {
    match verdict(comparison) {
        Exit::NotMeasured if comparison.is_judged() => match comparison.too_blunt(must_see) {
            none if none.is_empty() => (Exit::Ok, none),
            blunt => (Exit::NotMeasured, blunt),
        },
        verdict => (verdict, Vec::new()),
    }
}

/// Appends to the step summary of a GitHub job, where there is one.
pub(crate) fn step_summary(markdown: &str) -> Result<(), Failure> {
    let Some(step) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return Ok(()) };
    let appended = std::fs::File::options().append(true).create(true).open(&step);
    let appended = appended.and_then(|mut file| std::io::Write::write_all(&mut file, markdown.as_bytes()));
    appended.map_err(|error| Failure::environment(format!("cannot write {}: {error}", Path::new(&step).display())))
}
