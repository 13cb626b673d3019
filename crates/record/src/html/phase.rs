//! One phase of a row on the page: its progress, the times of its stages, how it moved.

use std::path::PathBuf;

use measure::Quantiles;

use super::cells::{Cell, Table};
use super::plots::{Cdf, LINES, letter, progress, stacked, stage_times};
use super::series::{self, LedgerTable, StageTimes};
use crate::run_dir::RunDir;
use crate::schema::{Breakdown, PhaseRecord, Trial};
use crate::text::{figure, maybe_figure, maybe_seconds, percent, seconds};

/// Slowest objects that are shown; the record has more.
const SLOWEST: usize = 3;

/// A phase as the page shows it.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Its name with its number.
    pub(crate) name: String,
    /// The progress curve.
    pub(crate) progress: Option<String>,
    /// The CDFs of its stages.
    pub(crate) stages: Option<String>,
    /// The stages' quantiles, each with its line in the plot.
    pub(crate) quantiles: Table,
    /// Where a curve and the record differ.
    pub(crate) remarks: Vec<String>,
    /// How it moved and stood still.
    pub(crate) moves: Table,
    /// The objects that it cannot account for.
    pub(crate) missing: Table,
    /// The slowest objects.
    pub(crate) slowest: Table,
    /// Figures with the parts that they are made of.
    pub(crate) breakdowns: Vec<Stacked>,
    /// Series that could not be read.
    pub(crate) problems: Vec<String>,
}

/// A figure and its parts: a bar, and what its letters mean.
#[derive(Debug)]
pub(crate) struct Stacked {
    /// What they are parts of.
    pub(crate) name: String,
    /// The bar.
    pub(crate) bar: String,
    /// Its letters.
    pub(crate) legend: Table,
}

/// The counts and times of all phases.
pub(crate) fn overview(trial: &Trial) -> Table {
    let head =
        ["phase", "done", "50 %", "90 %", "99 %", "100 %", "per s", "late", "relisted", "gone early", "unaccounted"];
    let mut table = Table::new("Phases", &head);
    for (index, phase) in trial.phases.iter().enumerate() {
        let times = &phase.progress;
        let times = [&times.t50_s, &times.t90_s, &times.t99_s, &times.t100_s];
        let counts = [phase.late, phase.relisted, phase.gone_early, phase.unaccounted];
        let name = Cell::Noted(format!("{} {}", index + 1, phase.name), phase.end.clone());
        let done = Cell::number(format!("{}/{}", phase.done, phase.expected));
        let times = times.map(|time| Cell::Number(maybe_seconds(time)));
        let row = [name, done].into_iter().chain(times).chain([Cell::Number(figure(phase.per_s))]);
        table.push(row.chain(counts.map(Cell::number)));
    }
    table
}

impl Phase {
    /// The phase with this index.
    pub(crate) fn new(trial: &Trial, index: usize, ledgers: &[LedgerTable], directory: &RunDir) -> Self {
        let phase = &trial.phases[index];
        let mut problems = Vec::new();
        let curve = format!(".{}.progress.csv", phase.name);
        let curve = file(trial, directory, &curve).and_then(|path| match series::progress(&path) {
            Ok(points) => Some(points),
            Err(error) => {
                problems.push(directory.name_problem(&error));
                None
            }
        });
        let is_last = index + 1 == trial.phases.len();
        let waited_s = Some(trial.wall_s - phase.started_s).filter(|_| is_last && phase.verdict.is_some());
        let progress = curve.map(|points| progress(phase, &points, waited_s));
        let end_s = trial.phases.get(index + 1).map_or(f64::INFINITY, |next| next.started_s);
        let times: Vec<_> =
            phase.stages.iter().map(|(stage, of)| (stage, of, times(ledgers, phase, stage, of, end_s))).collect();
        let drawn = times.iter().filter_map(|(stage, _, times)| Some(Cdf { stage, ms: &times.as_ref()?.ms }));
        let drawn: Vec<Cdf<'_>> = drawn.filter(|cdf| !cdf.ms.is_empty()).take(LINES).collect();
        let stages = (!drawn.is_empty()).then(|| stage_times(&phase.name, &drawn));
        Self {
            name: format!("{} {}", index + 1, phase.name),
            progress,
            stages,
            quantiles: quantiles(&times, &drawn),
            remarks: times.iter().filter_map(|(stage, of, times)| remark(stage, of, times.as_ref()?)).collect(),
            moves: moves(phase),
            missing: Table::of_pairs(
                "Objects that it cannot account for, the first of them",
                phase.missing.iter().map(|missing| (missing.name.clone(), missing.reason.clone())),
            ),
            slowest: Table::of_pairs(
                "Slowest objects",
                phase.slowest.iter().take(SLOWEST).map(|slow| (slow.name.clone(), seconds(slow.took_ms / 1e3))),
            ),
            breakdowns: phase
                .breakdowns
                .iter()
                .filter(|breakdown| !breakdown.parts.is_empty())
                .map(Stacked::of)
                .collect(),
            problems,
        }
    }

    /// Whether its objects have stages: those of a load have none.
    pub(crate) fn has_stages(&self) -> bool {
        !self.quantiles.is_empty()
    }

    /// The tables that there are beside the plots.
    pub(crate) fn details(&self) -> Vec<&Table> {
        let all = [&self.moves, &self.slowest, &self.missing];
        all.into_iter().filter(|table| !table.is_empty()).collect()
    }
}

impl Stacked {
    fn of(breakdown: &Breakdown) -> Self {
        let mut legend = Table::new("Its parts", &["part", "how much", "share"]);
        let whole: f64 = breakdown.parts.iter().map(|part| part.value).sum();
        for (index, part) in breakdown.parts.iter().enumerate() {
            let name = if index < LINES { format!("{} {}", letter(index), part.name) } else { part.name.clone() };
            let share = if whole > 0.0 { percent(part.value / whole) } else { "-".to_owned() };
            let figures = [format!("{} {}", figure(part.value), breakdown.unit), share];
            legend.push([Cell::Text(name)].into_iter().chain(figures.map(Cell::Number)));
        }
        Self { name: breakdown.name.clone(), bar: stacked(breakdown), legend }
    }
}

/// The file beside a record whose name ends so, if the record lists one inside the run's directory.
pub(crate) fn file(trial: &Trial, directory: &RunDir, suffix: &str) -> Option<PathBuf> {
    trial.files.iter().find(|file| file.ends_with(suffix)).and_then(|file| directory.inside(file))
}

/// The times of a stage (`from -> to`) within a phase, from the account whose count comes nearest to the record's.
fn times(ledgers: &[LedgerTable], phase: &PhaseRecord, stage: &str, of: &Quantiles, end_s: f64) -> Option<StageTimes> {
    let (from, to) = stage.split_once(" -> ")?;
    // Stamps are written in microseconds, the begin of a phase in nanoseconds.
    let start_s = phase.started_s - 1e-6;
    let times = ledgers.iter().filter_map(|ledger| ledger.times(from, to, start_s, end_s));
    times.min_by_key(|times| times.ms.len().abs_diff(of.n))
}

/// A curve that rests on other objects than the record's quantiles.
fn remark(stage: &str, of: &Quantiles, times: &StageTimes) -> Option<String> {
    let drawn = times.ms.len();
    (drawn != of.n).then(|| format!("{stage}: the curve has {drawn} objects, the record's quantiles {}.", of.n))
}

/// The quantiles of each stage. What came late or was only listed is no measurement, and is counted beside them.
fn quantiles(stages: &[(&String, &Quantiles, Option<StageTimes>)], drawn: &[Cdf<'_>]) -> Table {
    let head = ["stage", "n", "p50", "p90", "p99", "max", "late ~", "listed ?"];
    let mut table = Table::new("Times of the stages, ms", &head);
    for (stage, quantiles, times) in stages {
        let line = drawn.iter().position(|cdf| cdf.stage == *stage);
        let name = line.map_or_else(|| Cell::Text((*stage).clone()), |index| Cell::line(index, stage));
        let Quantiles { n, p50_ms, p90_ms, p99_ms, max_ms } = quantiles;
        let figures = [p50_ms, p90_ms, p99_ms, max_ms].map(|ms| Cell::Number(maybe_figure(ms)));
        let left_out = |count: fn(&StageTimes) -> usize| {
            Cell::Number(times.as_ref().map_or("-".to_owned(), |t| count(t).to_string()))
        };
        let left_out = [left_out(|times| times.late), left_out(|times| times.relisted)];
        table.push([name, Cell::number(n)].into_iter().chain(figures).chain(left_out));
    }
    table
}

fn moves(phase: &PhaseRecord) -> Table {
    let standstill = phase.longest_standstill_s.map(|time| ("longest time without progress".to_owned(), seconds(time)));
    let gap = phase.gap.as_ref().map(|gap| {
        let figures = format!("{} at the median of {} looks, {} at most", gap.p50, gap.n, gap.max);
        (format!("objects between {}", gap.between), figures)
    });
    let ended = phase.ended_watches.filter(|ended| *ended > 0.0);
    let ended = ended.map(|ended| ("watches of anybody that the apiserver ended".to_owned(), figure(ended)));
    let faults = phase.faults.iter().map(|fault| {
        let recovered = fault
            .recovered_after_s
            .map_or("it did not go on".to_owned(), |after| format!("it went on for good after {}", seconds(after)));
        (format!("{} at +{}", fault.what, seconds(fault.at_s)), recovered)
    });
    Table::of_pairs("How it moved", standstill.into_iter().chain(gap).chain(ended).chain(faults))
}
