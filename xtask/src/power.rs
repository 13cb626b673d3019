//! `cargo xtask power`: how often the gate cries wolf and what it finds, from real repeats.
//!
//! A pool of real repeats is committed: the same system twice, and with slowdowns injected whose size is known. Each head has
//! a base of its own that it ran with in ABBA, as in a gate, ten pairs after each other. Gates are drawn from it (how:
//! `measure::gate::resample`); some real gates check what was drawn.

mod pool;
mod real;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use measure::arms::{Run, Schedule, block};
use measure::gate::resample::{Draw, Labels, rate};
use measure::gate::{Gate, GateError, Metric, Rule, judge};
use measure::stats::Rate;
use measure::{Budgets, Verdict};
use record::{RunDir, new_run_id, ratio_picture};

use crate::cli::PowerArgs;
use crate::ctx::{Ctx, print, say};
use crate::exit::{Exit, Failure};
use crate::gate::arm::ArmSpec;
use crate::gate::series::{Ended, Next, SCHEDULE, Series};
use crate::gate::{gate_rows, seed};
use crate::lock::one_run_at_a_time;
use crate::suites::{self, Suite};
use pool::Pool;

/// The heads of a pool; the base of each is the pinned system. A factor or a delay is written so that the row as a whole, or
/// the count that it is about, changes by about what the gate has to find.
const HEADS: [(&str, &str); 6] = [
    (SAME, "pinned"),
    ("system-1.3", "pinned+cpu:*=1.3"),
    ("apiserver-1.3", "pinned+cpu:kube-apiserver=1.3"),
    ("network", "pinned+network=2ms"),
    ("stage", "pinned+stage=1s"),
    (WRITES, "pinned+writes=0.6"),
];

/// The head that is its base.
const SAME: &str = "same";

/// The head of which the gate has to find the counts: that it is slower as well is no find.
const WRITES: &str = "writes-1.1";

/// Pairs of one head that run after each other, as in a gate of ten pairs.
const STRETCH: usize = 10;

/// What the gate has to reach: a head, the pairs, and the share of gates that find it.
const LIMITS: [(&str, usize, f64); 2] = [("system-1.3", 10, 0.95), (WRITES, 5, 0.95)];
/// The share of gates of two equal arms that may call anything changed.
const FALSE_ALARMS: f64 = 0.01;

pub(crate) async fn power(ctx: &Ctx, args: &PowerArgs) -> Result<Exit, Failure> {
    let suite = suites::select(ctx, std::slice::from_ref(&args.suite))?.remove(0);
    let (budgets, _) = suites::data(&suite)?;
    let (directory, name) = (ctx.root.join("fixtures/power"), format!("{}.json", suite.package));
    let file = directory.join(&name);
    if args.collect {
        let pool = collect(ctx, &suite, args).await?;
        RunDir::at(directory).write_file(&name, &serde_json::to_vec(&pool).unwrap_or_default())?;
        print(&format!("{}: {} pairs of each of {} heads", file.display(), pool.repeats(), HEADS.len()));
    }
    let text = std::fs::read(&file)
        .map_err(|error| Failure::usage(format!("{}: {error}; `--collect` measures a pool", file.display())))?;
    let pool: Pool =
        serde_json::from_slice(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let met = report(&pool, &budgets, args.gates as usize)?;
    if let Some(directory) = &args.pictures {
        pictures(&pool, &budgets, directory)?;
    }
    if args.real > 0 {
        real::gates(ctx, &suite, args.real).await?;
    }
    Ok(if met { Exit::Ok } else { Exit::BudgetFailed })
}

async fn collect(ctx: &Ctx, suite: &Suite, args: &PowerArgs) -> Result<Pool, Failure> {
    let names = HEADS.map(|(head, _)| [base_of(head), head.to_owned()]);
    let texts = HEADS.map(|(_, text)| ["pinned", text]);
    let arms: BTreeMap<String, ArmSpec> = names
        .iter()
        .flatten()
        .zip(texts.concat())
        .map(|(name, text)| Ok((name.clone(), ArmSpec::read(ctx, "kube-apiserver", text)?)))
        .collect::<Result<_, Failure>>()?;
    let texts = arms.iter().map(|(name, spec)| (name.clone(), spec.to_string())).collect();
    let id = args.resume.clone().unwrap_or_else(new_run_id);
    let directory: PathBuf = ctx.results().join(&id);
    let mut schedule = match &args.resume {
        Some(_) => read_schedule(&directory.join(SCHEDULE))?,
        None => {
            let comparisons = names.each_ref().map(|arms| arms.each_ref().map(String::as_str));
            let repeats = (args.repeats as usize).next_multiple_of(block(2));
            Schedule::of_comparisons(&comparisons, repeats, STRETCH, args.seed.unwrap_or_else(seed))
                .map_err(|error| Failure::usage(error.to_string()))?
        }
    };
    let (nextest, rows) = gate_rows(ctx, &suite.package, &arms)?;
    RunDir::at(&directory).check_writable()?;
    let _lock = one_run_at_a_time(ctx, &id, "cargo xtask power --collect")?;
    say(&format!("{} runs of {} arms; seed {}", schedule.runs.len(), arms.len(), schedule.seed));
    let series = Series { ctx, id: &id, directory: &directory, arms, nextest, rows };
    // An ABBA of which a run was not measured is left out: the pool says so.
    let look = |_: &mut Schedule, _: &Run, ended: &Ended| match ended.verdict {
        Verdict::Unsupported => Next::Stop,
        _ => Next::Run,
    };
    if !series.run(&mut schedule, look).await? {
        let message =
            format!("the pool is not whole: `cargo xtask power {} --collect --resume {id}` goes on", args.suite);
        return Err(Failure::new(Exit::NotMeasured, message));
    }
    Pool::gather(&directory, &schedule, texts, &names)
}

/// The arm that a head is compared with.
fn base_of(head: &str) -> String {
    format!("base-of-{head}")
}

fn read_schedule(path: &Path) -> Result<Schedule, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Prints what gates drawn from the pool say; whether every limit is met.
fn report(pool: &Pool, budgets: &Budgets, gates: usize) -> Result<bool, Failure> {
    let rule = Rule::default();
    let of = |head: &str| pool.pair(head, budgets);
    let draw = |pairs, block, labels| Draw { gates, pairs, block, labels, seed: pool.seed };
    // One ABBA is what is alike whichever arm is which. Were neighbours alike beyond it, longer blocks would alarm more often.
    let (abba, longer) = (block(2), 2 * block(2));
    let rate =
        |metrics: &[Metric], draw: &Draw, hit: fn(&Gate) -> bool| rate(metrics, draw, &rule, hit).map_err(unjudged);
    print(&format!(
        "{} {}: {} pairs a head, measured {} on {} x {}; {} gates drawn for each figure\n",
        pool.suite,
        pool.test,
        pool.repeats(),
        pool.measured_at,
        pool.machine.cpus,
        pool.machine.cpu_model,
        gates
    ));
    print(&changes(pool, budgets, &rule)?);

    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(["head", "pairs", "gates that say so", "has to be"]);
    let same = of(SAME)?;
    let mut met = true;
    for (pairs, block) in [(5, abba), (10, abba), (10, longer)] {
        let alarms = rate(&same, &draw(pairs, block, Labels::Exchanged), changed)?;
        met &= alarms.value().is_some_and(|share| share <= FALSE_ALARMS);
        let drawn = if block == abba { "" } else { ", drawn by two ABBAs at once" };
        table.add_row([
            format!("same, called better or worse{drawn}"),
            pairs.to_string(),
            alarms.to_string(),
            format!("at most {:.0} %", FALSE_ALARMS * 100.0),
        ]);
    }
    for (arm, text) in HEADS.iter().filter(|(head, _)| *head != SAME) {
        let metrics = of(arm)?;
        for pairs in [5, 10] {
            let hit = if *arm == WRITES { counts_worse } else { worse };
            let found: Rate = rate(&metrics, &draw(pairs, abba, Labels::Kept), hit)?;
            let limit = LIMITS.iter().find(|(limited, of, _)| limited == arm && *of == pairs);
            met &= limit.is_none_or(|(_, _, share)| found.value().is_some_and(|value| value >= *share));
            let limit = limit.map_or(String::new(), |(_, _, share)| format!("at least {:.0} %", share * 100.0));
            table.add_row([format!("{arm} ({text}), called worse"), pairs.to_string(), found.to_string(), limit]);
        }
    }
    print(&table.to_string());
    Ok(met)
}

/// What each slowdown did to each metric: the ratio over all repeats of the pool.
fn changes(pool: &Pool, budgets: &Budgets, rule: &Rule) -> Result<String, Failure> {
    let mut table = Table::new();
    let metrics: Vec<String> = budgets.compared(&pool.test).map(|compared| compared.metric.clone()).collect();
    table.load_style(presets::ASCII_MARKDOWN).set_header([vec!["head / base".to_owned()], metrics].concat());
    for (arm, _) in HEADS {
        let (_, gate) = against_base(pool, arm, budgets, rule)?;
        let ratios = gate.outcomes.iter().map(|outcome| {
            format!("{:.3} ({:.3} to {:.3})", outcome.ratio, outcome.interval.low, outcome.interval.high)
        });
        table.add_row([vec![arm.to_owned()], ratios.collect()].concat());
    }
    Ok(format!("{table}\n"))
}

/// The ratios of each head to its base, over all repeats of the pool.
fn pictures(pool: &Pool, budgets: &Budgets, directory: &Path) -> Result<(), Failure> {
    for (arm, text) in HEADS {
        let (metrics, gate) = against_base(pool, arm, budgets, &Rule::default())?;
        let title = format!("{arm} ({text}) against base (pinned), {} pairs", pool.repeats());
        let picture = ratio_picture(&title, &metrics, &gate.outcomes);
        let file = RunDir::at(directory).write_file(&format!("gate-{arm}.svg"), picture.as_bytes())?;
        say(&format!("{}/{file}", directory.display()));
    }
    Ok(())
}

/// A head against its base over all repeats of the pool, judged.
fn against_base(pool: &Pool, arm: &str, budgets: &Budgets, rule: &Rule) -> Result<(Vec<Metric>, Gate), Failure> {
    let metrics = pool.pair(arm, budgets)?;
    let gate = judge(&metrics, rule).map_err(unjudged)?;
    Ok((metrics, gate))
}

fn unjudged(error: GateError) -> Failure {
    Failure::usage(format!("the pool cannot be judged: {error}"))
}

fn changed(gate: &Gate) -> bool {
    gate.changed().next().is_some()
}

/// Whether requests or bytes are worse.
fn counts_worse(gate: &Gate) -> bool {
    let counted = |metric: &str| metric.contains("api_requests") || metric.contains("wal_bytes");
    gate.worse().any(|outcome| counted(&outcome.metric))
}

fn worse(gate: &Gate) -> bool {
    gate.worse().next().is_some()
}
