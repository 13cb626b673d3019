//! `summary.md`: the run as a GitHub step summary.

use std::fmt::Write as _;

use measure::Quantiles;
use measure::budget::Figure;

use crate::document;
use crate::gather::Run;
use crate::run_dir::RunDir;
use crate::schema::{PhaseRecord, Trial};
use crate::source::Source;
use crate::table::{limit, observed};
use crate::text::{cell, maybe_seconds};

/// The run as Markdown: verdicts first, then each row's phases, budgets, published figures and deviations.
pub fn summary_markdown(run: &Run, directory: &RunDir) -> String {
    let mut out = String::new();
    let passed = run.trials.iter().filter(|trial| trial.verdict.passes()).count();
    line(&mut out, format_args!("# kubedyno: {passed} of {} rows passed\n", run.trials.len()));
    line(&mut out, format_args!("| row | verdict | took | why |\n| --- | --- | --- | --- |"));
    for trial in &run.trials {
        let took = trial.took();
        let reason = cell(&trial.reason);
        line(&mut out, format_args!("| {} {} | **{}** | {took} | {reason} |", trial.suite, trial.test, trial.verdict));
    }
    for rows in run.left_out() {
        line(&mut out, format_args!("| {} | not selected | | |", cell(&rows)));
    }
    line(&mut out, format_args!("\nPlots, causes and the set-up of each row: `index.html` beside this file."));
    let sources = Source::of_run(run, directory);
    let trials: Vec<&Trial> = sources.iter().filter_map(Source::trial).collect();
    out.push_str(&document::tables(&trials));
    trials.iter().for_each(|trial| row(&mut out, trial));
    let machine = &run.fingerprint;
    line(
        &mut out,
        format_args!(
            "\n---\nRun `{}` ({:?}), {}, on {} x {} with {} GiB, {}, Linux {}; revision `{}`; `{}`",
            run.run_id,
            run.state,
            run.started_at,
            machine.cpus,
            machine.cpu_model,
            machine.memory_bytes >> 30,
            machine.os,
            machine.kernel,
            run.git_revision,
            run.command_line(),
        ),
    );
    out
}

fn row(out: &mut String, trial: &Trial) {
    line(out, format_args!("\n## {} {}\n", trial.suite, trial.test));
    line(out, format_args!("Document: {}.\n", trial.document.title));
    if !trial.phases.is_empty() {
        line(out, format_args!("| phase | end | 50 % | 90 % | 99 % | 100 % | per s | unaccounted |"));
        line(out, format_args!("| --- | --- | --- | --- | --- | --- | --- | --- |"));
    }
    for phase in &trial.phases {
        let PhaseRecord { name, end, progress, per_s, unaccounted, .. } = phase;
        let times = [&progress.t50_s, &progress.t90_s, &progress.t99_s, &progress.t100_s].map(maybe_seconds);
        line(out, format_args!("| {name} | {end} | {} | {per_s:.1} | {unaccounted} |", times.join(" | ")));
    }
    let stages: Vec<_> = trial.phases.iter().flat_map(|p| p.stages.iter().map(|(s, q)| (&p.name, s, q))).collect();
    if !stages.is_empty() {
        line(out, format_args!("\n| phase | stage, per object | n | p50 ms | p90 ms | p99 ms | max ms |"));
        line(out, format_args!("| --- | --- | --- | --- | --- | --- | --- |"));
    }
    for (phase, stage, Quantiles { n, p50_ms, p90_ms, p99_ms, max_ms }) in stages {
        let figures =
            [p50_ms, p90_ms, p99_ms, max_ms].map(|figure| figure.map_or("-".to_owned(), |f| format!("{f:.1}")));
        line(out, format_args!("| {phase} | {stage} | {n} | {} |", figures.join(" | ")));
    }
    if !trial.budgets.is_empty() {
        line(out, format_args!("\n| metric | observed | budget | verdict | source | derivation |"));
        line(out, format_args!("| --- | --- | --- | --- | --- | --- |"));
    }
    for budget in &trial.budgets {
        let (observed, limit) = (observed(budget), limit(budget));
        let (source, derivation) = (cell(&budget.source), cell(&budget.derivation));
        line(
            out,
            format_args!("| {} | {observed} | {limit} | {} | {source} | {derivation} |", budget.metric, budget.verdict),
        );
    }
    if !trial.published.is_empty() {
        line(out, format_args!("\n| figure of others | theirs | ours | source |\n| --- | --- | --- | --- |"));
    }
    for published in &trial.published {
        let ours = published.metric.as_ref().and_then(|metric| trial.metrics.get(metric));
        let ours = ours.map_or("-".to_owned(), |value| Figure(*value).to_string());
        line(
            out,
            format_args!(
                "| {} | {} | {ours} | {} |",
                cell(&published.figure),
                cell(&published.theirs),
                cell(&published.source)
            ),
        );
    }
    let harness = &trial.harness;
    line(
        out,
        format_args!(
            "\nHarness: {:.1} CPU s, {:.0} MiB, {} requests, {:.1} MiB of watch events. Machine: {:.0} % busy, {:.1} % stolen.",
            harness.cpu_s,
            harness.peak_rss_bytes as f64 / f64::from(1 << 20),
            harness.requests,
            harness.watch_bytes as f64 / f64::from(1 << 20),
            trial.machine.busy_share * 100.0,
            trial.machine.steal_share * 100.0,
        ),
    );
    let lists = [("Died", &trial.component_deaths), ("Notes", &trial.notes), ("Deviations", &trial.deviations)];
    for (title, entries) in lists {
        if !entries.is_empty() {
            line(out, format_args!("\n{title}:\n"));
        }
        for entry in entries {
            line(out, format_args!("- {entry}"));
        }
    }
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").ok();
}
