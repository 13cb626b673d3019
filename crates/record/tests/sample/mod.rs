//! Runs made up for tests and benches: the files of a virtual node pool, as a run leaves them, with every field filled.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use measure::budget::{Direction, Role};
use measure::{Gap, Judged, Missing, Quantiles, Verdict};
use record::{
    ComponentUse, Document, Expected, Fingerprint, HarnessUse, MachineUse, PhaseRecord, ProgressTimes, Published, Run,
    RunDir, SCHEMA, SlowObject, State, Trial, WatchRecord,
};
use serde_json::json;

/// The suite of every row.
pub(crate) const SUITE: &str = "kperf-suite";
const COMPONENTS: [(&str, f64); 5] = [
    ("etcd", 0.21),
    ("kube-apiserver", 0.94),
    ("kube-controller-manager", 0.3),
    ("kube-scheduler", 0.17),
    ("kwok-controller", 0.26),
];
const PHASES: [&str; 5] = ["create-nodes", "create-pods", "roll-pods", "delete-pods", "delete-nodes"];
const REQUESTS: [(&str, f64); 12] = [
    ("PATCH pods/status", 2000.0),
    ("POST events", 1110.0),
    ("POST pods", 1000.0),
    ("POST pods/binding", 1000.0),
    ("PUT deployments/status", 500.0),
    ("PUT replicasets/status", 441.0),
    ("PATCH nodes/status", 200.0),
    ("PUT leases", 180.0),
    ("GET pods", 96.0),
    ("GET leases", 44.0),
    ("LIST pods", 9.0),
    ("POST deployments", 10.0),
];
const STAGES: [&str; 4] = ["intended", "observed", "scheduled", "running"];

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every budget met.
    Passed,
    /// A gate missed.
    Missed,
    /// The last phase stops short of its end.
    Stalled,
    /// The process went before it judged.
    Killed,
}

/// Writes a run with these rows, each with five phases of `pods` pods, or with three when it did not come to its end.
pub(crate) fn write_run(directory: &RunDir, rows: &[(&str, Ending)], pods: usize) {
    for (test, ending) in rows {
        write_row(directory, test, *ending, pods);
    }
    let expected = rows.iter().map(|(test, _)| Expected { suite: SUITE.to_owned(), test: (*test).to_owned() });
    let run = Run {
        schema: SCHEMA,
        run_id: "20261123-014500-4f2a".to_owned(),
        state: State::Complete,
        started_at: "2026-11-23T01:45:00Z".to_owned(),
        wall_s: Some(61.5),
        command: ["cargo", "xtask", "run", "kperf"].map(str::to_owned).into(),
        git_revision: "0123456789ab".to_owned(),
        kubedyno_version: "0.1.0".to_owned(),
        profile: "default".to_owned(),
        nextest_run_id: None,
        fingerprint: Fingerprint {
            cpu_model: "Example CPU".to_owned(),
            cpus: 2,
            memory_bytes: 8 << 30,
            kernel: "6.12.0".to_owned(),
            os: "Example Linux 13".to_owned(),
            architecture: "x86_64".to_owned(),
            host: "0123456789abcdef".to_owned(),
        },
        seeds: BTreeMap::from([("arrivals".to_owned(), 7)]),
        expected: expected.collect(),
        not_selected: vec!["kperf-suite nodepool_published: needs profile published".to_owned()],
        trials: Vec::new(),
    };
    directory.write_json(&directory.run_json(), &run).unwrap();
}

/// Writes one row's record and series.
pub(crate) fn write_row(directory: &RunDir, test: &str, ending: Ending, pods: usize) {
    let mut series = Series { directory, prefix: format!("series/{SUITE}.{test}"), files: Vec::new() };
    let names = if matches!(ending, Ending::Stalled | Ending::Killed) { &PHASES[..3] } else { &PHASES };
    let pace = 8.0 / pods.max(1) as f64;
    let mut csv = format!("name,cohort,{}\n", STAGES.join(","));
    let mut phases = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let start = 1.0 + 10.0 * index as f64;
        let stops = ending == Ending::Stalled && index + 1 == names.len();
        let pods_of = Pods::make(index, if stops { pods * 9 / 10 } else { pods }, start, pace);
        pods_of.write(&mut csv);
        phases.push(pods_of.phase(name, pods, start));
        series.write(&format!("{name}.progress"), &pods_of.progress(start));
    }
    let busy_s = 1.0 + 10.0 * names.len() as f64;
    let wall_s = if ending == Ending::Stalled { busy_s + 60.0 } else { busy_s };
    if ending != Ending::Killed {
        series.write("pods.ledger", &csv);
        series.write("components", &components(busy_s, wall_s));
    }
    let files = series.files;
    directory.write_trial(&trial(test, ending, phases, wall_s, files)).unwrap();
}

fn trial(test: &str, ending: Ending, phases: Vec<PhaseRecord>, wall_s: f64, files: Vec<String>) -> Trial {
    let (verdict, reason) = match ending {
        Ending::Passed => (Some(Verdict::Pass), "20 budgets met: create-nodes 8.1 s, create-pods 8.1 s, …".to_owned()),
        Ending::Missed => {
            (Some(Verdict::Fail), "create_pods_api_requests_per_object is 10.8, budget at most 7.20".to_owned())
        }
        Ending::Stalled => (Some(Verdict::Stalled), format!("roll-pods: {}", phases[2].end)),
        Ending::Killed => (None, format!("last phase: roll-pods: {}", phases[2].end)),
    };
    let requests = if ending == Ending::Missed { 10.8 } else { 5.6 };
    let mut budgets = Vec::new();
    for phase in PHASES.map(|phase| phase.replace('-', "_")) {
        let requests = if phase == "create_pods" { requests } else { 5.6 };
        let metric = |what: &str| format!("{phase}_{what}");
        budgets.push(judged(&metric("per_s"), Role::Ceiling, Direction::AtLeast, 20.0, 123.0));
        budgets.push(judged(&metric("api_requests_per_object"), Role::Gate, Direction::AtMost, 7.2, requests));
        budgets.push(judged(&metric("etcd_puts_per_object"), Role::Gate, Direction::AtMost, 6.6, 5.2));
        budgets.push(judged(&metric("etcd_wal_bytes_per_object"), Role::Gate, Direction::AtMost, 14_000.0, 11_492.0));
    }
    let figures = ["nodes of a pool", "nodes ready per second", "pods running per second", "pods gone per second"];
    let published = figures.map(|figure| Published {
        figure: figure.to_owned(),
        theirs: "at least 167 (10,000 within 60 s)".to_owned(),
        source: "kwok's own CI benchmark, no scheduler, client limits off".to_owned(),
        metric: Some("create_pods_per_s".to_owned()),
        cell: None,
    });
    let deviation = "Nodes and pods are simulated: the step from scheduled to running is the simulation's own time.";
    let parameters =
        ["nodes", "node_cpu", "node_memory_gib", "node_max_pods", "deployments", "replicas", "phase_limit_s"];
    Trial {
        metrics_version: record::METRICS,
        comparator: false,
        arm: None,
        schema: SCHEMA,
        run_id: "20261123-014500-4f2a".to_owned(),
        suite: SUITE.to_owned(),
        test: test.to_owned(),
        provider: "kwok".to_owned(),
        profile: "default".to_owned(),
        document: Document { title: "Getting started with kperf".to_owned(), name: "003-kperf".to_owned() },
        started_at: "2026-11-23T01:45:02Z".to_owned(),
        wall_s,
        verdict,
        reason,
        untimed: None,
        deviations: vec![deviation.to_owned(); 6],
        parameters: parameters.map(|name| (name.to_owned(), json!(50))).into(),
        overridden: BTreeMap::from([("nodes".to_owned(), json!(50))]),
        seeds: BTreeMap::from([("arms".to_owned(), 7)]),
        versions: BTreeMap::from([("kubernetes".to_owned(), "v1.36.2".to_owned())]),
        settings: json!({"etcd_unsafe_no_fsync": true, "scheduler_qps": 1000}),
        programs: vec![json!({
            "name": "etcd", "version": "3.6.8", "source": "go modules", "sha256": "ab".repeat(32), "path": "/cache/etcd",
        })],
        phases,
        metrics: BTreeMap::from([("create_pods_per_s".to_owned(), 123.0), ("pods".to_owned(), 1000.0)]),
        budgets: if ending == Ending::Killed { Vec::new() } else { budgets },
        published: published.into(),
        watches: BTreeMap::from([(
            "pods".to_owned(),
            WatchRecord { events: 5003, bytes: 9 << 20, breaks: 1, gone: 0, relists: 1, undecoded: 0 },
        )]),
        machine: MachineUse {
            busy_share: 0.93,
            steal_share: 0.004,
            load_at_start: 0.4,
            clock_step_ms: 0.2,
            yardstick_ms: 2.4,
        },
        harness: HarnessUse {
            cpu_s: 1.7,
            peak_rss_bytes: 25 << 20,
            cpu_wait_share: Some(0.06),
            requests: 431,
            watch_bytes: 9 << 20,
            ledger_bytes_per_object: 221.0,
        },
        component_deaths: Vec::new(),
        notes: vec![
            "the watch of pods broke once".to_owned(),
            "create-pods: the times of observed -> scheduled rest on 141 of 1000 objects, the others were seen late, by a watch \
             that had been broken; the apiserver ended 35 watches in this phase, of anybody"
                .to_owned(),
        ],
        files,
    }
}

fn judged(metric: &str, role: Role, direction: Direction, limit: f64, observed: f64) -> Judged {
    let met = if direction == Direction::AtMost { observed <= limit } else { observed >= limit };
    Judged {
        metric: metric.to_owned(),
        limit,
        direction,
        role,
        observed: Some(observed),
        verdict: if met { Verdict::Pass } else { Verdict::Fail },
        reason: format!("{metric} is {observed}, budget {limit}"),
        source: "measured, 8 runs of nodepool_smoke on 2 cores".to_owned(),
        derivation: "seen 5.5 to 5.92; the limit is a quarter above the middle, and half as much again misses it"
            .to_owned(),
    }
}

/// Every second of every component, busy until `busy_s`.
fn components(busy_s: f64, wall_s: f64) -> String {
    let mut csv = String::from("t_s,component,cpu_s,rss_bytes\n");
    for second in 0..=wall_s as u64 {
        for (index, (name, share)) in COMPONENTS.iter().enumerate() {
            let busy = (second as f64).min(busy_s);
            let cpu_s = busy * share + (busy * 1.3 + index as f64).sin() * 0.1 * share;
            let rss = ((60 + 40 * index) as f64 + 2.0 * busy) * f64::from(1 << 20);
            writeln!(csv, "{second}.020,{name},{cpu_s:.2},{rss:.0}").unwrap();
        }
    }
    csv
}

struct Series<'a> {
    directory: &'a RunDir,
    prefix: String,
    files: Vec<String>,
}

impl Series<'_> {
    fn write(&mut self, name: &str, csv: &str) {
        let file = format!("{}.{name}.csv", self.prefix);
        self.files.push(self.directory.write_file(&file, csv.as_bytes()).unwrap());
    }
}

/// Pods by name, with the offsets of their stages in seconds.
struct Pods {
    rows: Vec<(String, [f64; 4])>,
}

impl Pods {
    /// Pods that come at an even pace, with times that spread over a decade.
    fn make(phase: usize, count: usize, start: f64, pace: f64) -> Self {
        let mut state = 0x9e37_79b9_u32;
        let mut spread = |scale: f64| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scale * (1.0 + f64::from(state >> 8) / f64::from(1 << 24)).powi(4)
        };
        let rows = (0..count).map(|i| {
            let intended = start + (i / 100) as f64 * pace * 10.0;
            let observed = start + i as f64 * pace + spread(0.004);
            let scheduled = observed + spread(0.001);
            (
                format!("deployment-{phase}-{i:05}"),
                [intended, observed.max(intended), scheduled, scheduled + spread(0.006)],
            )
        });
        Self { rows: rows.collect() }
    }

    /// As a ledger's rows: the 10th came late, the 20th was only listed.
    fn write(&self, csv: &mut String) {
        for (i, (name, [intended, observed, scheduled, running])) in self.rows.iter().enumerate() {
            let mark = match i {
                10 => "~",
                20 => "?",
                _ => "",
            };
            writeln!(csv, "{name},web,{intended:.6},{observed:.6},{scheduled:.6},{mark}{running:.6}").unwrap();
        }
    }

    fn times(&self, from: usize, to: usize) -> Quantiles {
        let measured = self.rows.iter().enumerate().filter(|(i, _)| to != 3 || !matches!(i, 10 | 20));
        let times = measured.map(|(_, (_, stamps))| Duration::from_secs_f64((stamps[to] - stamps[from]).max(0.0)));
        Quantiles::of(times.collect())
    }

    fn done(&self, start: f64) -> Vec<f64> {
        let mut done: Vec<f64> = self.rows.iter().map(|(_, stamps)| stamps[3] - start).collect();
        done.sort_unstable_by(f64::total_cmp);
        done
    }

    fn progress(&self, start: f64) -> String {
        let mut csv = String::from("t_s,done\n");
        for (i, at) in self.done(start).iter().enumerate() {
            writeln!(csv, "{at:.4},{}", i + 1).unwrap();
        }
        csv
    }

    fn phase(&self, name: &str, expected: usize, start: f64) -> PhaseRecord {
        let done = self.done(start);
        let took_s = done.last().copied().unwrap_or(0.0);
        let share = |share: f64| done.get(((expected as f64 * share).ceil() as usize).max(1) - 1).copied();
        let missing = expected - done.len();
        let end = if missing == 0 {
            format!("complete after {took_s:.2}s")
        } else {
            format!("stalled at {}/{expected} after {took_s:.2}s", done.len())
        };
        let used = COMPONENTS
            .map(|(name, share)| (name.to_owned(), ComponentUse { cpu_s: share * took_s, rss_bytes: 150 << 20 }));
        let stages = [(0, 1), (1, 2), (2, 3), (0, 3)];
        PhaseRecord {
            ended_watches: Some(3.0),
            name: name.to_owned(),
            started_s: start,
            took_s,
            end,
            verdict: (missing > 0).then_some(Verdict::Stalled),
            expected,
            seen: done.len(),
            done: done.len(),
            late: 1,
            relisted: 1,
            gone_early: 0,
            unaccounted: missing,
            missing: (0..missing.min(20))
                .map(|i| Missing {
                    name: format!("deployment-2-{:05}", done.len() + i),
                    reason: "never running; scheduled at +12.345s (kperf-7)".to_owned(),
                })
                .collect(),
            longest_standstill_s: Some(took_s / 10.0),
            gap: Some(Gap { between: "scheduled -> running".to_owned(), n: 9, p50: 294, max: 881, ..Gap::default() }),
            faults: Vec::new(),
            progress: ProgressTimes { t50_s: share(0.5), t90_s: share(0.9), t99_s: share(0.99), t100_s: share(1.0) },
            per_s: done.len() as f64 / took_s.max(0.001),
            stages: stages
                .map(|(from, to)| (format!("{} -> {}", STAGES[from], STAGES[to]), self.times(from, to)))
                .into(),
            slowest: vec![SlowObject { name: "deployment-1-00017".to_owned(), took_ms: 912.4 }; 5],
            components: used.into(),
            yardstick_ms: Some(2.4),
            api_requests: Some(5600.0),
            api_requests_by: REQUESTS.map(|(kind, count)| (kind.to_owned(), count)).into(),
            etcd_puts: Some(5200.0),
            etcd_wal_bytes: Some(11_000_000.0),
            etcd_db_growth_bytes: Some(4_000_000.0),
            breakdowns: Vec::new(),
        }
    }
}
