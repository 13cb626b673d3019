//! One row of a run on the page: a trial, a record that cannot be read, or a row that never began.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use measure::{Verdict, budget};

use super::cause::{Cause, causes};
use super::cells::{Badge, Cell, Table};
use super::costs;
use super::phase::{self, Phase};
use super::plots::{Band, LINES, OverTime, over_time};
use super::series::{self, Components};
use super::setup::{self, Clusters};
use super::usage::{self, Use};
use crate::gather::{Run, TrialSummary};
use crate::run_dir::{Error, RunDir};
use crate::schema::Trial;
use crate::source::Source;
use crate::text::figure;

/// A row as the page shows it.
#[derive(Debug, Template)]
#[template(path = "row.html")]
pub(crate) struct Row {
    pub(crate) open: bool,
    pub(crate) suite: String,
    pub(crate) test: String,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) took: String,
    /// Budgets met, of how many.
    pub(crate) met: String,
    /// Its place in the page, unique.
    pub(crate) id: String,
    document: String,
    problems: Vec<String>,
    causes: Vec<Cause>,
    budgets: Table,
    overview: Table,
    phases: Vec<Phase>,
    costs: Vec<Table>,
    usage: Option<Usage>,
    published: Table,
    deviations: Vec<String>,
    notes: Vec<String>,
    setup: Vec<Table>,
    /// The number of its cluster.
    cluster: Option<usize>,
    /// The versions of its cluster, in short.
    versions: String,
    files: Vec<String>,
    repeat: String,
}

/// CPU and memory over the time of a row.
#[derive(Debug)]
struct Usage {
    cores: String,
    memory: String,
    legend: Table,
    seconds_a_point: String,
    not_drawn: usize,
}

impl HtmlSafe for Row {}

impl Row {
    /// The row of `source`, with the series that lie in `directory`.
    pub(crate) fn new(source: &Source, id: String, directory: &RunDir, run: &Run, clusters: &mut Clusters) -> Self {
        let summary = source.summary(&run.profile);
        let mut row = Self::of_summary(&summary, id, &run.command);
        row.problems.extend(source.problem().map(str::to_owned));
        match source.trial() {
            Some(trial) => Self {
                cluster: Some(clusters.number(trial)),
                repeat: setup::repeat(&summary, &trial.overridden, &run.command),
                ..row.with_record(trial, directory, run)
            },
            None => row,
        }
    }

    /// The verdict as the page shows it.
    pub(crate) fn badge(&self) -> Badge {
        Badge { verdict: self.verdict }
    }

    /// A file without the folder and the name of the row, which all its series begin with.
    fn short<'a>(&self, file: &'a str) -> &'a str {
        let name = file.rsplit('/').next().unwrap_or(file);
        name.strip_prefix(&format!("{}.{}.", self.suite, self.test)).unwrap_or(name)
    }

    fn of_summary(summary: &TrialSummary, id: String, command: &[String]) -> Self {
        Self {
            open: false,
            id,
            suite: summary.suite.clone(),
            test: summary.test.clone(),
            verdict: summary.verdict,
            reason: summary.reason.clone(),
            took: summary.took(),
            met: met(&summary.budgets),
            document: String::new(),
            problems: Vec::new(),
            causes: Vec::new(),
            budgets: Table::new("Budgets", &[]),
            overview: Table::new("Phases", &[]),
            phases: Vec::new(),
            costs: Vec::new(),
            usage: None,
            published: Table::new("Published figures beside ours", &[]),
            deviations: summary.deviations.clone(),
            notes: Vec::new(),
            setup: Vec::new(),
            cluster: None,
            versions: String::new(),
            files: Vec::new(),
            repeat: setup::repeat(summary, &BTreeMap::new(), command),
        }
    }

    fn with_record(self, trial: &Trial, directory: &RunDir, run: &Run) -> Self {
        let mut problems = Vec::new();
        let (components, ledgers) = read_series(trial, directory, &mut problems);
        let cpus = run.fingerprint.cpus;
        let passes = trial.verdict.is_some_and(Verdict::passes);
        let phases = (0..trial.phases.len()).map(|index| Phase::new(trial, index, &ledgers, directory));
        let setup = [setup::parameters(trial), setup::machine_and_harness(trial), setup::watches(trial)];
        let versions: Vec<String> = trial.versions.iter().map(|(of, version)| format!("{of} {version}")).collect();
        let record = format!("trials/{}/{}.json", trial.suite, trial.test);
        let listed = std::iter::once(&record).chain(&trial.files);
        Self {
            document: trial.document.title.clone(),
            causes: if passes { Vec::new() } else { causes(trial, cpus, components.as_ref()) },
            budgets: setup::budgets(trial),
            overview: phase::overview(trial),
            phases: phases.collect(),
            costs: there([costs::components(trial), costs::requests(trial)]),
            usage: components.map(|components| Usage::new(trial, &components, cpus)),
            published: setup::published(trial),
            notes: trial.notes.clone(),
            setup: there(setup),
            files: listed.filter(|file| directory.inside(file).is_some_and(|path| path.exists())).cloned().collect(),
            versions: versions.join(", "),
            problems,
            ..self
        }
    }
}

/// The tables that have rows.
fn there(tables: impl IntoIterator<Item = Table>) -> Vec<Table> {
    tables.into_iter().filter(|table| !table.is_empty()).collect()
}

impl Usage {
    fn new(trial: &Trial, components: &Components, cpus: usize) -> Self {
        let uses = usage::over_time(components);
        let bands: Vec<Band> = trial
            .phases
            .iter()
            .map(|phase| {
                let end_s = phase.started_s + phase.took_s;
                let end_s = if phase.verdict.is_some() { trial.wall_s.max(end_s) } else { end_s };
                Band { name: phase.name.clone(), span_s: (phase.started_s, end_s) }
            })
            .collect();
        let busiest = uses.first().map_or(String::new(), |used| {
            format!("{} used most, {} CPU seconds; the table below has all.", used.name, figure(used.cpu_s))
        });
        let cores = over_time(&OverTime {
            title: "CPU of the components over time",
            description: &busiest,
            unit: "cores",
            bands: &bands,
            lines: uses.iter().map(|used| &used.cores).collect(),
            limit: (cpus > 0).then(|| (cpus as f64, format!("all {cpus} cores"))),
        });
        let largest = uses.iter().map(|used| (&used.name, highest(&used.memory_mib)));
        let largest = largest.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(String::new(), |(name, mib)| {
            format!("{name} used most, {} MiB; the table below has all.", figure(mib))
        });
        let memory = over_time(&OverTime {
            title: "Memory of the components over time",
            description: &largest,
            unit: "MiB resident",
            bands: &bands,
            lines: uses.iter().map(|used| &used.memory_mib).collect(),
            limit: None,
        });
        Self {
            cores,
            memory,
            legend: legend(&uses),
            seconds_a_point: figure(usage::seconds_a_point(components)),
            not_drawn: uses.len().saturating_sub(LINES),
        }
    }
}

fn legend(uses: &[Use]) -> Table {
    let mut table = Table::new("Lines of both plots", &["component", "CPU s", "most cores", "most memory, MiB"]);
    for (index, used) in uses.iter().enumerate() {
        let name = if index < LINES { Cell::line(index, &used.name) } else { Cell::Text(used.name.clone()) };
        let (cores, memory) = (highest(&used.cores), highest(&used.memory_mib));
        let figures = [format!("{:.1}", used.cpu_s), format!("{cores:.2}"), figure(memory)];
        table.push([name].into_iter().chain(figures.map(Cell::Number)));
    }
    table
}

fn highest(pieces: &usage::Pieces) -> f64 {
    pieces.iter().flatten().map(|point| point.1).fold(0.0, f64::max)
}

/// The series of a trial; what cannot be read is a problem of the row and no more.
fn read_series(
    trial: &Trial,
    directory: &RunDir,
    problems: &mut Vec<String>,
) -> (Option<Components>, Vec<series::LedgerTable>) {
    let mut tell = |error: Error| problems.push(directory.name_problem(&error));
    let components = phase::file(trial, directory, ".components.csv");
    let components = components.and_then(|path| series::components(&path).map_err(&mut tell).ok());
    let ledgers = trial.files.iter().filter(|file| file.ends_with(".ledger.csv"));
    let ledgers = ledgers.filter_map(|file| directory.inside(file));
    let ledgers = ledgers.filter_map(|path| series::ledger(&path).map_err(&mut tell).ok()).collect();
    (components, ledgers)
}

fn met(budgets: &[budget::Judged]) -> String {
    let met = budgets.iter().filter(|judged| judged.verdict.passes()).count();
    if budgets.is_empty() { "-".to_owned() } else { format!("{met}/{}", budgets.len()) }
}
