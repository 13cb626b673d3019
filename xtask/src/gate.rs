//! `cargo xtask gate`: two builds of a component, interleaved, judged.

pub(crate) mod arm;
mod lost;
pub(crate) mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use measure::arms::{Schedule, block};
use measure::gate::Rule;
use record::{Arm, Comparison, Expected, RunDir, compare, comparison_markdown, new_run_id};
use serde::Serialize;

use crate::cli::GateArgs;
use crate::compare::{allowing_untold, budgets, show, step_summary, verdict, write_pictures};
use crate::ctx::{Ctx, print, say};
use crate::exit::{Exit, Failure};
use crate::lock::one_run_at_a_time;
use crate::nextest::Nextest;
use crate::suites;
use arm::{ArmSpec, Checkout, OURSELVES};
use lost::{Lost, LostRepeat};
use series::Series;

/// `comparison.json`: what was compared, in which order, and what came of it.
#[derive(Debug, Serialize)]
struct Written<'a> {
    schema: u32,
    id: &'a str,
    command: Vec<String>,
    component: &'a str,
    arms: BTreeMap<String, String>,
    schedule: Schedule,
    lost: Vec<LostRepeat>,
    comparison: Option<&'a Comparison>,
}

pub(crate) async fn gate(ctx: &Ctx, args: &GateArgs) -> Result<Exit, Failure> {
    let suite = suites::select(ctx, std::slice::from_ref(&args.suite))?.remove(0);
    let specs = [("base", &args.base), ("head", &args.head)];
    let specs = specs.map(|(name, text)| Ok((name.to_owned(), ArmSpec::read(ctx, &args.component, text)?)));
    let arms: BTreeMap<String, ArmSpec> = specs.into_iter().collect::<Result<_, Failure>>()?;
    let pairs = whole_blocks(args.pairs as usize);
    let mut schedule = Schedule::new(&["base", "head"], pairs, 1, args.seed.unwrap_or_else(seed))
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
        arms["base"],
        arms["head"],
        schedule.seed
    ));
    let of = format!(
        "`{}` in {}: base `{}`, head `{}`; {pairs} pairs, in the order of seed {}.\n",
        args.component, suite.package, arms["base"], arms["head"], schedule.seed
    );
    let mut written = Written {
        schema: record::SCHEMA,
        id: &id,
        command: std::env::args().skip(1).collect(),
        component: &args.component,
        arms: arms.iter().map(|(name, spec)| (name.clone(), spec.to_string())).collect(),
        schedule: schedule.clone(),
        lost: Vec::new(),
        comparison: None,
    };
    let out = RunDir::at(&directory);
    let json = directory.join("comparison.json");
    out.write_json(&json, &written)?;

    let series = Series { ctx, id: &id, directory: &directory, arms, nextest, rows };
    let mut lost = Lost::new(&directory, pairs);
    let whole = series.run(&mut schedule, |schedule, run, ended| lost.look(schedule, run, ended)).await?;
    let comparison = if whole { Some(compare_arms(ctx, &directory, args.allow_different)?) } else { None };
    if comparison.as_ref().is_some_and(Comparison::is_worse) {
        // What is worse is looked into while both builds are at hand.
        match series.profiles(&component_of(&args.component)).await {
            Ok(profiles) => profiles.iter().for_each(|(arm, directory)| {
                say(&format!("CPU profiles of {arm}: go tool pprof -top {}/*.pb.gz", directory.display()));
            }),
            // The answer is there all the same.
            Err(error) => say(&format!("no CPU profiles: {error}")),
        }
    }
    series.arms.values().filter_map(|spec| spec.checkout.as_ref()).for_each(Checkout::remove);
    (written.schedule, written.lost) = (schedule, lost.repeats.clone());
    written.comparison = comparison.as_ref();
    out.write_json(&json, &written)?;
    let lost_and_found = lost.markdown();
    let Some(comparison) = &comparison else {
        let unfit = lost.unfit.unwrap_or_else(|| "it was interrupted".to_owned());
        let markdown = format!("{of}{lost_and_found}\nThe gate cannot be judged: {unfit}.\n");
        out.write_file("comparison.md", markdown.as_bytes())?;
        step_summary(&markdown)?;
        say(&format!("the gate cannot be judged: {unfit}"));
        print(&format!("results: {}", directory.display()));
        return Ok(Exit::NotMeasured);
    };
    let (exit, blunt) = match args.allow_untold {
        true => allowing_untold(comparison, args.must_see),
        false => (verdict(comparison), Vec::new()),
    };
    let blunt: String = blunt.iter().map(|why| format!("\nNot passed as untold: {why}.\n")).collect();
    let markdown = format!("{of}{lost_and_found}\n{}{blunt}", comparison_markdown(comparison));
    out.write_file("comparison.md", markdown.as_bytes())?;
    write_pictures(comparison, &directory)?;
    step_summary(&markdown)?;
    show(comparison);
    [&lost_and_found, &blunt].into_iter().filter(|text| !text.is_empty()).for_each(|text| print(text.trim_start()));
    print(&format!("results: {}", directory.display()));
    Ok(exit)
}

/// As many pairs as make whole blocks of ABBA: half a block would leave a drift of the machine on one arm.
fn whole_blocks(pairs: usize) -> usize {
    let whole = pairs.next_multiple_of(block(2));
    if whole != pairs {
        say(&format!(
            "{whole} pairs instead of {pairs}: two pairs make one ABBA, and half of one would not be balanced"
        ));
    }
    whole
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
        let listed = nextest.list()?;
        listed.check(&BTreeMap::new(), &[])?;
        let of_arm = listed.rows;
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
fn compare_arms(ctx: &Ctx, directory: &Path, allow_different: bool) -> Result<Comparison, Failure> {
    let arm = |name: &str| Arm::read(&directory.join("arms").join(name));
    Ok(compare(&arm("base")?, &arm("head")?, &budgets(ctx)?, allow_different, &Rule::default()))
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
