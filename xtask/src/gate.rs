//! `cargo xtask gate`: two builds of a component, interleaved, judged.

pub(crate) mod arm;
pub(crate) mod series;

use std::collections::BTreeMap;
use std::path::Path;

use measure::arms::{Round, Schedule};
use measure::gate::Rule;
use record::{Arm, Comparison, Expected, RunDir, compare, comparison_markdown, new_run_id};
use serde::Serialize;

use crate::cli::GateArgs;
use crate::compare::{budgets, show, step_summary, verdict, write_pictures};
use crate::ctx::{Ctx, print, say};
use crate::exit::{Exit, Failure};
use crate::lock::one_run_at_a_time;
use crate::nextest::Nextest;
use crate::suites;
use arm::{ArmSpec, Checkout, OURSELVES};
use series::Series;

/// `comparison.json`: what was compared, in which order, and what came of it.
#[derive(Debug, Serialize)]
struct Written<'a> {
    schema: u32,
    id: &'a str,
    command: Vec<String>,
    component: &'a str,
    arms: BTreeMap<String, String>,
    schedule: &'a Schedule,
    comparison: Option<&'a Comparison>,
}

pub(crate) async fn gate(ctx: &Ctx, args: &GateArgs) -> Result<Exit, Failure> {
    let suite = suites::select(ctx, std::slice::from_ref(&args.suite))?.remove(0);
    let specs = [("base", &args.base), ("head", &args.head)];
    let specs = specs.map(|(name, text)| Ok((name.to_owned(), ArmSpec::read(ctx, &args.component, text)?)));
    let arms: BTreeMap<String, ArmSpec> = specs.into_iter().collect::<Result<_, Failure>>()?;
    let schedule = Schedule::new(&["base", "head"], args.pairs as usize, 1, args.seed.unwrap_or_else(seed))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let (nextest, rows) = gate_rows(ctx, &suite.package, &arms)?;

    let id = new_run_id();
    let directory = args.out.clone().unwrap_or_else(|| ctx.results()).join(&id);
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    RunDir::at(&directory).check_writable()?;
    let what = format!("cargo xtask gate {}", args.suite);
    let _lock = one_run_at_a_time(ctx, &id, &what)?;
    say(&format!(
        "{} runs of {}: base {}, head {}; seed {}",
        schedule.runs.len(),
        rows.iter().map(|row| row.test.as_str()).collect::<Vec<_>>().join(", "),
        args.base,
        args.head,
        schedule.seed
    ));
    let mut written = Written {
        schema: record::SCHEMA,
        id: &id,
        command: std::env::args().skip(1).collect(),
        component: &args.component,
        arms: arms.iter().map(|(name, spec)| (name.clone(), spec.to_string())).collect(),
        schedule: &schedule,
        comparison: None,
    };
    let out = RunDir::at(&directory);
    let json = directory.join("comparison.json");
    out.write_json(&json, &written)?;

    let series = Series { ctx, id: &id, directory: &directory, arms, nextest, rows };
    let mut unfit = None;
    let whole = series
        .run(&schedule, |run, ended| {
            // A run that cannot be compared makes the gate impossible: better said now than after the others.
            let fits = ended.verdict.is_measured() || matches!(run.round, Round::WarmUp(_));
            if !fits {
                unfit = Some(format!("{} is {}: {}", run.arm, ended.verdict, ended.reason));
            }
            fits
        })
        .await?;
    let comparison = if whole { Some(compare_arms(ctx, &directory)?) } else { None };
    if comparison.as_ref().is_some_and(Comparison::is_worse) {
        // What is worse is looked into while both builds are at hand.
        for (arm, profile) in series.profiles(&component_of(&args.component)).await? {
            say(&format!("CPU profile of {arm}: go tool pprof -top {}", profile.display()));
        }
    }
    series.arms.values().filter_map(|spec| spec.checkout.as_ref()).for_each(Checkout::remove);
    let Some(comparison) = comparison else {
        say(&format!("the gate cannot be judged: {}", unfit.unwrap_or_else(|| "it was interrupted".to_owned())));
        print(&format!("results: {}", directory.display()));
        return Ok(Exit::NotMeasured);
    };
    written.comparison = Some(&comparison);
    out.write_json(&json, &written)?;
    let of = format!(
        "`{}` in {}: base `{}`, head `{}`; {} pairs, in the order of seed {}.",
        args.component, suite.package, args.base, args.head, args.pairs, schedule.seed
    );
    let markdown = format!("{of}\n\n{}", comparison_markdown(&comparison));
    out.write_file("comparison.md", markdown.as_bytes())?;
    write_pictures(&comparison, &directory)?;
    step_summary(&markdown)?;
    show(&comparison);
    print(&format!("results: {}", directory.display()));
    Ok(match verdict(&comparison) {
        Exit::NotMeasured if args.allow_untold && comparison.is_judged() => Exit::Ok,
        verdict => verdict,
    })
}

/// nextest of each arm, built, and the rows that all of them have.
pub(crate) fn gate_rows(
    ctx: &Ctx,
    package: &str,
    arms: &BTreeMap<String, ArmSpec>,
) -> Result<(BTreeMap<String, Nextest>, Vec<Expected>), Failure> {
    let select = ["-p", package, "-E", "binary(kwok) & test(/_gate$/)", "--ignore-default-filter"];
    let mut nextests = BTreeMap::new();
    let mut rows: Option<Vec<Expected>> = None;
    for (name, spec) in arms {
        let root = spec.checkout.as_ref().map_or(&ctx.root, |checkout| &checkout.path);
        let nextest = Nextest::new(ctx, "default", select.map(str::to_owned).into())?.at(root);
        let of_arm = nextest.rows()?;
        if of_arm.is_empty() {
            let message = format!("{package} of {name} ({spec}) has no row whose name ends in `_gate`");
            return Err(Failure::new(Exit::NothingRan, message));
        }
        match &rows {
            Some(rows) if *rows != of_arm => {
                return Err(Failure::usage(format!("the arms have different rows: {name} ({spec}) has {of_arm:?}")));
            }
            _ => rows = Some(of_arm),
        }
        nextests.insert(name.clone(), nextest);
    }
    Ok((nextests, rows.unwrap_or_default()))
}

/// The arms of a comparison's directory, compared.
fn compare_arms(ctx: &Ctx, directory: &Path) -> Result<Comparison, Failure> {
    let arm = |name: &str| Arm::read(&directory.join("arms").join(name));
    Ok(compare(&arm("base")?, &arm("head")?, &budgets(ctx)?, false, &Rule::default()))
}

/// The component that runs a program; of a revision of this repository, the one that it loads most.
fn component_of(program: &str) -> String {
    match program {
        "kwok" => "kwok-controller".to_owned(),
        OURSELVES => "kube-apiserver".to_owned(),
        other => other.to_owned(),
    }
}

/// A seed for the order; it is recorded, and `--seed` repeats it.
pub(crate) fn seed() -> u64 {
    jiff::Timestamp::now().as_microsecond().unsigned_abs()
}
