//! The record of one trial. Units are in the names of the fields.

use std::collections::BTreeMap;

use measure::arms::Round;
use measure::{Gap, Judged, Missing, Quantiles, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the schema of `run.json` and of the trial records.
pub const SCHEMA: u32 = 1;

/// Version of the definitions of the metrics: raised when a metric of the same name comes to mean something else.
pub const METRICS: u32 = 1;

/// `trials/<suite>/<test>.json`: one run of one test function.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// [`METRICS`] of the writer.
    #[serde(default = "first_definitions")]
    pub metrics_version: u32,
    /// The run.
    pub run_id: String,
    /// The suite's package.
    pub suite: String,
    /// The row's name.
    pub test: String,
    /// The provider of its cluster.
    pub provider: String,
    /// The nextest profile.
    pub profile: String,
    /// The document that publishes the claims.
    pub document: Document,
    /// Whether it is of a comparator: measured with the same care, but a stall of its is a result and no error.
    #[serde(default)]
    pub comparator: bool,
    /// The arm that it is a run of; absent outside comparisons.
    #[serde(default)]
    pub arm: Option<ArmRun>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// From its begin to this writing, in seconds.
    pub wall_s: f64,
    /// Absent while it runs, and for ever when it was killed.
    pub verdict: Option<Verdict>,
    /// One sentence that explains the verdict, or says what was going on.
    pub reason: String,
    /// Why its times cannot be trusted: a starved harness, a clock that was set. Absent when they can.
    #[serde(default)]
    pub untimed: Option<String>,
    /// Stated differences between the document's set-up and this one.
    pub deviations: Vec<String>,
    /// The row's parameters, overrides included.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The parameters that were overridden.
    pub overridden: BTreeMap<String, serde_json::Value>,
    /// What its random orders follow from, by what is ordered; it follows from the run's id.
    #[serde(default)]
    pub seeds: BTreeMap<String, u64>,
    /// Versions of the system under test beside the document's, by system.
    pub versions: BTreeMap<String, String>,
    /// Settings of the cluster that change what is measured.
    pub settings: serde_json::Value,
    /// Where each program of the cluster came from.
    pub programs: Vec<serde_json::Value>,
    /// The phases so far.
    pub phases: Vec<PhaseRecord>,
    /// Every figure, by name; the unit is in the name.
    pub metrics: BTreeMap<String, f64>,
    /// The budgets, judged.
    pub budgets: Vec<Judged>,
    /// Figures of others beside ours.
    pub published: Vec<Published>,
    /// What the watches went through.
    pub watches: BTreeMap<String, WatchRecord>,
    /// What the machine did meanwhile.
    pub machine: MachineUse,
    /// What the harness itself cost.
    pub harness: HarnessUse,
    /// Components that died, when, in words.
    pub component_deaths: Vec<String>,
    /// Things worth knowing that no budget judges: why times cannot be trusted, a fault that was never injected.
    pub notes: Vec<String>,
    /// Files beside the record, relative to the run's directory.
    pub files: Vec<String>,
}

impl Trial {
    /// Whether it ended as it may: it passed, or it is a comparator's whose stall is the result.
    pub fn ended_well(&self) -> bool {
        self.verdict.is_some_and(|verdict| ended_well(verdict, self.comparator))
    }
}

pub(crate) fn ended_well(verdict: Verdict, comparator: bool) -> bool {
    verdict.passes() || comparator && matches!(verdict, Verdict::Stalled | Verdict::Timeout)
}

/// Of records that were written before there was a second version.
fn first_definitions() -> u32 {
    1
}

/// Which run of a comparison a trial is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArmRun {
    /// The arm.
    pub arm: String,
    /// The round, from 0: warm-ups count by themselves.
    pub repeat: usize,
    /// Whether its figures are thrown away.
    pub warm_up: bool,
    /// Its place among all runs of the comparison, warm-ups included, from 0.
    pub position: usize,
}

impl ArmRun {
    /// Where its run directory is in that of the comparison: `arms/base/003`.
    pub fn directory(&self) -> String {
        let Self { arm, repeat, warm_up, .. } = self;
        format!("arms/{arm}/{}{repeat:03}", if *warm_up { "warm-up-" } else { "" })
    }
}

impl From<&measure::arms::Run> for ArmRun {
    fn from(run: &measure::arms::Run) -> Self {
        let (warm_up, repeat) = match run.round {
            Round::WarmUp(round) => (true, round),
            Round::Repeat(round) => (false, round),
        };
        Self { arm: run.arm.clone(), repeat, warm_up, position: run.position }
    }
}

/// The document that a suite checks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// Its number and file name in this project's list.
    pub name: String,
}

/// A named part of a trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRecord {
    /// Its name.
    pub name: String,
    /// From the begin of the trial, in seconds.
    pub started_s: f64,
    /// How long it took; for a stalled one, until it last moved.
    pub took_s: f64,
    /// `complete after 12.3s`, `stalled at 922/1000 after 14m25s`, …
    pub end: String,
    /// The verdict that the end forces, if it forces one.
    pub verdict: Option<Verdict>,
    /// Objects that should have got there.
    pub expected: usize,
    /// Objects seen.
    pub seen: usize,
    /// Objects that got there.
    pub done: usize,
    /// Objects whose last event came late, because the watch was broken when it happened: counted, not measured.
    pub late: usize,
    /// Objects whose last stamp a list gave and no event: counted, not measured.
    pub relisted: usize,
    /// Objects that went before they got there: evicted, or made too many.
    pub gone_early: usize,
    /// Objects that cannot be accounted for.
    pub unaccounted: usize,
    /// Their names and reasons, the first twenty.
    pub missing: Vec<Missing>,
    /// When shares of the objects were done.
    pub progress: ProgressTimes,
    /// Objects done by the time the phase took.
    pub per_s: f64,
    /// Quantiles of each stage, by `from -> to`.
    pub stages: BTreeMap<String, Quantiles>,
    /// The slowest objects, slowest first.
    pub slowest: Vec<SlowObject>,
    /// CPU and memory of the components in this phase.
    pub components: BTreeMap<String, ComponentUse>,
    /// The longest time in which no object got there, in seconds.
    pub longest_standstill_s: Option<f64>,
    /// How many objects were between two stages, looked at once a second; for phases in which something has to keep up.
    pub gap: Option<Gap>,
    /// Faults that the trial injected.
    pub faults: Vec<FaultRecord>,
    /// CPU milliseconds of the yardstick: the median of the phase.
    pub yardstick_ms: Option<f64>,
    /// Requests that the apiserver counted, without watches.
    pub api_requests: Option<f64>,
    /// The most frequent of them, as `VERB resource`.
    pub api_requests_by: BTreeMap<String, f64>,
    /// Watches of anybody that the apiserver ended because they did not keep up; on an apiserver that is out of CPU, none
    /// does.
    #[serde(default)]
    pub ended_watches: Option<f64>,
    /// Writes that etcd took.
    pub etcd_puts: Option<f64>,
    /// Bytes that they added to etcd's write-ahead log.
    pub etcd_wal_bytes: Option<f64>,
    /// Growth of etcd's database file, in bytes.
    pub etcd_db_growth_bytes: Option<f64>,
    /// What a figure of the phase is made of.
    #[serde(default)]
    pub breakdowns: Vec<Breakdown>,
}

/// A figure and the parts that add up to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Breakdown {
    /// What they are parts of: `where the time of a tenant goes`.
    pub name: String,
    /// The unit of the parts.
    pub unit: String,
    /// The parts, in the order in which they are stacked.
    pub parts: Vec<Part>,
}

/// A part of a figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How much it is, not below zero.
    pub value: f64,
}

impl Breakdown {
    /// Parts by name, and a rest that makes them `whole`. What was measured by itself may be more than the whole: then there is
    /// no rest.
    pub fn with_rest(name: &str, unit: &str, whole: f64, parts: &[(&str, f64)], rest: &str) -> Self {
        let finite = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
        let known: f64 = parts.iter().map(|(_, value)| finite(*value)).sum();
        let all = parts.iter().copied().chain([(rest, whole - known)]);
        let parts = all.map(|(name, value)| Part { name: name.to_owned(), value: finite(value) });
        Self { name: name.to_owned(), unit: unit.to_owned(), parts: parts.collect() }
    }
}

/// When shares of the objects were done, in seconds from the start of the phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProgressTimes {
    /// Half of them.
    pub t50_s: Option<f64>,
    /// Nine in ten.
    pub t90_s: Option<f64>,
    /// 99 in a hundred.
    pub t99_s: Option<f64>,
    /// All.
    pub t100_s: Option<f64>,
}

/// One of the slowest objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SlowObject {
    /// Its name.
    pub name: String,
    /// Its time through the phase, in milliseconds.
    pub took_ms: f64,
}

/// A fault that a trial injected into its own system.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// What was done: `kube-scheduler killed`.
    pub what: String,
    /// When, in seconds from the start of the trial.
    pub at_s: f64,
    /// How long after it objects got there again for good: the end of the longest standstill that followed, in seconds.
    /// Absent when none got there any more.
    pub recovered_after_s: Option<f64>,
}

/// What a component used in a phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ComponentUse {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
}

/// A figure that others published.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// What it is a figure of.
    pub figure: String,
    /// As published, with its unit.
    pub theirs: String,
    /// Where.
    pub source: String,
    /// The metric of ours that stands beside it, if one does.
    pub metric: Option<String>,
    /// Where it stands in a table of the document, which is then regenerated.
    #[serde(default)]
    pub cell: Option<Cell>,
}

/// A place in a table of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The table.
    pub table: String,
    /// The row: a system.
    pub row: String,
    /// The column: a phase.
    pub column: String,
    /// Whether the other rows are shown as ratios to this one.
    pub baseline: bool,
}

/// What a watch went through.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct WatchRecord {
    /// Events read.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Times that the stream ended or failed and was opened again.
    pub breaks: u64,
    /// Times that the apiserver had forgotten the resourceVersion (410 Gone).
    pub gone: u64,
    /// Lists after a break; what only they showed is marked in the ledger.
    pub relists: u64,
    /// Events that were no event that we know.
    pub undecoded: u64,
}

/// What the machine did during a trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MachineUse {
    /// Share of its CPU time that was busy, 0 to 1.
    pub busy_share: f64,
    /// Share of its CPU time that a hypervisor gave to others, 0 to 1.
    pub steal_share: f64,
    /// One-minute load average at the start.
    pub load_at_start: f64,
    /// By how much the wall clock moved against the monotonic one, in milliseconds.
    pub clock_step_ms: f64,
    /// CPU milliseconds of the yardstick, a fixed piece of work done every second: the median of the trial.
    pub yardstick_ms: f64,
}

/// What the harness itself cost.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct HarnessUse {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Peak resident memory in bytes.
    pub peak_rss_bytes: u64,
    /// The largest share of the trial that one of its threads was ready but had no CPU, 0 to 1; absent where the kernel
    /// does not count it.
    pub cpu_wait_share: Option<f64>,
    /// API requests that it made.
    pub requests: u64,
    /// Bytes that its watches read.
    pub watch_bytes: u64,
    /// Heap bytes of its ledgers, an object.
    pub ledger_bytes_per_object: f64,
}
