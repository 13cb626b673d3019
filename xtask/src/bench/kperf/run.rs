//! One run of either tool, and what its result says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::SignedDuration;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Deserialize;

use crate::bench::fixture::succeeded;
use crate::bench::paired::Side;
use crate::exit::Failure;

/// Both tools.
pub(super) struct Runner {
    pub(super) ours: PathBuf,
    pub(super) theirs: PathBuf,
    /// Where profiles and results go.
    pub(super) scratch: PathBuf,
}

/// The latency that ours reports; theirs has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latency {
    Response,
    Service,
}

/// What a run came to.
pub(super) struct Run {
    /// Requests answered well.
    pub(super) answered: u64,
    /// By the tool's own clock, in seconds.
    pub(super) took_s: f64,
    /// CPU seconds of the process.
    pub(super) cpu_s: f64,
    quantiles: Vec<(f64, f64)>,
}

/// A result as kperf v0.3.5 writes it.
#[derive(Deserialize)]
struct Report {
    aggregated: Aggregated,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aggregated {
    total: u64,
    duration: String,
    #[serde(default)]
    error_stats: BTreeMap<String, u64>,
    percentile_latencies: Vec<(f64, f64)>,
}

impl Run {
    /// A quantile of the latencies, in seconds.
    pub(super) fn quantile(&self, wanted: f64) -> Result<f64, Failure> {
        let found = self.quantiles.iter().find(|(p, _)| (p - wanted).abs() < 1e-9);
        found.map(|(_, seconds)| *seconds).ok_or_else(|| Failure::environment(format!("the result has no p{wanted}")))
    }
}

impl Runner {
    /// Sends `profile` to the cluster of `kubeconfig`.
    pub(super) fn run(&self, side: Side, kubeconfig: &Path, profile: &str, latency: Latency) -> Result<Run, Failure> {
        let (file, result) = (self.scratch.join("profile.yaml"), self.scratch.join("result.json"));
        std::fs::write(&file, profile).map_err(|error| at(&file, &error.to_string()))?;
        std::fs::remove_file(&result).ok();
        let program = if side == Side::Ours { &self.ours } else { &self.theirs };
        let mut command = Command::new(program);
        command.args(["runner", "run", "--kubeconfig"]).arg(kubeconfig).arg("--config").arg(&file);
        command.arg("--result").arg(&result).stdout(Stdio::null()).stderr(Stdio::null());
        if side == Side::Ours && latency == Latency::Service {
            command.args(["--latency", "service"]);
        }
        let before = cpu_of_children()?;
        succeeded(&program.display().to_string(), command.status())?;
        let cpu_s = cpu_of_children()? - before;
        let text = std::fs::read_to_string(&result).map_err(|error| at(&result, &error.to_string()))?;
        let report: Report = serde_json::from_str(&text).map_err(|error| at(&result, &error.to_string()))?;
        let Aggregated { total, duration, error_stats, percentile_latencies } = report.aggregated;
        let took: SignedDuration =
            duration.parse().map_err(|error| at(&result, &format!("duration `{duration}`: {error}")))?;
        Ok(Run {
            answered: total.saturating_sub(error_stats.values().sum()),
            took_s: took.as_secs_f64(),
            cpu_s,
            quantiles: percentile_latencies,
        })
    }

    /// The same with the tool on the last core alone, which the servers here leave to it.
    pub(super) fn on_one_core(&self, side: Side, kubeconfig: &Path, profile: &str) -> Result<Run, Failure> {
        // A thread of its own: the child inherits where it may run, and nobody else does.
        std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                pin(Core::Last)?;
                self.run(side, kubeconfig, profile, Latency::Service)
            });
            run.join().unwrap_or_else(|_| Err(Failure::environment("the thread of the run died")))
        })
    }
}

/// Where a thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    First,
    Last,
}

/// Binds the current thread, and what it starts, to one core.
pub(super) fn pin(core: Core) -> Result<(), Failure> {
    let failed = |error: rustix::io::Errno| Failure::environment(format!("cannot choose a core: {error}"));
    let allowed = sched_getaffinity(None).map_err(failed)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let chosen = if core == Core::First { cores.next() } else { cores.next_back() };
    let mut one = CpuSet::new();
    one.set(chosen.unwrap_or_default());
    sched_setaffinity(None, &one).map_err(failed)
}

/// CPU seconds of all children that have ended: fields 16 and 17 of `/proc/self/stat`, see `proc_pid_stat(5)`.
fn cpu_of_children() -> Result<f64, Failure> {
    let path = Path::new("/proc/self/stat");
    let text = std::fs::read_to_string(path).map_err(|error| at(path, &error.to_string()))?;
    // The second field is a name in brackets, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks = fields.get(13..15).map(|both| both.iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>());
    let ticks = ticks.ok_or_else(|| at(path, "has no times of children"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn at(path: &Path, message: &str) -> Failure {
    Failure::environment(format!("{}: {message}", path.display()))
}
